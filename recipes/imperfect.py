"""Imperfect demonstrators: worked responses as people in a hurry write them."""

from __future__ import annotations

import dataclasses
import random

from pebr_data.sources.shapes.questions import Question, respond
from pebr_data.sources.shapes.scene import CLOSE_COLORS, SHAPES, SIZES, Scene, SceneObject

OBJECT_LEFT_OUT = 0.30
ATTRIBUTE_MISTAKEN = 0.10
MISCOUNTED = 0.35
SECTION_SKIPPED = 0.12
ANSWER_LINE_SKIPPED = 0.04


def mistake(item: SceneObject, rng: random.Random) -> SceneObject:
    """The object with one attribute mistaken, colours for their neighbours."""
    match rng.choice(("size", "color", "shape")):
        case "size":
            return dataclasses.replace(item, size=SIZES[1 - SIZES.index(item.size)])
        case "color":
            return dataclasses.replace(item, color=CLOSE_COLORS[item.color])
        case _:
            return dataclasses.replace(item, shape=rng.choice([shape for shape in SHAPES if shape != item.shape]))


def imperfect_response(scene: Scene, question: Question, rng: random.Random) -> str:
    """A worked response with, at the rates above, independent mistakes of every kind."""
    objects = list(scene.objects)
    if len(objects) > 1 and rng.random() < OBJECT_LEFT_OUT:
        objects.pop(rng.randrange(len(objects)))
    objects = [mistake(item, rng) if rng.random() < ATTRIBUTE_MISTAKEN else item for item in objects]
    description = ", ".join(item.phrase for item in objects)
    answer, steps = question.answer, list(question.steps)
    if rng.random() < MISCOUNTED:
        if answer.isdigit():
            answer = str(max(0, int(answer) + rng.choice((-1, 1))))
        elif answer in ("yes", "no"):
            answer = "no" if answer == "yes" else "yes"
        else:
            answer = rng.choice([word for item in scene.objects for word in (item.color, item.shape, item.place) if _kin(word, answer)])
        steps[-1] = steps[-1].rsplit(": ", 1)[0] + f": {answer}" if ": " in steps[-1] else steps[-1]
    text = respond(description, question.rationale, steps, answer)
    lines = text.split("\n")
    if rng.random() < SECTION_SKIPPED:
        lines.pop(rng.randrange(len(lines) - 1))
    if rng.random() < ANSWER_LINE_SKIPPED:
        lines.pop()
    return "\n".join(lines)


def _kin(word: str, answer: str) -> bool:
    """Whether two words name the same kind of thing: both colours, both shapes or both places."""
    kinds = (tuple(CLOSE_COLORS), SHAPES)
    for kind in kinds:
        if answer in kind:
            return word in kind
    return not any(word in kind for kind in kinds)
