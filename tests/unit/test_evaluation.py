"""Evaluations: what counts, what is left out, what may be compared, and that a file gives back what was saved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_data.errors import DataError, RefusedError
from pebr_data.types import Condition, Fingerprint, Outcome
from pebr_train.evaluation import (
    METRICS,
    Evaluation,
    SampleResult,
    compare,
    evaluation_from_json,
    load_evaluation,
    save_evaluation,
    saved_identity,
)

SAMPLED = Fingerprint("tiny", "a" * 16, "question", Condition.IMAGE, 1.2, 0.99, 160, 802_816, "transformers")
RIGHT, WRONG, CUT = Outcome.CORRECT, Outcome.WRONG, Outcome.TRUNCATED


def evaluation(*results: SampleResult, sampled: Fingerprint = SAMPLED, grader_version: str = "pebr-1") -> Evaluation:
    greedy = replace(sampled, temperature=0.0, top_p=1.0)
    return Evaluation("shapes", "test", greedy, sampled, grader_version, results)


def result(
    name: str, greedy: Outcome, *sampled: Outcome, skill: str | None = None, f1: float | None = None
) -> SampleResult:
    return SampleResult(name, skill, greedy, sampled, f1, None if f1 is None else (f1,) * len(sampled))


def mean(found: Evaluation, metric: str, skill: str | None = None) -> float | None:
    estimate = found.estimate(metric, skill=skill)
    return None if estimate is None else estimate.mean


def test_every_outcome_but_correct_counts_as_not_correct() -> None:
    found = evaluation(result("a", RIGHT, RIGHT, WRONG, CUT, Outcome.UNPARSED), result("b", CUT, *[RIGHT] * 4))
    assert mean(found, "greedy_accuracy") == 0.5
    assert mean(found, "pass_at_1") == pytest.approx((0.25 + 1) / 2)


def test_a_gold_that_cannot_be_graded_is_left_out_instead_of_counted_wrong() -> None:
    none = Outcome.UNGRADABLE
    found = evaluation(result("a", RIGHT, RIGHT), result("b", none, none))
    estimate = found.estimate("pass_at_1")
    assert estimate is not None
    assert (estimate.mean, estimate.num_samples) == (1.0, 1)
    assert found.sampled_outcomes == {RIGHT: 1, none: 1}


def test_perception_is_over_the_samples_whose_scene_is_known() -> None:
    found = evaluation(result("a", RIGHT, RIGHT, f1=0.5), result("b", RIGHT, RIGHT))
    assert mean(found, "greedy_perception") == mean(found, "sampled_perception") == 0.5
    assert evaluation(result("b", RIGHT, RIGHT)).estimate("greedy_perception") is None


def test_figures_per_skill_are_over_that_skill() -> None:
    found = evaluation(result("a", RIGHT, RIGHT, skill="count"), result("b", WRONG, WRONG, skill="locate"))
    assert found.skills == ("count", "locate")
    assert (mean(found, "pass_at_1", "count"), mean(found, "pass_at_1", "locate")) == (1.0, 0.0)


results = st.builds(
    SampleResult,
    sample_id=st.text(min_size=1),
    skill=st.none() | st.text(min_size=1),
    greedy=st.sampled_from(Outcome),
    sampled=st.lists(st.sampled_from(Outcome), min_size=1, max_size=4).map(tuple),
    greedy_f1=st.none() | st.floats(0, 1),
    sampled_f1=st.none() | st.lists(st.floats(0, 1), min_size=1, max_size=4).map(tuple),
)


@given(st.lists(results, max_size=5))
def test_json_gives_back_the_same_evaluation(found: list[SampleResult]) -> None:
    whole = evaluation(*found)
    assert evaluation_from_json(json.loads(json.dumps(whole.to_json(), allow_nan=False))) == whole


def test_a_saved_evaluation_is_read_back_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    whole, path = evaluation(result("a", RIGHT, WRONG, f1=0.25)), tmp_path / "evaluations" / "base.json"
    save_evaluation(whole, path)
    assert load_evaluation(path) == whole
    assert list(path.parent.iterdir()) == [path]
    assert json.loads(path.read_text())["pass_at_1"]["mean"] == 0.0


def test_a_saved_evaluation_says_what_decided_it(tmp_path: Path) -> None:
    whole, path = evaluation(result("a", RIGHT, WRONG)), tmp_path / "base.json"
    assert saved_identity(path) is None
    save_evaluation(whole, path)
    assert saved_identity(path) is None
    save_evaluation(whole, path, identity={"model": "m"})
    assert saved_identity(path) == {"model": "m"}
    assert load_evaluation(path) == whole
    path.write_text("[", encoding="utf-8")
    assert saved_identity(path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema_version": 99}'])
def test_a_file_that_is_no_evaluation_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "base.json"
    path.write_text(text)
    with pytest.raises(DataError, match="not an evaluation") as caught:
        load_evaluation(path)
    assert caught.value.where == str(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no evaluation"):
        load_evaluation(tmp_path / "base.json")


def test_a_comparison_is_paired_by_sample() -> None:
    before = evaluation(result("a", WRONG, WRONG, RIGHT), result("b", RIGHT, RIGHT, RIGHT))
    after = evaluation(
        result("a", RIGHT, RIGHT, RIGHT), result("b", RIGHT, RIGHT, RIGHT), sampled=replace(SAMPLED, revision="b" * 16)
    )
    found = compare(before, after)
    assert (found.before, found.after) == ("tiny@aaaaaaaaaaaa", "tiny@bbbbbbbbbbbb")
    difference = found.differences["pass_at_1"]
    assert difference is not None
    assert (difference.mean, difference.low, difference.high) == (0.25, 0.0, 0.5)
    assert found.differences["greedy_perception"] is None
    assert set(found.to_json()["differences"]) == set(METRICS)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (evaluation(result("b", RIGHT, RIGHT)), "samples"),
        (evaluation(result("a", RIGHT, RIGHT), sampled=replace(SAMPLED, temperature=1.0)), "sampled temperature"),
        (evaluation(result("a", RIGHT, RIGHT), sampled=replace(SAMPLED, template="sections")), "greedy template"),
        (evaluation(result("a", RIGHT, RIGHT), grader_version="pebr-2"), "grader_version"),
        (replace(evaluation(result("a", RIGHT, RIGHT)), split="train"), "split"),
    ],
)
def test_only_models_may_differ_in_a_comparison(other: Evaluation, named: str) -> None:
    with pytest.raises(RefusedError, match=named):
        compare(evaluation(result("a", RIGHT, RIGHT)), other)


def test_a_different_number_of_rollouts_is_no_comparison() -> None:
    with pytest.raises(RefusedError, match="number of rollouts"):
        compare(evaluation(result("a", RIGHT, RIGHT)), evaluation(result("a", RIGHT, RIGHT, RIGHT)))
