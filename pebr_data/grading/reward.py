"""What a grade and a text are worth: the paper's accuracy and format rewards, wherever a policy is trained."""

from __future__ import annotations

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
