"""A sample's diagnosis in words, with the counts behind it."""

from __future__ import annotations

from collections.abc import Mapping

from pebr_data.types import Band, Diagnosis, Json


def explain(row: Mapping[str, Json]) -> str:
    """One line: the diagnosis, or why there is none, and what was seen.

    Args:
        row: A sample's `EVIDENCE` and `majority_answer`, with the columns of `diagnose`.
    """
    if row["band"] == str(Band.EASY):
        return "none: it is easy"
    if row["band"] == str(Band.UNPROBED):
        return "none: it has no complete group of rollouts"
    name = row["diagnosis"]
    if name is None:
        return f"not diagnosed: {_missing(row)}; {_seen(row)}"
    return f"{name}: {_grounds(Diagnosis(name), row)}"


def _grounds(diagnosis: Diagnosis, row: Mapping[str, Json]) -> str:
    failures = row["num_rollouts"] - row["num_correct"]
    match diagnosis:
        case Diagnosis.TRUNCATION:
            return f"{row['num_truncated']} of {failures} failures ran out of length"
        case Diagnosis.FORMAT:
            return f"{row['num_unparsed']} of {failures} failures hold no answer"
        case Diagnosis.GRADER_DISPUTE:
            return f"{row['num_disputed']} of {failures} failures are right by another grading"
        case Diagnosis.SUSPECTED_GOLD:
            return (
                f"{row['num_majority']} of {row['num_rollouts']} rollouts answer {row['majority_answer']}, "
                f"{row['num_correct']} the gold; it is wrong with probability {row['suspicion']:.2f}"
            )
        case _:
            return _seen(row)


def _seen(row: Mapping[str, Json]) -> str:
    """Correct rollouts under each condition that was probed."""
    shown = [f"right in {row['num_correct']} of {row['num_rollouts']} shown"]
    for condition in ("described", "blind"):
        if row[f"{condition}_rollouts"]:
            shown.append(f"{row[f'{condition}_correct']} of {row[f'{condition}_rollouts']} {condition}")
    return ", ".join(shown)


def _missing(row: Mapping[str, Json]) -> str:
    lacking = [condition for condition in ("blind", "described") if not row[f"{condition}_rollouts"]]
    if lacking:
        return f"the condition {' and '.join(lacking)} was not probed"
    return "the policy cannot work from descriptions"
