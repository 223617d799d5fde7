"""The source `shapes`: a seeded generator of rendered scenes with questions, golds and worked responses."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from pebr_data.errors import ConfigError
from pebr_data.sources.shapes.questions import Question, ask, respond
from pebr_data.sources.shapes.render import render_png
from pebr_data.sources.shapes.scene import SPLIT_SHARES, Scene, draw_scene
from pebr_data.types import Candidate


def draw_pairs(split: str, seed: int) -> Iterator[tuple[Scene, Question]]:
    """Endless scenes of one split with a question each; the same for the same (split, seed).

    Scenes whose layout belongs to another split are passed over, and so is a layout that came before.
    """
    rng = random.Random(f"shapes/{split}/{seed}")
    seen: set[str] = set()
    while True:
        scene = draw_scene(rng)
        question = ask(scene, rng)
        if scene.split == split and scene.description not in seen:
            seen.add(scene.description)
            yield scene, question


def to_candidate(name: str, split: str, scene: Scene, question: Question) -> Candidate:
    """The candidate sample of a scene and a question, image rendered."""
    return Candidate(
        source=name,
        split=split,
        question=question.text,
        answer=question.answer,
        images=(render_png(scene),),
        answer_type=question.answer_type,
        keywords=tuple(f"{item.color} {item.shape} at {item.place}" for item in scene.objects),
        description=scene.description,
        response=respond(scene.description, question.rationale, question.steps, question.answer),
        skill=question.skill,
        metadata={**scene.to_metadata(), "depth": question.depth},
    )


class ShapesSource:
    """Yields `splits[split]` candidates for each split, in the order the splits are given.

    Args:
        name: The source's name in the catalog.
        seed: Seeds every split's own stream.
        splits: How many samples of each split; names out of `SPLIT_SHARES`.

    Raises:
        ConfigError: A split the world does not know.
    """

    def __init__(self, *, name: str, seed: int, splits: Mapping[str, int]) -> None:
        unknown = sorted(set(splits) - set(SPLIT_SHARES))
        if unknown:
            raise ConfigError(
                f"shapes has no split {', '.join(unknown)}",
                where=f"source {name}",
                help=f"use the splits {', '.join(SPLIT_SHARES)}",
            )
        self.name = name
        self._seed = seed
        self._splits = dict(splits)

    def candidates(self) -> Iterator[Candidate]:
        """The samples, rendered one by one."""
        for split, count in self._splits.items():
            pairs = draw_pairs(split, self._seed)
            for _ in range(count):
                yield to_candidate(self.name, split, *next(pairs))
