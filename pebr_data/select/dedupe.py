"""Dedupe: samples of a catalog that are as good as one, so that a mixture takes only one of them.

found = dedupe(config, store)          # marks them; `select` then leaves them out as `duplicate`

Two samples are one when they show the same images and ask the same question (`exact`, whatever their golds say), when
the images look the same and question and gold are the same (`image`), or when the images are the same or look the same,
the questions are nearly the same and the golds are the same (`question`). Alike images alone make no duplicate: many
questions are asked about one picture. Nothing is deleted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pebr_data.catalog.image_facts import complete_image_facts
from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.grading.equivalence import compare
from pebr_data.images import ImageStore, decode
from pebr_data.select.alike import (
    MIN_COSINE,
    RADIUS,
    alike_images,
    alike_questions,
    alike_texts,
    embedded_pairs,
    normalized,
)

if TYPE_CHECKING:
    from pebr_data.models import ResolvedModel

REASONS = ("exact", "image", "question")
"""Why a sample is a duplicate, the strongest first."""

_MAX_EMBEDDED_PIXELS = 512 * 512


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Samples with the same question about the same, or alike, images whose golds differ: (sample_id, gold) each."""

    golds: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Duplicates:
    """What a search found.

    Attributes:
        num_samples: Samples that were compared.
        duplicates: sample_id, kept_id, reason; the samples to leave out, each with the one that is kept for it.
        contradictions: Clusters whose samples do not agree on the gold. One sample of each is kept nonetheless.
        look_alikes: Pairs with the same question about images that look the same, and different golds: different
            samples, or a wrong gold. Both are kept.
        unknown_images: By hash, why an image could be compared by its bytes alone.
    """

    num_samples: int
    duplicates: pl.DataFrame
    contradictions: tuple[Disagreement, ...]
    look_alikes: tuple[Disagreement, ...]
    unknown_images: Mapping[str, str]

    @property
    def num_clusters(self) -> int:
        """Clusters of two samples or more."""
        return self.duplicates["kept_id"].n_unique()

    def reasons(self) -> dict[str, int]:
        """How many samples are left out, per reason."""
        counts = dict(self.duplicates.group_by("reason").len().iter_rows())
        return {reason: counts.get(reason, 0) for reason in REASONS}


def dedupe(
    config: CatalogConfig,
    store: Path,
    *,
    radius: int = RADIUS,
    embed: ResolvedModel | None = None,
    min_cosine: float = MIN_COSINE,
    dry_run: bool = False,
) -> Duplicates:
    """Find a catalog's duplicates and mark them; the marks of an earlier search are replaced.

    Of a cluster the first sample is kept, by source (in the YAML's order) and position. Samples outside the split that
    is probed come before all others, so that no sample to train on has a twin in a held-out split.

    Args:
        config: The catalog YAML.
        store: The store it was built into.
        radius: Bits of 64 in which the perceptual hashes of images that look the same may differ.
        embed: A CLIP-like model whose embeddings say which images look the same, besides the hashes.
        min_cosine: From which cosine on they do.
        dry_run: Mark nothing. Facts of images that were stored by an earlier pebr are still completed.

    Raises:
        BusyError: Another process holds the catalog.
        DataError: The catalog was not built into the store.
    """
    with Catalog.open(store, read_only=True) as catalog:
        samples = catalog.compared_samples(config.name)
    unknown = complete_image_facts(store, config.name)
    with Catalog.open(store, read_only=True) as catalog:
        images = catalog.compared_images(config.name)
    pairs = alike_images(images, images, radius)
    settings: dict[str, Any] = {"radius": radius}
    if embed is not None:
        settings |= {"model": embed.name, "revision": embed.revision, "min_cosine": min_cosine}
        pairs = pl.concat([pairs, _embedded(store, images["image_hash"].to_list(), embed, min_cosine)]).unique()
    found = find_duplicates(
        samples,
        pairs,
        rank=_rank(samples, [source.name for source in config.sources], config.probe.split),
        unknown_images=unknown,
    )
    if not dry_run:
        with Catalog.open(store) as catalog:
            catalog.mark_duplicates(config.name, found.duplicates, settings)
    return found


