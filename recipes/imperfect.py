"""Imperfect demonstrators: worked responses as people in a hurry write them.

They are careless about sizes everywhere, leave objects out of full scenes, mix up neighbouring colours, and answer
wrongly where there is much to see and much to work out. A model that learns from them finds some questions easy, some
hard and most in between.
"""

from __future__ import annotations

import dataclasses
import random

from pebr_data.sources.shapes.questions import Question, respond
from pebr_data.sources.shapes.scene import CLOSE_COLORS, SHAPES, SIZES, Scene, SceneObject

SIZE_MISTAKEN = 0.12
COLOR_MISTAKEN = 0.08  # where colours are close
OBJECT_LEFT_OUT = 0.20  # of four objects or more
SECTION_SKIPPED = 0.06
ANSWER_LINE_SKIPPED = 0.03
ANSWER_MISTAKEN = (0.0, 0.05, 1.0)  # by strain


def strain(scene: Scene, question: Question) -> int:
    """0, 1 or 2: a point each for much to see (four objects; six count double) and to work out (depth 2; 3 double)."""
    num_objects, depth = len(scene.objects), question.depth
    if depth == 0:
        return int(num_objects >= 4)
    return min(2, (num_objects >= 4) + (num_objects >= 6) + (depth >= 2) + (depth >= 3))


def near_miss(item: SceneObject, rng: random.Random) -> SceneObject:
    """The object with one attribute mistaken, colours for their neighbours."""
    match rng.choice(("size", "color", "shape")):
        case "size":
            return _other_size(item)
        case "color":
            return dataclasses.replace(item, color=CLOSE_COLORS[item.color])
        case _:
            return dataclasses.replace(item, shape=rng.choice([shape for shape in SHAPES if shape != item.shape]))


def imperfect_response(scene: Scene, question: Question, rng: random.Random) -> str:
    """A worked response with mistakes at the rates above, independent of each other."""

    def slips(rate: float) -> bool:
        return rng.random() < rate

    objects = list(scene.objects)
    if len(objects) >= 4 and slips(OBJECT_LEFT_OUT):
        objects.pop(rng.randrange(len(objects)))
    objects = [_other_size(item) if slips(SIZE_MISTAKEN) else item for item in objects]
    if scene.close_colors:
        objects = [
            dataclasses.replace(item, color=CLOSE_COLORS[item.color]) if slips(COLOR_MISTAKEN) else item
            for item in objects
        ]
    answer, steps = question.answer, list(question.steps)
    strained = strain(scene, question)
    if slips(ANSWER_MISTAKEN[strained]):
        answer = _wrong(answer, scene, rng)
        if ": " in steps[-1]:
            steps[-1] = f"{steps[-1].rsplit(': ', 1)[0]}: {answer}"
    description = ", ".join(item.phrase for item in objects)
    lines = respond(description, question.rationale, steps, answer).split("\n")
    if strained and slips(SECTION_SKIPPED):
        lines.pop(rng.randrange(len(lines) - 1))
    if strained and slips(ANSWER_LINE_SKIPPED):
        lines.pop()
    return "\n".join(lines)


def _other_size(item: SceneObject) -> SceneObject:
    return dataclasses.replace(item, size=SIZES[1 - SIZES.index(item.size)])


def _wrong(answer: str, scene: Scene, rng: random.Random) -> str:
    """An answer that a slip gives: a count one too high, the other of yes and no, or what another object would be."""
    if answer.isdigit():
        return str(int(answer) + 1)
    if answer in ("yes", "no"):
        return "no" if answer == "yes" else "yes"
    kind = next(name for name in ("color", "shape", "place") if answer in {getattr(o, name) for o in scene.objects})
    others = [value for item in scene.objects if (value := getattr(item, kind)) != answer]
    return rng.choice(others) if others else answer
