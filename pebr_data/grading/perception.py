"""How much of a scene a response's image description gets right.

A description is read as clauses `a {size} {color} {shape} at {place}`, which is how the `shapes` source writes its
references; references and responses go through the same parser. Described objects are assigned to the scene's so
that the total agreement is largest; a pair agrees by its share of equal attributes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pebr_data.errors import DataError
from pebr_data.grading.sections import split_sections

ATTRIBUTES = ("size", "color", "shape", "place")
MAX_CLAUSES = 1024
"""Clauses read of one description; scenes hold a dozen objects, so more only means a response that repeats itself."""

_CLAUSE_END = re.compile(r"[,.;:!?\n]|\band\b")
_ARTICLE = re.compile(r"^(?:there (?:is|are) )?(?:a|an|one|the) ")


@dataclass(frozen=True, slots=True)
class PerceptionScore:
    """How a description compares with the scene, each figure in 0 .. 1.

    Attributes:
        precision: Agreement summed over matched pairs / objects described; 0 when none is described.
        recall: Agreement summed over matched pairs / objects in the scene.
        f1: Twice the summed agreement / (objects described + objects in the scene).
        num_described: Objects the description names.
        num_objects: Objects in the scene.
        reason: Why the score is what it is, in a line.
    """

    precision: float
    recall: float
    f1: float
    num_described: int
    num_objects: int
    reason: str


def parse_description(text: str) -> list[dict[str, str]]:
    """The objects a description names, in order, as mappings with the keys of `ATTRIBUTES`.

    Of the words before `at`, the last is the shape, the first the size, those between the colour; with two words
    there is no size, with one only a shape. An attribute that is not given is empty. Clauses that neither begin
    with an article nor say `at` are prose and name no object.
    """
    objects: list[dict[str, str]] = []
    for clause in _CLAUSE_END.split(text.lower(), maxsplit=MAX_CLAUSES)[:MAX_CLAUSES]:
        clause = " ".join(clause.split())
        body = _ARTICLE.sub("", clause)
        what, at, place = body.partition(" at ")
        if body == clause and not at:
            continue
        words = what.split()
        if not words:
            continue
        objects.append(
            {
                "size": words[0] if len(words) > 2 else "",
                "color": " ".join(words[1:-1] if len(words) > 2 else words[:-1]),
                "shape": words[-1],
                "place": _place(place),
            }
        )
    return objects


def score_description(completion: str, objects: Sequence[Mapping[str, str]]) -> PerceptionScore:
    """How much of the scene the completion's `### Image Description:` section gets right.

    A completion without that section, or whose section names no object, scores 0 with the reason: nothing was
    described, which is a measurement and not a failure.

    Args:
        completion: A response in the paper's sections.
        objects: The scene, as `metadata["objects"]` of a `shapes` sample: `size`, `color`, `shape`, `place` each.

    Raises:
        DataError: The scene is empty, or an object lacks an attribute.
    """
    if not objects:
        raise DataError("the scene has no objects, so a description cannot be scored", where="metadata `objects`")
    scene = [_scene_object(item, position) for position, item in enumerate(objects)]
    description = split_sections(completion).description
    if description is None:
        return PerceptionScore(0.0, 0.0, 0.0, 0, len(scene), "no image description section")
    described = parse_description(description)
    if not described:
        return PerceptionScore(0.0, 0.0, 0.0, 0, len(scene), "the image description names no object")
    total = _agreement(described, scene)
    return PerceptionScore(
        precision=total / len(described),
        recall=total / len(scene),
        f1=2 * total / (len(described) + len(scene)),
        num_described=len(described),
        num_objects=len(scene),
        reason=f"{total:.2f} of {len(scene)} objects recovered by {len(described)} described",
    )


def _scene_object(item: Mapping[str, str], position: int) -> dict[str, str]:
    missing = [name for name in ATTRIBUTES if name not in item]
    if missing:
        raise DataError(f"a scene object lacks {', '.join(missing)}", where=f"metadata `objects`[{position}]")
    scene = {name: " ".join(str(item[name]).lower().split()) for name in ATTRIBUTES}
    return scene | {"place": _place(scene["place"])}


def _agreement(described: Sequence[Mapping[str, str]], scene: Sequence[Mapping[str, str]]) -> float:
    """Share of equal attributes, summed over the best one-to-one assignment; in 0 .. min(len, len)."""
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    shares = np.array([[sum(a[n] == b[n] for n in ATTRIBUTES) for b in scene] for a in described]) / len(ATTRIBUTES)
    rows, columns = linear_sum_assignment(shares, maximize=True)
    return float(shares[rows, columns].sum())


def _place(text: str) -> str:
    return "-".join(text.removeprefix("the ").replace("-", " ").split())
