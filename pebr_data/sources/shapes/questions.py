"""Questions about a scene, each with its gold answer and a worked response in the paper's sections.

Skills of depth 0 need perception alone; the others reason over what was perceived.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pebr_data.sources.shapes.scene import COLORS, SHAPES, Scene, SceneObject

Predicate = Callable[[SceneObject], bool]


@dataclass(frozen=True, slots=True)
class Question:
    """One question with everything the reference response says.

    Attributes:
        skill: Its kind, a key of `SKILLS`.
        depth: Operations on top of perception: 0 looks, 1 counts or compares, 2 composes.
        text: The question.
        answer: The gold answer.
        answer_type: `count`, `word` or `yes_no`.
        rationale: The plan, one clause.
        steps: The worked steps, in order; the last one states the answer.
    """

    skill: str
    depth: int
    text: str
    answer: str
    answer_type: str
    rationale: str
    steps: tuple[str, ...]


def _group(rng: random.Random) -> tuple[str, Predicate]:
    if rng.random() < 0.5:
        color = rng.choice(COLORS)
        return f"{color} objects", lambda item: item.color == color
    shape = rng.choice(SHAPES)
    return f"{shape} objects", lambda item: item.shape == shape


def _present_group(scene: Scene, rng: random.Random) -> tuple[str, Predicate]:
    """A group that usually has members, so that zero is not the best guess."""
    for _ in range(4):
        name, test = _group(rng)
        if any(test(item) for item in scene.objects):
            break
    return name, test


def _two_groups(scene: Scene, rng: random.Random) -> tuple[tuple[str, Predicate], tuple[str, Predicate]]:
    first = _present_group(scene, rng)
    while True:
        second = _present_group(scene, rng)
        if second[0] != first[0]:
            return first, second


def _tally(name: str, members: Sequence[SceneObject]) -> str:
    """Names the members before counting them: `red objects at top-left, center: 2`."""
    places = ", ".join(item.place for item in members)
    return f"{name} at {places}: {len(members)}" if members else f"{name}: 0"


def _members(scene: Scene, test: Predicate) -> list[SceneObject]:
    return [item for item in scene.objects if test(item)]


def count_all(scene: Scene, rng: random.Random) -> Question:
    """How many objects there are."""
    tally = _tally("objects", scene.objects)
    number = str(len(scene.objects))
    return Question("count-all", 1, "how many objects are there?", number, "count", "count the objects", (tally,))


def count_group(scene: Scene, rng: random.Random) -> Question:
    """How many objects have a given colour or shape."""
    name, test = _present_group(scene, rng)
    members = _members(scene, test)
    steps = (_tally(name, members),)
    number = str(len(members))
    return Question("count-group", 1, f"how many {name} are there?", number, "count", f"count the {name}", steps)


def name_color(scene: Scene, rng: random.Random) -> Question:
    """The colour of the object at a given place."""
    item = rng.choice(scene.objects)
    text = f"what color is the object at {item.place}?"
    step = f"{item.color} {item.shape} at {item.place}"
    return Question("name-color", 0, text, item.color, "word", f"look at {item.place}", (step,))


def name_shape(scene: Scene, rng: random.Random) -> Question:
    """The shape of the object at a given place."""
    item = rng.choice(scene.objects)
    text = f"what shape is the object at {item.place}?"
    step = f"{item.color} {item.shape} at {item.place}"
    return Question("name-shape", 0, text, item.shape, "word", f"look at {item.place}", (step,))


def locate(scene: Scene, rng: random.Random) -> Question:
    """Where the only object of its colour and shape stands."""
    looks = [(item.color, item.shape) for item in scene.objects]
    unique = [item for item in scene.objects if looks.count((item.color, item.shape)) == 1]
    if not unique:
        return count_group(scene, rng)
    item = rng.choice(unique)
    text = f"where is the {item.color} {item.shape}?"
    step = f"{item.color} {item.shape} at {item.place}"
    return Question("locate", 0, text, item.place, "word", f"look at the {item.color} {item.shape}", (step,))


def compare(scene: Scene, rng: random.Random) -> Question:
    """Whether one group is larger than another."""
    (name_a, test_a), (name_b, test_b) = _two_groups(scene, rng)
    a, b = _members(scene, test_a), _members(scene, test_b)
    answer = "yes" if len(a) > len(b) else "no"
    text = f"are there more {name_a} than {name_b}?"
    steps = (_tally(name_a, a), _tally(name_b, b), f"{len(a)} > {len(b)}: {answer}")
    return Question("compare", 2, text, answer, "yes_no", f"compare the {name_a} with the {name_b}", steps)


def subtract(scene: Scene, rng: random.Random) -> Question:
    """By how many one group is larger than another (the larger one is named first)."""
    (name_a, test_a), (name_b, test_b) = _two_groups(scene, rng)
    a, b = _members(scene, test_a), _members(scene, test_b)
    if len(a) < len(b):
        (name_a, a), (name_b, b) = (name_b, b), (name_a, a)
    number = str(len(a) - len(b))
    text = f"how many more {name_a} than {name_b} are there?"
    steps = (_tally(name_a, a), _tally(name_b, b), f"{len(a)} - {len(b)}: {number}")
    return Question("subtract", 2, text, number, "count", f"count the {name_a} minus the {name_b}", steps)


def combine(scene: Scene, rng: random.Random) -> Question:
    """How many objects two disjoint groups have together."""
    kind = rng.choice(("color", "shape"))
    first, second = rng.sample(COLORS if kind == "color" else SHAPES, 2)
    a = [item for item in scene.objects if getattr(item, kind) == first]
    b = [item for item in scene.objects if getattr(item, kind) == second]
    number = str(len(a) + len(b))
    text = f"how many {first} objects plus {second} objects are there?"
    rationale = f"count the {first} objects plus the {second} objects"
    steps = (_tally(f"{first} objects", a), _tally(f"{second} objects", b), f"{len(a)} + {len(b)}: {number}")
    return Question("combine", 2, text, number, "count", rationale, steps)


def relate(scene: Scene, rng: random.Random) -> Question:
    """How many objects stand left of, right of, above or below a given one."""
    anchor = rng.choice(scene.objects)
    row, column = divmod(anchor.cell, 3)
    relations: dict[str, Predicate] = {
        "left of": lambda item: item.cell % 3 < column,
        "right of": lambda item: item.cell % 3 > column,
        "above": lambda item: item.cell // 3 < row,
        "below": lambda item: item.cell // 3 > row,
    }
    relation, test = rng.choice(list(relations.items()))
    members = _members(scene, test)
    number = str(len(members))
    text = f"how many objects are {relation} the object at {anchor.place}?"
    rationale = f"look at objects {relation} {anchor.place}"
    return Question("relate", 1, text, number, "count", rationale, (_tally("objects", members),))


def compose(scene: Scene, rng: random.Random) -> Question:
    """How many objects are left once a group is taken away and some are added."""
    name, test = _present_group(scene, rng)
    members = _members(scene, test)
    added = rng.randint(1, 3)
    left = len(scene.objects) - len(members)
    number = str(left + added)
    text = f"how many objects are there if the {name} are removed and {added} added?"
    rationale = f"count the objects minus the {name} plus {added}"
    steps = (
        _tally("objects", scene.objects),
        _tally(name, members),
        f"{len(scene.objects)} - {len(members)}: {left}",
        f"{left} + {added}: {number}",
    )
    return Question("compose", 3, text, number, "count", rationale, steps)


SKILLS: dict[str, Callable[[Scene, random.Random], Question]] = {
    "count-all": count_all,
    "count-group": count_group,
    "name-color": name_color,
    "name-shape": name_shape,
    "locate": locate,
    "compare": compare,
    "subtract": subtract,
    "combine": combine,
    "relate": relate,
    "compose": compose,
}


def ask(scene: Scene, rng: random.Random) -> Question:
    """A question of a random skill about the scene."""
    return SKILLS[rng.choice(list(SKILLS))](scene, rng)


def respond(description: str, rationale: str, steps: Sequence[str], answer: str) -> str:
    """A response in the paper's sections."""
    lines = [f"### Image Description: {description}", f"### Rationales: {rationale}", "### Let's think step by step."]
    lines += [f"### Step {number}: {step}" for number, step in enumerate(steps, start=1)]
    lines.append(f"### The final answer is: {answer}")
    return "\n".join(lines)
