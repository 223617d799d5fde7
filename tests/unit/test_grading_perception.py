from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pebr_data.errors import DataError
from pebr_data.grading import parse_description, score_description
from pebr_data.sources.shapes.scene import draw_scene

SCENE = [
    {"size": "large", "color": "red", "shape": "circle", "place": "top-left"},
    {"size": "small", "color": "blue", "shape": "square", "place": "center"},
]
REFERENCE = "a large red circle at top-left, a small blue square at center"


def _completion(description: str) -> str:
    return f"### Image Description: {description}\n### Rationales: look\n### The final answer is: 3"


@settings(deadline=None)  # the first call imports SciPy
@given(st.integers(0, 2**32))
def test_a_reference_description_recovers_its_whole_scene(seed: int) -> None:
    scene = draw_scene(random.Random(seed))
    score = score_description(_completion(scene.description), scene.to_metadata()["objects"])
    assert (score.precision, score.recall, score.f1) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    "description",
    [
        REFERENCE,
        "a small blue square at center, a large red circle at top-left",
        "A large red circle at the top left. A small blue square at the center.",
        "There is a large red circle at top-left and a small blue square at center.",
        "In this picture I see shapes: a large red circle at top - left; a small blue square at center",
    ],
)
def test_order_and_wording_around_the_objects_do_not_matter(description: str) -> None:
    assert score_description(_completion(description), SCENE).f1 == 1.0


@pytest.mark.parametrize(
    ("description", "precision", "recall", "f1"),
    [
        ("a large red circle at top-left", 1.0, 0.5, 2 / 3),
        ("a large green circle at top-left, a small blue square at center", 7 / 8, 7 / 8, 7 / 8),
        (REFERENCE + ", a small blue square at center", 2 / 3, 1.0, 4 / 5),
        ("a red circle at top-left, a small blue square at center", 7 / 8, 7 / 8, 7 / 8),
        ("a circle", 0.25, 0.125, 1 / 6),
        ("a tiny green cross at bottom-right", 0.0, 0.0, 0.0),
    ],
)
def test_the_score_is_the_share_of_attributes_that_agree(
    description: str, precision: float, recall: float, f1: float
) -> None:
    score = score_description(_completion(description), SCENE)
    assert (score.precision, score.recall, score.f1) == pytest.approx((precision, recall, f1))


def test_objects_are_paired_so_that_agreement_is_largest() -> None:
    description = "a large red circle at center, a large red circle at top-left"
    assert score_description(_completion(description), SCENE).f1 == pytest.approx((1 + 1 / 4) / 2)


def test_repeating_an_object_does_not_pay() -> None:
    once = score_description(_completion("a large red circle at top-left"), SCENE)
    thrice = score_description(_completion(", ".join(["a large red circle at top-left"] * 3)), SCENE)
    assert thrice.recall < once.recall + 0.5
    assert thrice.f1 < once.f1


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        (f"### Rationales: {REFERENCE}", "no image description section"),
        ("", "no image description section"),
        (_completion("shapes"), "names no object"),
        (_completion(""), "names no object"),
    ],
)
def test_nothing_described_scores_zero_and_says_so(completion: str, reason: str) -> None:
    score = score_description(completion, SCENE)
    assert (score.precision, score.recall, score.f1, score.num_described) == (0.0, 0.0, 0.0, 0)
    assert reason in score.reason


def test_only_the_description_section_is_read() -> None:
    text = f"### Image Description: a large red circle at top-left\n### Rationales: {REFERENCE}"
    assert score_description(text, SCENE).num_described == 1


def test_a_scene_that_cannot_be_scored_is_an_error_not_a_zero() -> None:
    with pytest.raises(DataError, match="no objects"):
        score_description(_completion(REFERENCE), [])
    with pytest.raises(DataError, match="lacks place"):
        score_description(_completion(REFERENCE), [{"size": "large", "color": "red", "shape": "circle"}])


@given(st.text(), st.lists(st.sampled_from(["a", "large", "red", "circle", "at", "top-left", ",", ".", "and"])))
def test_any_text_has_a_score_between_zero_and_one(text: str, words: list[str]) -> None:
    for description in (text, " ".join(words), " ".join(words) * 40):
        parse_description(description)
        score = score_description(_completion(description), SCENE)
        assert 0.0 <= score.precision <= 1.0
        assert 0.0 <= score.recall <= 1.0
        assert min(score.precision, score.recall) - 1e-9 <= score.f1 <= max(score.precision, score.recall) + 1e-9
