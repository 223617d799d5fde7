"""Scenes of the shapes world: coloured objects on a 3x3 grid, drawn at random with known difficulty factors.

A scene's layout (what stands where) decides by its hash to which split it belongs, so two splits never share a
scene, whatever their seeds and sizes.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass

from pebr_data.hashing import digest
from pebr_data.types import Json

SIZES = ("large", "small")
COLORS = ("red", "orange", "yellow", "green", "blue", "purple")
SHAPES = ("circle", "square", "triangle", "cross")
PLACES = (
    "top-left",
    "top-center",
    "top-right",
    "middle-left",
    "center",
    "middle-right",
    "bottom-left",
    "bottom-center",
    "bottom-right",
)
"""Cell names in reading order: cell i is row i // 3, column i % 3."""

CLOSE_COLORS = {
    "red": "orange",
    "orange": "red",
    "yellow": "orange",
    "green": "blue",
    "blue": "purple",
    "purple": "blue",
}

SPLIT_SHARES = {"pretrain": 50, "train": 25, "test": 25}
"""How many of 100 hash buckets of layouts each split owns."""


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object: how it looks and in which cell it stands."""

    size: str
    color: str
    shape: str
    place: str

    @property
    def cell(self) -> int:
        """Index of its cell in `PLACES` (0 .. 8)."""
        return PLACES.index(self.place)

    @property
    def phrase(self) -> str:
        """The reference wording, `a large red circle at top-left`."""
        return f"a {self.size} {self.color} {self.shape} at {self.place}"


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene with its difficulty factors.

    Attributes:
        objects: 1 to 6 objects in reading order, at most one a cell.
        close_colors: Whether colours are drawn from neighbouring hues only and tinted towards each other.
        clutter: Number of thin grey strokes drawn over the background (0 to 6).
        occluded: Places of the objects behind a grey bar that hides up to a third of them.
        render_seed: Seeds position jitter, tints, background and strokes.
    """

    objects: tuple[SceneObject, ...]
    close_colors: bool
    clutter: int
    occluded: tuple[str, ...]
    render_seed: int

    @property
    def split(self) -> str:
        """The split that owns this layout."""
        bucket = int(digest([asdict(item) for item in self.objects])[:8], 16) % 100
        for split, share in SPLIT_SHARES.items():
            if bucket < share:
                return split
            bucket -= share
        raise AssertionError("SPLIT_SHARES must add up to 100")

    @property
    def description(self) -> str:
        """The reference description, objects in reading order."""
        return ", ".join(item.phrase for item in self.objects)

    def to_metadata(self) -> dict[str, Json]:
        """Objects and difficulty factors as JSON-serialisable values."""
        return {
            "objects": [asdict(item) for item in self.objects],
            "num_objects": len(self.objects),
            "num_small": sum(item.size == "small" for item in self.objects),
            "close_colors": self.close_colors,
            "clutter": self.clutter,
            "num_occluded": len(self.occluded),
        }


def draw_scene(rng: random.Random) -> Scene:
    """Draws a scene: every difficulty factor independently of the others."""
    num_objects = rng.choice((1, 2, 3, 3, 4, 4, 5, 5, 6, 6))
    close_colors = rng.random() < 0.35
    if close_colors:
        first = rng.choice(COLORS)
        palette: tuple[str, ...] = (first, CLOSE_COLORS[first])
    else:
        palette = tuple(rng.sample(COLORS, rng.choice((2, 3, 4, 6))))
    shapes = rng.sample(SHAPES, rng.choice((2, 3, 4)))
    cells = sorted(rng.sample(range(len(PLACES)), num_objects))
    objects = tuple(
        SceneObject(rng.choice(SIZES), rng.choice(palette), rng.choice(shapes), PLACES[cell]) for cell in cells
    )
    clutter = rng.choice((0, 0, 2, 4, 6))
    occluded = tuple(item.place for item in objects if rng.random() < 0.12)
    return Scene(objects, close_colors, clutter, occluded, rng.getrandbits(32))
