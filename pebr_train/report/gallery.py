"""The gallery: held-out samples with their image, gold, and rollouts before and after, chosen by rule."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pebr_data.catalog.store import Catalog
from pebr_data.errors import DataError
from pebr_data.images import ImageStore, decode
from pebr_data.types import Rollout, Sample
from pebr_train.evaluation import Evaluation, pass_at_1

QUOTAS = {"improved": 4, "worse": 2, "unchanged": 2}
"""Samples shown of each kind."""
MAX_IMAGE_PIXELS = 448 * 448
MAX_ORIGINAL_BYTES = 64 * 1024
LONG_CHARACTERS = 1500
_HEADING = re.compile(r"^(#{1,6} [^:\n]{1,80}:?)(.*)$")


@dataclass(frozen=True, slots=True)
class Answered:
    """One rollout as the page shows it: lines of (heading, rest), where the heading may be empty."""

    outcome: str
    answer: str | None
    lines: tuple[tuple[str, str], ...]
    num_tokens: int
    seed: int | None

    @property
    def is_long(self) -> bool:
        """Whether it is better folded away at first."""
        return sum(len(heading) + len(rest) for heading, rest in self.lines) > LONG_CHARACTERS


@dataclass(frozen=True, slots=True)
class Side:
    """What one policy answered to a sample: greedily, then sampled."""

    name: str
    kind: str
    greedy: Answered | None
    sampled: tuple[Answered, ...]


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One sample of the gallery."""

    sample: Sample
    images: tuple[str, ...]
    change: str
    sides: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class Gallery:
    """The exhibits, and of how many samples each kind of change was drawn from."""

    exhibits: tuple[Exhibit, ...]
    drawn: tuple[tuple[str, int, int], ...]


def changes(before: Evaluation, after: Evaluation) -> dict[str, list[str]]:
    """sample_ids whose pass@1 improved, got worse or stayed, each ordered by id, which is a hash: a fair draw.

    Samples that were and stayed all correct have nothing to show and come last among the unchanged.
    """
    known = {result.sample_id: pass_at_1(result) for result in before.results}
    found: dict[str, list[str]] = {kind: [] for kind in QUOTAS}
    solved = []
    for result in sorted(after.results, key=lambda result: result.sample_id):
        old, new = known.get(result.sample_id), pass_at_1(result)
        if old is None or new is None:
            continue
        if old == new == 1:
            solved.append(result.sample_id)
        else:
            found["improved" if new > old else "worse" if new < old else "unchanged"].append(result.sample_id)
    found["unchanged"] += solved
    return found


def gallery(store: Path, sides: Sequence[tuple[str, str, Evaluation]]) -> Gallery:
    """The gallery of first side against last; (name, kind, evaluation) for each side. Empty with fewer than two."""
    if len(sides) < 2:
        return Gallery((), ())
    found = changes(sides[0][2], sides[-1][2])
    chosen = {sample_id: kind for kind, ids in found.items() for sample_id in ids[: QUOTAS[kind]]}
    ids = list(chosen)
    with Catalog.open(store, read_only=True) as catalog:
        samples = catalog.samples(sample_ids=ids)
        rollouts = [
            (
                _by_sample(catalog.rollouts(e.greedy.probe_id, ids)),
                _by_sample(catalog.rollouts(e.sampled.probe_id, ids)),
            )
            for _, _, e in sides
        ]
    images = ImageStore(store / "images")
    exhibits = []
    for sample in samples:
        shown = tuple(
            _side(name, kind, greedy.get(sample.sample_id, []), sampled.get(sample.sample_id, [])[: e.num_rollouts])
            for (name, kind, e), (greedy, sampled) in zip(sides, rollouts, strict=True)
        )
        uris = tuple(data_uri(images.get(image_hash)) for image_hash in sample.image_hashes)
        exhibits.append(Exhibit(sample, uris, chosen[sample.sample_id], shown))
    drawn = tuple((kind, min(len(ids), QUOTAS[kind]), len(ids)) for kind, ids in found.items())
    return Gallery(tuple(exhibits), drawn)


def data_uri(data: bytes) -> str:
    """An image as a data URI: decoded and encoded anew, smaller when it is large, so that nothing foreign is embedded.

    Raises:
        DataError: It is no image that can be shown.
    """
    image = decode(data, MAX_IMAGE_PIXELS)
    for kind, options in (("PNG", {"optimize": True}), ("JPEG", {"quality": 82})):
        buffer = io.BytesIO()
        image.save(buffer, format=kind, **options)
        if buffer.tell() <= MAX_ORIGINAL_BYTES or kind == "JPEG":
            return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    raise DataError("the image cannot be encoded")


def _side(name: str, kind: str, greedy: Sequence[Rollout], sampled: Sequence[Rollout]) -> Side:
    first = _answered(greedy[0], greedy=True) if greedy else None
    return Side(name, kind, first, tuple(_answered(rollout) for rollout in sampled))


def _answered(rollout: Rollout, *, greedy: bool = False) -> Answered:
    return Answered(
        outcome=str(rollout.grade.outcome),
        answer=rollout.grade.answer,
        lines=tuple(_split_heading(line) for line in rollout.generation.completion.strip().splitlines()),
        num_tokens=rollout.generation.num_tokens,
        seed=None if greedy else rollout.key.seed,
    )


def _split_heading(line: str) -> tuple[str, str]:
    match = _HEADING.match(line)
    return (match[1], match[2]) if match else ("", line)


def _by_sample(rollouts: Sequence[Rollout]) -> Mapping[str, list[Rollout]]:
    grouped: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        grouped.setdefault(rollout.key.sample_id, []).append(rollout)
    return grouped
