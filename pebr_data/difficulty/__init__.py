"""Difficulty as statistics: pure functions of counts, no I/O."""
