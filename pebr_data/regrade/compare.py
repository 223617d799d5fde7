"""What changes between two gradings of a probe: outcomes of rollouts, bands of samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from pebr_data.catalog.store import Catalog
from pebr_data.types import Band, Outcome

NUM_EXAMPLES = 5
"""Samples that a change of bands names."""


@dataclass(frozen=True, slots=True)
class BandChange:
    """Samples that one grading puts into a band and another into another, and the first few of them."""

    before: Band
    after: Band
    num_samples: int
    sample_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two gradings of one probe.

    Attributes:
        before: The one grader version.
        after: The other.
        confusion: Rollouts by their outcome before and after; those that both have judged.
        band_changes: Samples of the catalog whose band differs, the most frequent change first.
    """

    before: str
    after: str
    confusion: Mapping[tuple[Outcome, Outcome], int]
    band_changes: tuple[BandChange, ...]

    @property
    def num_changed(self) -> int:
        """Rollouts whose outcome differs."""
        return sum(count for (before, after), count in self.confusion.items() if before != after)


def compare(catalog: Catalog, name: str, probe_id: str, group_size: int, before: str, after: str) -> Comparison:
    """What changes from one grading of a probe to another.

    Args:
        catalog: The open catalog.
        name: The catalog whose samples' bands are compared.
        probe_id: The probe.
        group_size: Rollouts in a complete group.
        before: The one grader version.
        after: The other.
    """
    old, new = (catalog.pass_rates(probe_id, group_size, name, version=version) for version in (before, after))
    return Comparison(before, after, catalog.confusion(probe_id, before, after), band_changes(old, new))


def band_changes(before: pl.DataFrame, after: pl.DataFrame) -> tuple[BandChange, ...]:
    """The changes between two tables of `Catalog.pass_rates`, the most frequent first."""
    moved = (
        before.select("sample_id", "band")
        .join(after.select("sample_id", after="band"), on="sample_id", maintain_order="left")
        .filter(pl.col("band") != pl.col("after"))
        .group_by("band", "after", maintain_order=True)
        .agg(num_samples=pl.len(), sample_ids=pl.col("sample_id").head(NUM_EXAMPLES))
        .sort("num_samples", "band", "after", descending=[True, False, False])
    )
    return tuple(
        BandChange(Band(old), Band(new), count, tuple(sample_ids)) for old, new, count, sample_ids in moved.iter_rows()
    )
