"""One rule after the other: what each needs, what goes before it, and that nothing is guessed."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from pebr_data.difficulty.diagnosis import EVIDENCE, diagnose, reads_descriptions
from pebr_data.difficulty.explain import explain
from pebr_data.types import Diagnosis

SAMPLE: dict[str, Any] = {
    "sample_id": "aa", "source": "made", "answer_type": "count", "skill": "count", "num_options": 0, "band": "medium",
    "gold": "3", "gold_vouched": False, "majority": "5", "num_correct": 2, "num_majority": 2, "num_wrong": 6,
    "num_unparsed": 0, "num_truncated": 0, "num_disputed": None, "num_rollouts": 8, "mean_tokens": 20.0,
    "blind_correct": 0, "blind_rollouts": 8, "described_correct": 3, "described_rollouts": 8,
}  # fmt: skip
"""Two of eight right, nothing more to say of it than that it is hard."""
SOLVED = {**SAMPLE, "band": "easy", "num_correct": 8, "num_wrong": 0, "num_majority": 0, "described_correct": 8}


def told(**changes: Any) -> dict[str, Any]:
    """The sample with these changes among solved ones, diagnosed."""
    others = [{**SOLVED, "sample_id": f"s{n}"} for n in range(30)]
    evidence = pl.DataFrame([{**SAMPLE, **changes}, *others], schema=EVIDENCE)
    found = evidence.hstack(diagnose(evidence).drop("sample_id"))
    return {**found.row(0, named=True), "majority_answer": "5"}


@pytest.mark.parametrize(
    ("diagnosis", "changes"),
    [
        (Diagnosis.TRUNCATION, {"num_wrong": 1, "num_truncated": 5}),
        (Diagnosis.FORMAT, {"num_wrong": 1, "num_unparsed": 5}),
        (Diagnosis.GRADER_DISPUTE, {"num_disputed": 5}),
        (Diagnosis.PERCEPTION_BOUND, {"described_correct": 7}),
        (Diagnosis.SUSPECTED_GOLD, {"num_correct": 0, "num_majority": 8, "num_wrong": 8}),
        (Diagnosis.IMAGE_NOT_NEEDED, {"num_correct": 4, "blind_correct": 5}),
        (Diagnosis.GUESSABLE, {"answer_type": "choice", "num_options": 4}),
        (Diagnosis.REASONING_BOUND, {"described_correct": 1}),
        (Diagnosis.HARD, {}),
    ],
)
def test_each_rule_has_its_case(diagnosis: Diagnosis, changes: dict[str, Any]) -> None:
    row = told(**changes)
    assert row["diagnosis"] == diagnosis
    assert explain(row).startswith(f"{diagnosis}: ")


def test_every_diagnosis_is_in_the_table_of_the_module_in_the_order_of_the_names() -> None:
    from pebr_data.difficulty import diagnosis

    documented = [line.split("`")[1] for line in (diagnosis.__doc__ or "").splitlines() if line.startswith("| `")]
    assert documented == list(map(str, Diagnosis))


def test_a_gold_that_is_found_when_described_is_not_suspected() -> None:
    against = {"num_correct": 0, "num_majority": 8, "num_wrong": 8}
    assert told(**against, described_correct=7)["diagnosis"] == Diagnosis.PERCEPTION_BOUND


def test_a_gold_that_a_person_vouches_for_is_not_suspected() -> None:
    row = told(num_correct=0, num_majority=8, num_wrong=8, gold_vouched=True)
    assert row["suspicion"] is None
    assert row["diagnosis"] == Diagnosis.HARD


@pytest.mark.parametrize("condition", ["blind", "described"])
def test_what_was_not_probed_is_not_guessed(condition: str) -> None:
    row = told(**{f"{condition}_correct": 0, f"{condition}_rollouts": 0})
    assert row["diagnosis"] is None
    assert explain(row).startswith(f"not diagnosed: the condition {condition} was not probed; right in 2 of 8 shown")


@pytest.mark.parametrize("band", ["easy", "unprobed"])
def test_easy_and_unprobed_samples_have_none(band: str) -> None:
    row = told(band=band)
    assert row["diagnosis"] is None
    assert explain(row).startswith("none: ")


def test_descriptions_tell_nothing_of_a_policy_that_cannot_read_them() -> None:
    evidence = pl.DataFrame(
        [{**SAMPLE, "described_correct": 0}, *[{**SOLVED, "described_correct": 1}] * 9], schema=EVIDENCE
    )
    assert reads_descriptions(evidence) is False
    assert diagnose(evidence)["diagnosis"][0] is None
    assert reads_descriptions(evidence.with_columns(described_rollouts=pl.lit(0, pl.Int64))) is None


def test_little_evidence_decides_nothing() -> None:
    row = told(num_correct=1, num_wrong=1, num_majority=1, num_rollouts=2, described_correct=1, described_rollouts=2)
    assert row["diagnosis"] == Diagnosis.HARD
    assert told(num_correct=7, num_wrong=0, num_truncated=1)["diagnosis"] == Diagnosis.HARD


@pytest.mark.parametrize(
    ("level", "changes"),
    [
        ("described unsure, blind unsure", {}),
        ("described right, blind unsure", {"described_correct": 6}),
        ("described wrong, blind right", {"described_correct": 2, "blind_correct": 4}),
        ("described wrong, blind unsure", {"described_correct": 2, "blind_correct": 4, "answer_type": "yes_no"}),
        ("blind right", {"described_correct": 0, "described_rollouts": 0, "blind_correct": 4}),
        ("described right", {"described_correct": 8, "blind_rollouts": 0}),
        (None, {"described_correct": 0, "described_rollouts": 0, "blind_rollouts": 0}),
    ],
)
def test_the_level_is_what_the_rules_see_of_the_other_conditions(level: str | None, changes: dict[str, Any]) -> None:
    assert told(**changes)["level"] == level
    assert told(**changes, band="easy")["level"] == level


def test_descriptions_that_cannot_be_read_are_no_level() -> None:
    evidence = pl.DataFrame(
        [{**SAMPLE, "described_correct": 0}, *[{**SOLVED, "described_correct": 1}] * 9], schema=EVIDENCE
    )
    assert set(diagnose(evidence)["level"]) == {"blind unsure"}
