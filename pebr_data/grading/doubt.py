"""Words that take an answer back, or make it one of several."""

from __future__ import annotations

DENIAL: frozenset[str] = frozenset().union(
    ("not", "no", "nor", "neither", "never", "none", "cannot", "hardly", "wrong", "incorrect", "false"),
    ("unknown", "unsure", "unclear", "maybe", "perhaps", "possibly", "might", "could", "doubt"),
    ("either", "or", "unless", "except", "but", "if"),
    ("cant", "isnt", "arent", "wasnt", "werent", "dont", "doesnt", "didnt", "wont"),
)
"""Before or behind an answer in a sentence any of these takes it back; without apostrophes, as `words_key` spells."""

DOUBT: frozenset[str] = DENIAL.union(
    ("and", "to", "than", "least", "most", "over", "under", "between", "almost", "nearly", "more", "less", "fewer"),
    ("before", "after", "until", "since", "beyond", "undetermined", "ish", "以上", "以下", "以内", "左右"),
    ("can't", "isn't", "aren't", "wasn't", "weren't", "don't", "doesn't", "didn't", "won't"),
)
"""Beside a number any of these makes it another one, a range, or one of several."""
