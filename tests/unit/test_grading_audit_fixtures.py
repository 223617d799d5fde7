"""Fixture catalogs shaped like the datasets people bring: they build, and each gold is right by its own standard."""

from __future__ import annotations

from pathlib import Path

import pytest

from pebr_data.catalog.ingest import build
from pebr_data.config import load_catalog_config
from pebr_data.grading import ANSWER_TYPES, Attempt, Gold, Grader, grade_batch, infer_answer_type
from pebr_data.sources.base import open_source
from pebr_data.types import Candidate, Outcome

AUDIT = Path(__file__).parents[1] / "fixtures" / "audit"
NAMES = ["geometry3k", "mathvista", "mmk12", "virl39k"]


def _candidates(name: str) -> list[Candidate]:
    config = load_catalog_config(AUDIT / f"{name}.yaml")
    items = [item for source in config.sources for item in open_source(source, AUDIT).candidates()]
    return [item for item in items if isinstance(item, Candidate)]


def _gold(candidate: Candidate) -> Gold:
    inferred = infer_answer_type(candidate.answer, candidate.options, candidate.question)
    return Gold(candidate.answer, candidate.answer_type or inferred.answer_type, candidate.options)


def test_there_is_a_catalog_for_each_data_file() -> None:
    assert sorted(path.stem for path in AUDIT.glob("*.yaml")) == NAMES
    assert sorted(path.stem for path in AUDIT.glob("*.jsonl")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_row_becomes_a_sample(name: str, tmp_path: Path) -> None:
    result = build(load_catalog_config(AUDIT / f"{name}.yaml"), tmp_path)
    assert result.num_new >= 35
    assert dict(result.rejects) == {}


@pytest.mark.parametrize("name", NAMES)
def test_every_gold_is_correct_against_itself_and_wrong_when_hedged(name: str) -> None:
    golds = [_gold(candidate) for candidate in _candidates(name)]
    assert {gold.answer_type for gold in golds} <= set(ANSWER_TYPES)
    for before, expected in (("", Outcome.CORRECT), ("either 77 or ", Outcome.WRONG)):
        attempts = [Attempt(f"### The final answer is: {before}{gold.answer}", gold) for gold in golds]
        grades = grade_batch(attempts, Grader())
        others = {
            gold.answer: grade.reason for gold, grade in zip(golds, grades, strict=True) if grade.outcome != expected
        }
        assert others == {}
