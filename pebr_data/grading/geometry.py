"""Boxes and points: read out of an answer in whatever notation, and compared in the gold's frame of coordinates.

A box is right from an intersection over union on (0.5 is what referring-expression benchmarks count as a hit), a point
within a distance of the gold point or inside the gold box. Frames are never guessed: 0.4 is not 400 of 1000 unless the
sample's rules say that the policy answers so.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from pebr_data.grading.doubt import DOUBT
from pebr_data.grading.normalize import clean
from pebr_data.grading.rules import Frame, GradingRules

_COORDINATE = re.compile(r"(?<![\w.])[-+]?(?:[0-9]{1,9}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(?![\w.]|\.[0-9])")
_MAX_CHARS = 400

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A box by its corners: left, top, right, bottom."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """Width times height."""
        return (self.right - self.left) * (self.bottom - self.top)

    def contains(self, point: Point) -> bool:
        """Whether a point lies in the box or on its border."""
        return self.left <= point[0] <= self.right and self.top <= point[1] <= self.bottom


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, in 0 .. 1; 0 when either has no area."""
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    shared = max(width, 0.0) * max(height, 0.0)
    union = a.area + b.area - shared
    return shared / union if union > 0 else 0.0


def read_coordinates(text: str) -> tuple[float, ...]:
    """The numbers of a text in order, names such as `x1` and `bbox_2d` left out; empty when the text is too long."""
    if len(text) > _MAX_CHARS:
        return ()
    return tuple(float(match[0]) for match in _COORDINATE.finditer(text))


def geometry_problem(gold: str, answer_type: str, rules: GradingRules) -> str | None:
    """Why answers cannot be compared with this box or point, or None."""
    numbers = read_coordinates(gold)
    if _is_in_doubt(gold):
        return f"the gold {answer_type} is in doubt"
    if answer_type == "box" and len(numbers) != 4:
        return f"the gold box has {len(numbers)} numbers, not 4"
    if answer_type == "point" and len(numbers) not in (2, 4):
        return f"the gold point has {len(numbers)} numbers, not 2 (or 4 for the box it must lie in)"
    if answer_type == "point" and len(numbers) == 2 and rules.max_distance is None:
        return "a gold point needs the rule `max_distance`"
    if len(numbers) == 4 and _gold_box(numbers, rules).area <= 0:
        return "the gold box has no area"
    frame = rules.answer_frame or rules.frame
    if frame != rules.frame:
        for name, size in (("original", rules.original_size), ("shown", rules.shown_size)):
            if name in (frame, rules.frame) and size is None:
                return f"coordinates in pixels of the {name} image need the rule `{name}_size`"
    return None


def compare_geometry(answer: str, gold: str, answer_type: str, rules: GradingRules) -> tuple[bool, str]:
    """Whether an answer's box or point is the gold's, and why; `geometry_problem` must have found nothing wrong."""
    said, meant = read_coordinates(clean(answer)), read_coordinates(gold)
    if _is_in_doubt(answer):
        return False, "the answer is in doubt"
    if answer_type == "box":
        if len(said) != 4:
            return False, f"a box has 4 numbers, the answer {len(said)}"
        overlap = iou(_to_frame(_corners(said), rules), _gold_box(meant, rules))
        return overlap >= rules.min_iou, f"the boxes overlap by {overlap:.2f}, {rules.min_iou:g} is asked for"
    if len(said) != 2:
        return False, f"a point has 2 numbers, the answer {len(said)}"
    there = _to_frame(Box(said[0], said[1], said[0], said[1]), rules)
    point = (there.left, there.top)
    if len(meant) == 4:
        inside = _gold_box(meant, rules).contains(point)
        return inside, f"the point lies {'in' if inside else 'out'}side the gold box"
    distance = math.dist(point, (meant[0], meant[1]))
    limit = rules.max_distance or 0.0
    return distance <= limit, f"the point is {distance:.3g} away, {limit:g} is allowed"


def _is_in_doubt(text: str) -> bool:
    return bool(DOUBT & set(text.casefold().split()))


def _corners(numbers: tuple[float, ...]) -> Box:
    a, b, c, d = numbers
    return Box(min(a, c), min(b, d), max(a, c), max(b, d))


def _gold_box(numbers: tuple[float, ...], rules: GradingRules) -> Box:
    a, b, c, d = numbers
    if rules.box_format == "xywh":
        return Box(a, b, a + c, b + d)
    if rules.box_format == "cxcywh":
        return Box(a - c / 2, b - d / 2, a + c / 2, b + d / 2)
    return _corners(numbers)


def _to_frame(box: Box, rules: GradingRules) -> Box:
    """A box in the answer's frame, in the gold's."""
    source, target = rules.answer_frame or rules.frame, rules.frame
    if source == target:
        return box
    (from_x, from_y), (to_x, to_y) = _extent(source, rules), _extent(target, rules)
    across, down = to_x / from_x, to_y / from_y
    return Box(box.left * across, box.top * down, box.right * across, box.bottom * down)


def _extent(frame: Frame, rules: GradingRules) -> tuple[float, float]:
    """What the whole image measures in a frame."""
    if frame in ("unit", "thousand"):
        side = 1.0 if frame == "unit" else 1000.0
        return side, side
    size = rules.original_size if frame == "original" else rules.shown_size
    assert size is not None, "geometry_problem asks for it"
    return float(size[0]), float(size[1])
