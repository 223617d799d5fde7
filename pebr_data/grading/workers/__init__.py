"""Comparisons that may hang, eat memory or crash, in processes that can be killed: math-verify and mathruler."""
