"""The part of `Catalog` that is about duplicates and overlaps with benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import duckdb

from pebr_data.catalog import duplicates
from pebr_data.catalog.duplicates import DuplicateCluster, OverlapMark
from pebr_data.types import Json

if TYPE_CHECKING:
    import polars as pl


class Marks:
    """What an open catalog says of samples that are marked."""

    _connection: duckdb.DuckDBPyConnection

    def compared_samples(self, catalog: str) -> pl.DataFrame:
        """What is compared of a catalog's samples; see `duplicates.compared_samples`.

        Raises:
            DataError: The store has no such catalog.
        """
        return duplicates.compared_samples(self._connection, catalog)

    def compared_images(self, catalog: str) -> pl.DataFrame:
        """image_hash, phash and thumbnail of a catalog's images that show anything."""
        return duplicates.compared_images(self._connection, catalog)

    def mark_duplicates(self, catalog: str, found: pl.DataFrame, settings: Mapping[str, Json]) -> None:
        """Replaces a catalog's duplicates: sample_id, kept_id, reason."""
        duplicates.mark_duplicates(self._connection, catalog, found, settings)

    def mark_overlaps(self, catalog: str, benchmark: str, found: pl.DataFrame, settings: Mapping[str, Json]) -> None:
        """Replaces what a catalog shares with a benchmark: sample_id, benchmark_sample_id, reason."""
        duplicates.mark_overlaps(self._connection, catalog, benchmark, found, settings)

    def forget_duplicates(self, catalog: str) -> None:
        """Takes a catalog's duplicate marks off."""
        duplicates.forget_duplicates(self._connection, catalog)

    def forget_overlaps(self, catalog: str) -> None:
        """Takes a catalog's benchmark marks off."""
        duplicates.forget_overlaps(self._connection, catalog)

    def marks(self, catalog: str) -> pl.DataFrame:
        """The samples that a selection leaves out, and why: sample_id, reason (`duplicate` or `in-benchmark`)."""
        return duplicates.marks(self._connection, catalog)

    def was_deduplicated(self, catalog: str) -> bool:
        """Whether the catalog was ever searched for duplicates."""
        return duplicates.was_deduplicated(self._connection, catalog)

    def outdated_searches(self, catalog: str) -> list[str]:
        """The searches that ended before what they compared was last built: a benchmark's name, or ``."""
        return duplicates.outdated_searches(self._connection, catalog)

    def clusters_of(self, sample_id: str) -> list[DuplicateCluster]:
        """The clusters of duplicates that a sample is in, one at most for each catalog."""
        return duplicates.clusters_of(self._connection, sample_id)

    def overlaps_of(self, sample_id: str) -> list[OverlapMark]:
        """What a sample shares with benchmarks; of a benchmark's sample, which samples share it."""
        return duplicates.overlaps_of(self._connection, sample_id)
