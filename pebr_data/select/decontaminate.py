"""Decontaminate: samples of a catalog that a benchmark has too, so that no mixture trains on what is measured with.

overlaps = decontaminate(config, store, [benchmark])     # marks them; `select` leaves them out as `in-benchmark`

A benchmark is a catalog like any other, built into the same store. A sample is in it when it shows one of its images
(`image`), one that looks the same (`near-image`), or asks one of its questions nearly word by word (`question`). An
image alone is enough here: whoever was trained on the picture of a test question has seen part of the test. A question
counts when it is specific: of some length and about one or two pictures, or about none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pebr_data.catalog.image_facts import complete_image_facts
from pebr_data.catalog.ingest import build
from pebr_data.catalog.pending import pending
from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.errors import UsageError
from pebr_data.select.alike import RADIUS, alike_images, alike_texts, normalized

REASONS = ("image", "near-image", "question")
"""How a sample overlaps with a benchmark, the strongest first."""

MIN_QUESTION_CHARACTERS = 50
"""Shorter questions about pictures ("How many circles are there?") are asked everywhere."""

MAX_QUESTION_IMAGES = 2
"""A question that is asked about more pictures than this is a template."""


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """What a catalog shares with one benchmark.

    Attributes:
        benchmark: The benchmark's name.
        num_samples: Samples of the catalog that were compared.
        num_benchmark_samples: Samples of the benchmark; None when it is not built, and nothing was compared.
        overlaps: sample_id, benchmark_sample_id, reason: the samples to leave out, each with one of those it is like.
        num_seen: Samples of the benchmark that the catalog has something of.
        num_unknown_images: Images that could not be compared, because they are gone or damaged.
    """

    benchmark: str
    num_samples: int
    num_benchmark_samples: int | None
    overlaps: pl.DataFrame
    num_seen: int
    num_unknown_images: int

    def reasons(self) -> dict[str, int]:
        """How many samples are left out, per reason."""
        counts = dict(self.overlaps.group_by("reason").len().iter_rows())
        return {reason: counts.get(reason, 0) for reason in REASONS}


def decontaminate(
    config: CatalogConfig,
    store: Path,
    benchmarks: Sequence[CatalogConfig],
    *,
    radius: int = RADIUS,
    dry_run: bool = False,
) -> list[Overlap]:
    """Find what a catalog shares with each benchmark and mark it; marks of earlier searches in these are replaced.

    Args:
        config: The catalog YAML.
        store: The store it was built into. Benchmarks that are not are built into it.
        benchmarks: Their YAMLs.
        radius: Bits of 64 in which the perceptual hashes of images that look the same may differ.
        dry_run: Build and mark nothing; a benchmark that is not built is not compared.

    Raises:
        BusyError: Another process holds the catalog.
        DataError: The catalog was not built into the store, or a benchmark's source cannot be read.
        UsageError: A benchmark has the catalog's own name.
    """
    if any(benchmark.name == config.name for benchmark in benchmarks):
        raise UsageError(f"the catalog {config.name!r} cannot be its own benchmark", help="give the benchmark a `name`")
    with Catalog.open(store, read_only=True) as catalog:
        samples = catalog.compared_samples(config.name)
    num_unknown = len(complete_image_facts(store, config.name))
    with Catalog.open(store, read_only=True) as catalog:
        images = catalog.compared_images(config.name)
    found: list[Overlap] = []
    for benchmark in benchmarks:
        if pending(benchmark, store):
            if dry_run:
                found.append(Overlap(benchmark.name, len(samples), None, _chosen([]), 0, num_unknown))
                continue
            build(benchmark, store)
        num_missing = len(complete_image_facts(store, benchmark.name))
        with Catalog.open(store, read_only=True) as catalog:
            its_samples = catalog.compared_samples(benchmark.name)
            its_images = catalog.compared_images(benchmark.name)
        every = find_overlaps(samples, images, its_samples, its_images, radius=radius)
        overlap = Overlap(
            benchmark=benchmark.name,
            num_samples=len(samples),
            num_benchmark_samples=len(its_samples),
            overlaps=_chosen([every]),
            num_seen=every["benchmark_sample_id"].n_unique(),
            num_unknown_images=num_unknown + num_missing,
        )
        if not dry_run:
            with Catalog.open(store) as catalog:
                catalog.mark_overlaps(config.name, benchmark.name, overlap.overlaps, {"radius": radius})
        found.append(overlap)
    return found


def find_overlaps(
    samples: pl.DataFrame, images: pl.DataFrame, its_samples: pl.DataFrame, its_images: pl.DataFrame, *, radius: int
) -> pl.DataFrame:
    """Every pair of a sample and a benchmark's sample that overlap, with each reason. Pure.

    Args:
        samples: As `Catalog.compared_samples` gives them; `its_samples` are the benchmark's.
        images: As `Catalog.compared_images` gives them; `its_images` are the benchmark's.
        its_samples: See `samples`.
        its_images: See `images`.
        radius: As for `decontaminate`.

    Returns:
        sample_id, benchmark_sample_id, reason.
    """
    same = images.join(its_images, on="image_hash").select(left="image_hash", right="image_hash")
    shown, its_shown = _shown(samples), _shown(its_samples)
    parts = [
        pairs.join(shown, left_on="left", right_on="image_hash")
        .join(its_shown, left_on="right", right_on="image_hash", suffix="_of_benchmark")
        .select("sample_id", benchmark_sample_id="sample_id_of_benchmark", reason=pl.lit(reason))
        for reason, pairs in (("image", same), ("near-image", alike_images(images, its_images, radius)))
    ]
    ours, theirs = _questions(samples), _questions(its_samples)
    pairs = alike_texts(ours["question"].to_list(), theirs["question"].to_list())
    positions = pl.DataFrame(pairs, schema={"left": pl.UInt32, "right": pl.UInt32}, orient="row")
    asked = (
        positions.join(ours.with_row_index("left"), on="left")
        .join(theirs.with_row_index("right"), on="right", suffix="_of_benchmark")
        .explode("sample_ids")
        .explode("sample_ids_of_benchmark")
        .select(sample_id="sample_ids", benchmark_sample_id="sample_ids_of_benchmark", reason=pl.lit("question"))
    )
    return pl.concat([*parts, asked]).unique(maintain_order=True)


def _shown(samples: pl.DataFrame) -> pl.DataFrame:
    return samples.select("sample_id", image_hash="image_hashes").explode("image_hash").drop_nulls()


def _questions(samples: pl.DataFrame) -> pl.DataFrame:
    """The specific questions: question (normalised), sample_ids."""
    asked = samples.select(
        "sample_id",
        "image_hashes",
        question=pl.col("question").map_elements(normalized, return_dtype=pl.String, skip_nulls=False),
    )
    specific = (pl.col("num_images") <= MAX_QUESTION_IMAGES) & (
        (pl.col("question").str.len_chars() >= MIN_QUESTION_CHARACTERS) | (pl.col("most_images") == 0)
    )
    return (
        asked.group_by("question", maintain_order=True)
        .agg(
            sample_ids="sample_id",
            num_images=pl.col("image_hashes").n_unique(),
            most_images=pl.col("image_hashes").list.len().max(),
        )
        .filter(specific)
        .select("question", "sample_ids")
    )


def _chosen(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One row a sample: its strongest reason."""
    schema = {"sample_id": pl.String, "benchmark_sample_id": pl.String, "reason": pl.String}
    order = pl.col("reason").replace_strict(
        {reason: place for place, reason in enumerate(REASONS)}, return_dtype=pl.Int8
    )
    return (
        pl.concat([pl.DataFrame(schema=schema), *parts])
        .sort(order, "benchmark_sample_id")
        .unique("sample_id", keep="first", maintain_order=True)
        .sort("sample_id")
    )
