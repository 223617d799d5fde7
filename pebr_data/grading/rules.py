"""What a grader must know beyond the gold, its type and its options: synonyms, tolerances, coordinate frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, ValidationError

from pebr_data.errors import DataError
from pebr_data.strict_yaml import StrictModel
from pebr_data.types import Json

Frame = Literal["original", "shown", "unit", "thousand"]
"""Where coordinates are measured: pixels of the stored image, or of the image as the policy saw it; 0..1; 0..1000."""

BoxFormat = Literal["xyxy", "xywh", "cxcywh"]
"""How four numbers make a box: two corners, a corner and a size, or the centre and a size."""


class GradingRules(StrictModel):
    """How strictly a sample's answers are compared with its gold. Every default is the strict, usual reading.

    Attributes:
        synonyms: Other texts that are right.
        tolerance: Numbers may be off by this much, in the gold's unit.
        relative_tolerance: Numbers may be off by this share of the gold.
        decimals: A number is right when it equals the gold after both are rounded to so many decimals (MathVista's
            `precision`). Without any of the three, a number must be the gold or a correct rounding of it.
        unit: The unit of the gold, when the gold is a bare number; an answer in another unit is wrong.
        ordered: Whether a list's order matters.
        min_anls: OCR text is right from this normalised Levenshtein similarity on (ANLS: Biten et al., Scene Text
            Visual Question Answering, ICCV 2019, who give partial credit from 0.5; a yes-or-no verdict asks for more).
            Digits must be the gold's, whatever the similarity.
        min_iou: A box is right from this intersection over union on.
        max_distance: A point is right within this distance of the gold point, in the gold's frame.
        frame: Where the gold's coordinates are measured.
        answer_frame: Where the policy's are; the gold's frame when not given.
        box_format: How the gold's four numbers make a box; the policy's are always two corners.
        original_size: Width and height of the stored image in pixels.
        shown_size: Width and height of the image as the policy saw it.
    """

    synonyms: tuple[str, ...] = ()
    tolerance: float | None = Field(default=None, ge=0)
    relative_tolerance: float | None = Field(default=None, ge=0, lt=1)
    decimals: int | None = Field(default=None, ge=0, le=12)
    unit: str | None = None
    ordered: bool = True
    min_anls: float = Field(default=0.8, gt=0, le=1)
    min_iou: float = Field(default=0.5, gt=0, le=1)
    max_distance: float | None = Field(default=None, gt=0)
    frame: Frame = "original"
    answer_frame: Frame | None = None
    box_format: BoxFormat = "xyxy"
    original_size: tuple[int, int] | None = None
    shown_size: tuple[int, int] | None = None


DEFAULT_RULES = GradingRules()


def read_rules(value: Mapping[str, Json]) -> GradingRules:
    """The rules that a sample's `grading` holds.

    Raises:
        DataError: A key is unknown or a value is out of range; the message names it.
    """
    if not value:
        return DEFAULT_RULES
    try:
        return GradingRules.model_validate(dict(value))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"the grading rule `{place}` cannot be used: {first['msg']}",
            where="`grading`",
            help=f"the rules are: {', '.join(GradingRules.model_fields)}",
        ) from error
