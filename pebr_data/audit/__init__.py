"""Auditing a grader on a catalog's own golds: what it accepts that it should not, and rejects that it should not."""