def find_duplicates(
    samples: pl.DataFrame,
    image_pairs: pl.DataFrame,
    *,
    rank: Sequence[int],
    unknown_images: Mapping[str, str] | None = None,
) -> Duplicates:
    """The duplicates among samples. Pure.

    Args:
        samples: As `Catalog.compared_samples` gives them.
        image_pairs: left, right: hashes of images that look the same, both ways round.
        rank: For each sample its place; the lowest of a cluster is kept.
        unknown_images: Goes into the result.
    """
    rows = [_Row(number, row) for number, row in enumerate(samples.iter_rows(named=True))]
    exact: dict[tuple[tuple[str, ...], str], int] = {}
    edges: list[tuple[int, int, int]] = []
    firsts: list[_Row] = []
    for row in sorted(rows, key=lambda row: rank[row.number]):
        first = exact.setdefault((tuple(sorted(row.images)), row.question), row.number)
        if first == row.number:
            firsts.append(row)
        else:
            edges.append((first, row.number, REASONS.index("exact")))
    look_alikes: list[Disagreement] = []
    for one, other in _candidates(firsts, image_pairs):
        if one.question == other.question:
            if _same_gold(one, other):
                edges.append((one.number, other.number, REASONS.index("image")))
            else:
                look_alikes.append(Disagreement((one.gold, other.gold)))
        elif alike_questions(one.question, other.question) and _same_gold(one, other):
            edges.append((one.number, other.number, REASONS.index("question")))
    clusters = _clusters(len(rows), edges)
    strongest: dict[int, int] = {}
    for one_number, other_number, reason in edges:
        for number in (one_number, other_number):
            strongest[number] = min(reason, strongest.get(number, reason))
    duplicates: list[tuple[str, str, str]] = []
    contradictions: list[Disagreement] = []
    for members in clusters:
        kept, *others = sorted((rows[number] for number in members), key=lambda row: rank[row.number])
        duplicates += [(row.sample_id, kept.sample_id, REASONS[strongest[row.number]]) for row in others]
        if not all(_same_gold(kept, row) for row in others):
            contradictions.append(Disagreement(tuple(row.gold for row in (kept, *others))))
    schema = {"sample_id": pl.String, "kept_id": pl.String, "reason": pl.String}
    return Duplicates(
        num_samples=len(rows),
        duplicates=pl.DataFrame(duplicates, schema=schema, orient="row"),
        contradictions=tuple(contradictions),
        look_alikes=tuple(look_alikes),
        unknown_images=dict(unknown_images or {}),
    )


def _embedded(store: Path, image_hashes: Sequence[str], model: ResolvedModel, min_cosine: float) -> pl.DataFrame:
    from pebr_data.engines.embed import embed_images

    images = ImageStore(store / "images")
    pictures = (decode(images.get(image_hash), _MAX_EMBEDDED_PIXELS) for image_hash in image_hashes)
    return embedded_pairs(image_hashes, embed_images(model, pictures), min_cosine)


class _Row:
    """A sample as it is compared."""

    __slots__ = ("answer_type", "gold", "images", "number", "options", "question", "sample_id")

    def __init__(self, number: int, row: Mapping[str, Any]) -> None:
        self.number = number
        self.sample_id: str = row["sample_id"]
        self.images: tuple[str, ...] = tuple(row["image_hashes"])
        # Options belong to what is asked.
        self.question = normalized("\n".join((row["question"], *row["options"])))
        self.gold: tuple[str, str] = (row["sample_id"], row["answer"])
        self.answer_type: str | None = row["answer_type"]
        self.options: list[str] = row["options"]


def _same_gold(one: _Row, other: _Row) -> bool:
    left, right = one.gold[1], other.gold[1]
    return normalized(left) == normalized(right) or compare(left, right, other.answer_type, other.options).equal is True


def _candidates(rows: Sequence[_Row], image_pairs: pl.DataFrame) -> Iterator[tuple[_Row, _Row]]:
    """Pairs of samples whose images are the same or look the same, one by one; text-only ones with alike questions."""
    pairs = set(image_pairs.iter_rows())
    partners: defaultdict[str, list[str]] = defaultdict(list)
    for left, right in pairs:
        partners[left].append(right)
    showing: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        if row.images:
            showing[row.images[0]].append(row)
    for row in rows:
        if not row.images:
            continue
        for first in (row.images[0], *partners[row.images[0]]):
            for other in showing[first]:
                if row.number < other.number and _all_alike(row.images, other.images, pairs):
                    yield row, other
    unseen = [row for row in rows if not row.images]
    questions = [row.question for row in unseen]
    for left, right in alike_texts(questions, questions):
        if left < right:
            yield unseen[left], unseen[right]


def _all_alike(left: tuple[str, ...], right: tuple[str, ...], pairs: set[tuple[Any, ...]]) -> bool:
    return len(left) == len(right) and all(
        one == other or (one, other) in pairs for one, other in zip(left, right, strict=True)
    )


def _clusters(num_rows: int, edges: Sequence[tuple[int, int, int]]) -> list[list[int]]:
    """The connected rows, two or more to a cluster."""
    if not edges:
        return []
    left, right, _ = np.array(edges).T
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(num_rows, num_rows))
    _, labels = connected_components(graph, directed=False)
    members: defaultdict[int, list[int]] = defaultdict(list)
    for number in sorted({*left.tolist(), *right.tolist()}):
        members[int(labels[number])].append(number)
    return list(members.values())


def _rank(samples: pl.DataFrame, sources: Sequence[str], split: str | None) -> list[int]:
    order = {name: place for place, name in enumerate(sources)}
    keys = [
        (its_split == split, order.get(source, len(order)), position, sample_id)
        for sample_id, source, its_split, position in samples.select(
            "sample_id", "source", "split", "position"
        ).iter_rows()
    ]
    rank = [0] * len(keys)
    for place, number in enumerate(sorted(range(len(keys)), key=keys.__getitem__)):
        rank[number] = place
    return rank
