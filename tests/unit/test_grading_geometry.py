from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_data.grading import Attempt, Gold, Grader, GradingRules, grade_batch
from pebr_data.grading.geometry import Box, iou, read_coordinates
from pebr_data.types import Outcome

SIDES = st.floats(0, 1000, allow_nan=False)
BOXES = st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), SIDES, SIDES, SIDES, SIDES)


def judge(answer: str, gold: str, answer_type: str = "box", **rules: object) -> Outcome:
    attempt = Attempt(f"### The final answer is: {answer}", Gold(gold, answer_type, (), GradingRules(**rules)))
    return grade_batch([attempt], Grader())[0].outcome


@given(BOXES, BOXES)
def test_iou_is_symmetric_and_a_share(a: Box, b: Box) -> None:
    assert iou(a, b) == iou(b, a)
    assert 0 <= iou(a, b) <= 1


def test_iou_of_a_box_with_its_half_is_a_half() -> None:
    assert iou(Box(0, 0, 10, 10), Box(0, 0, 5, 10)) == 0.5


@pytest.mark.parametrize(
    "notation",
    [
        "[10, 20, 110, 220]",
        "(10,20),(110,220)",
        "<box>(10,20),(110,220)</box>",
        '{"bbox_2d": [10, 20, 110, 220], "label": "cat"}',
        "x1=10, y1=20, x2=110, y2=220",
        "10.0 20.0 110.0 220.0",
        "[110, 220, 10, 20]",
    ],
)
def test_a_box_is_read_in_whatever_notation(notation: str) -> None:
    assert judge(notation, "[10, 20, 110, 220]") is Outcome.CORRECT


@pytest.mark.parametrize("answer", ["[10, 20, 110]", "the cat", "[10, 20, 110, 220, 5]", "[500, 500, 600, 600]"])
def test_what_is_no_box_or_lies_elsewhere_is_wrong(answer: str) -> None:
    assert judge(answer, "[10, 20, 110, 220]") is Outcome.WRONG


def test_the_overlap_asked_for_is_the_samples() -> None:
    assert judge("[0, 0, 5, 10]", "[0, 0, 10, 10]") is Outcome.CORRECT
    assert judge("[0, 0, 5, 10]", "[0, 0, 10, 10]", min_iou=0.75) is Outcome.WRONG


@pytest.mark.parametrize(("box_format", "gold"), [("xywh", "[10, 20, 100, 200]"), ("cxcywh", "[60, 120, 100, 200]")])
def test_the_golds_own_box_format_is_understood(box_format: str, gold: str) -> None:
    assert judge("[10, 20, 110, 220]", gold, box_format=box_format) is Outcome.CORRECT


def test_frames_are_converted_when_both_are_stated() -> None:
    sizes = {"original_size": (2000, 1000), "shown_size": (500, 250)}
    assert (
        judge("[500, 500, 1000, 1000]", "[1000, 500, 2000, 1000]", answer_frame="thousand", **sizes) is Outcome.CORRECT
    )
    assert judge("[250, 125, 500, 250]", "[1000, 500, 2000, 1000]", answer_frame="shown", **sizes) is Outcome.CORRECT
    assert judge("[0.5, 0.5, 1, 1]", "[500, 500, 1000, 1000]", frame="thousand", answer_frame="unit") is Outcome.CORRECT


def test_a_frame_is_never_guessed() -> None:
    assert judge("[0.5, 0.5, 1, 1]", "[500, 500, 1000, 1000]", frame="thousand") is Outcome.WRONG


def test_pixels_of_an_image_of_unknown_size_make_the_gold_unusable() -> None:
    assert judge("[1, 2, 3, 4]", "[1, 2, 3, 4]", answer_frame="unit") is Outcome.UNGRADABLE


@pytest.mark.parametrize("gold", ["[1, 2, 3]", "cat", "[5, 5, 5, 9]"])
def test_a_gold_that_is_no_box_is_unusable(gold: str) -> None:
    assert judge("[1, 2, 3, 4]", gold) is Outcome.UNGRADABLE


def test_a_point_is_right_near_the_gold_point_or_inside_the_gold_box() -> None:
    assert judge("(103, 204)", "(100, 200)", "point", max_distance=5) is Outcome.CORRECT
    assert judge("(104, 204)", "(100, 200)", "point", max_distance=5) is Outcome.WRONG
    assert judge('<point x="15" y="15">cat</point>', "[10, 10, 20, 20]", "point") is Outcome.CORRECT
    assert judge("(25, 15)", "[10, 10, 20, 20]", "point") is Outcome.WRONG


def test_a_gold_point_without_a_distance_is_unusable() -> None:
    assert judge("(1, 2)", "(1, 2)", "point") is Outcome.UNGRADABLE


@given(st.text(max_size=500))
def test_reading_coordinates_never_raises(text: str) -> None:
    assert all(isinstance(value, float) for value in read_coordinates(text))


@pytest.mark.parametrize(("gold", "answer_type"), [("or 3, 4", "point"), ("maybe 10, 20, 110, 220", "box")])
def test_a_gold_in_doubt_cannot_be_used(gold: str, answer_type: str) -> None:
    assert judge(gold, gold, answer_type, max_distance=1.0) is Outcome.UNGRADABLE
