"""Engines: what turns requests into completions. One Protocol, one dict of names (see `base`)."""
