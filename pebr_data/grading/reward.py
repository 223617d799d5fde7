"""What a grade and a text are worth: the paper's rewards, wherever a policy is trained or probed."""

from __future__ import annotations

from collections.abc import Sequence

from pebr_data.grading.sections import split_sections
from pebr_data.types import Grade, Outcome


def accuracy_reward(grade: Grade) -> float | None:
    """1 for `correct`; 0 for `wrong`, `unparsed` and `truncated`; None where nothing is known of the answer.

    Nothing is known when the gold cannot be used (`ungradable`) or the comparison died twice (`error`).
    """
    if grade.outcome in (Outcome.UNGRADABLE, Outcome.ERROR):
        return None
    return 1.0 if grade.outcome is Outcome.CORRECT else 0.0


def format_reward(text: str) -> float:
    """1 when the headings Image Description, Rationales, Step 1 and The final answer are all there, else 0.

    Paper: arXiv 2509.13031, released configuration. The order of the headings is not looked at.
    """
    found = split_sections(text)
    return float(None not in (found.description, found.rationales, found.steps, found.final_answer))


def keyword_reward(text: str, keywords: Sequence[str]) -> float:
    """The share of the sample's keywords found in the lower-cased response; 0 for a sample without keywords.

    Paper: arXiv 2509.13031. A keyword is found as a piece of text, so "red" is found in "bored": the paper's rule.
    """
    lower = text.lower()
    return sum(keyword.lower() in lower for keyword in keywords) / len(keywords) if keywords else 0.0


def length_reward(num_tokens: int, max_tokens: int = 512) -> float:
    """1 up to `max_tokens` completion tokens, then `max_tokens` / tokens. Paper: arXiv 2509.13031."""
    return min(1.0, max_tokens / max(1, num_tokens))


def similarity_reward(cosine: float, floor: float = 0.0, ceiling: float = 0.4) -> float:
    """The cosine of image and description scaled to 0 .. 1: 0 up to `floor`, 1 from `ceiling`, linear in between.

    Paper: arXiv 2509.13031, min(1, cosine / 0.4) under FG-CLIP; other encoders have another scale.
    """
    return min(1.0, max(0.0, (cosine - floor) / (ceiling - floor)))
