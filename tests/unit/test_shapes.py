"""The shapes world: golds are right, splits share no scene, the same seed gives the same bytes."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

import pytest

from pebr_data.errors import ConfigError
from pebr_data.images import decode
from pebr_data.sources.shapes import ShapesSource, draw_pairs
from pebr_data.sources.shapes.questions import SKILLS
from pebr_data.sources.shapes.render import SIDE_PIXELS, render
from pebr_data.sources.shapes.scene import PLACES, SPLIT_SHARES
from pebr_data.types import Candidate

Objects = list[dict[str, str]]


@pytest.fixture(scope="module")
def candidates() -> list[Candidate]:
    return list(ShapesSource(name="shapes", seed=3, splits={"train": 400}).candidates())


def _group(objects: Objects, word: str) -> int:
    return sum(word in (item["color"], item["shape"]) for item in objects)


def _solve(question: str, objects: Objects) -> str:
    """The answer worked out from the wording alone, independently of the generator."""
    at = {item["place"]: item for item in objects}
    if question == "how many objects are there?":
        return str(len(objects))
    if found := re.fullmatch(r"what (color|shape) is the object at ([a-z-]+)\?", question):
        return at[found[2]][found[1]]
    if found := re.fullmatch(r"where is the (\w+) (\w+)\?", question):
        (item,) = (item for item in objects if (item["color"], item["shape"]) == found.groups())
        return item["place"]
    if found := re.fullmatch(r"are there more (\w+) objects than (\w+) objects\?", question):
        return "yes" if _group(objects, found[1]) > _group(objects, found[2]) else "no"
    if found := re.fullmatch(r"how many more (\w+) objects than (\w+) objects are there\?", question):
        return str(_group(objects, found[1]) - _group(objects, found[2]))
    if found := re.fullmatch(r"how many (\w+) objects plus (\w+) objects are there\?", question):
        return str(_group(objects, found[1]) + _group(objects, found[2]))
    if found := re.fullmatch(
        r"how many objects are (left of|right of|above|below) the object at ([a-z-]+)\?", question
    ):
        row, column = divmod(PLACES.index(found[2]), 3)
        cells = [divmod(PLACES.index(item["place"]), 3) for item in objects]
        inside = {
            "left of": [c < column for _, c in cells],
            "right of": [c > column for _, c in cells],
            "above": [r < row for r, _ in cells],
            "below": [r > row for r, _ in cells],
        }
        return str(sum(inside[found[1]]))
    if found := re.fullmatch(r"how many objects are there if the (\w+) objects are removed and (\d) added\?", question):
        return str(len(objects) - _group(objects, found[1]) + int(found[2]))
    found = re.fullmatch(r"how many (\w+) objects are there\?", question)
    assert found, f"a question in unknown words: {question}"
    return str(_group(objects, found[1]))


def test_gold_answers_agree_with_an_independent_solver(candidates: list[Candidate]) -> None:
    for candidate in candidates:
        assert candidate.answer == _solve(candidate.question, candidate.metadata["objects"]), candidate.question


def test_every_skill_is_asked(candidates: list[Candidate]) -> None:
    assert {candidate.skill for candidate in candidates} == set(SKILLS)


def test_the_reference_response_holds_the_description_every_keyword_and_the_answer(candidates: list[Candidate]) -> None:
    for candidate in candidates:
        assert candidate.response is not None and candidate.description is not None
        lines = candidate.response.split("\n")
        assert lines[0] == f"### Image Description: {candidate.description}"
        assert lines[-1] == f"### The final answer is: {candidate.answer}"
        assert all(keyword in candidate.response for keyword in candidate.keywords)
        assert candidate.answer in lines[-2]


def test_splits_share_no_scene_whatever_the_seed() -> None:
    layouts = {
        split: {scene.objects for seed in (0, 1) for scene, _ in islice(draw_pairs(split, seed), 300)}
        for split in SPLIT_SHARES
    }
    assert not layouts["train"] & layouts["test"]
    assert not layouts["pretrain"] & (layouts["train"] | layouts["test"])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    def draw(seed: int) -> list[Candidate]:
        return list(ShapesSource(name="shapes", seed=seed, splits={"train": 5, "test": 5}).candidates())

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_images_decode_to_what_was_rendered(candidates: list[Candidate]) -> None:
    scene, _ = next(draw_pairs("train", 3))
    assert decode(candidates[0].images[0], None).tobytes() == render(scene).tobytes()
    assert render(scene).size == (SIDE_PIXELS, SIDE_PIXELS)


def test_difficulty_factors_vary(candidates: list[Candidate]) -> None:
    for factor, at_least in (
        ("num_objects", 6),
        ("close_colors", 2),
        ("clutter", 4),
        ("num_occluded", 3),
        ("depth", 4),
    ):
        assert len({candidate.metadata[factor] for candidate in candidates}) >= at_least, factor


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(ConfigError, match="validation"):
        ShapesSource(name="shapes", seed=0, splits={"validation": 3})


def test_objects_of_metadata_are_plain_values(candidates: list[Candidate]) -> None:
    first: dict[str, Any] = candidates[0].metadata["objects"][0]
    assert set(first) == {"size", "color", "shape", "place"}
