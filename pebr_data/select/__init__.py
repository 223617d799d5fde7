"""Choosing samples: which of the probed ones a training stage gets, and why each other one does not."""
