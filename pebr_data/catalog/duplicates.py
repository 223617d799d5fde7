"""Duplicates and overlaps in the catalog: what is compared, which samples are marked, what a selection leaves out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations

import duckdb
import polars as pl

from pebr_data.catalog.connection import first_row, transaction
from pebr_data.catalog.queries import load_query
from pebr_data.catalog.samples import require_catalog
from pebr_data.catalog.schema import now
from pebr_data.types import Json


@dataclass(frozen=True, slots=True)
class DuplicateCluster:
    """A cluster of duplicates.

    Attributes:
        catalog: The catalog that was searched.
        kept_id: The sample that is kept.
        reasons: By sample id, why each of the others is superfluous (`exact`, `image`, `question`).
        settings: What the search was told.
        searched: When (UTC).
    """

    catalog: str
    kept_id: str
    reasons: Mapping[str, str]
    settings: Mapping[str, Json]
    searched: datetime


@dataclass(frozen=True, slots=True)
class OverlapMark:
    """A sample that a benchmark has too; `reason` is `image`, `near-image` or `question`, the rest as above."""

    catalog: str
    sample_id: str
    benchmark: str
    benchmark_sample_id: str
    reason: str
    settings: Mapping[str, Json]
    searched: datetime


MAX_RADIUS = 11
"""Bits of 64; more would mean to look in thousands of places for each hash."""

_BAND_BITS = 16


def compared_samples(connection: duckdb.DuckDBPyConnection, catalog: str) -> pl.DataFrame:
    """A catalog's samples by source and position, with image_hashes in the question's order.

    Columns: sample_id, source, split, position, question, answer, answer_type, options, image_hashes.
    """
    require_catalog(connection, catalog)
    frame: pl.DataFrame = connection.sql(load_query("compared_samples"), params={"catalog": catalog}).pl()
    return frame


def compared_images(connection: duckdb.DuckDBPyConnection, catalog: str) -> pl.DataFrame:
    """image_hash, phash and thumbnail of a catalog's images that show anything."""
    frame: pl.DataFrame = connection.sql(load_query("compared_images"), params={"catalog": catalog}).pl()
    return frame


def near_hashes(left: pl.Series, right: pl.Series, radius: int) -> pl.DataFrame:
    """Every pair of a hash on the left and one on the right that differ in at most `radius` of 64 bits.

    Columns: left_phash, right_phash. Found by banding, so that time grows with what is near rather than with all pairs.
    """
    flips = [
        sum(1 << bit for bit in bits)
        for count in range(radius // (64 // _BAND_BITS) + 1)
        for bits in combinations(range(_BAND_BITS), count)
    ]
    with duckdb.connect() as connection:
        connection.register("left_hashes", left.unique().to_frame("phash").to_arrow())
        connection.register("right_hashes", right.unique().to_frame("phash").to_arrow())
        pairs: pl.DataFrame = connection.sql(load_query("near_hashes"), params={"flips": flips, "radius": radius}).pl()
    return pairs


def mark_duplicates(
    connection: duckdb.DuckDBPyConnection, catalog: str, duplicates: pl.DataFrame, settings: Mapping[str, Json]
) -> None:
    """Replaces a catalog's duplicates: sample_id, kept_id, reason."""
    with transaction(connection):
        connection.execute("DELETE FROM duplicates WHERE catalog = ?", [catalog])
        connection.register("found", duplicates.to_arrow())
        connection.execute("INSERT INTO duplicates SELECT ?, sample_id, kept_id, reason FROM found", [catalog])
        connection.unregister("found")
        _record(connection, catalog, "", settings)


def mark_overlaps(
    connection: duckdb.DuckDBPyConnection,
    catalog: str,
    benchmark: str,
    overlaps: pl.DataFrame,
    settings: Mapping[str, Json],
) -> None:
    """Replaces what a catalog shares with one benchmark: sample_id, benchmark_sample_id, reason."""
    with transaction(connection):
        connection.execute("DELETE FROM benchmark_overlaps WHERE catalog = ? AND benchmark = ?", [catalog, benchmark])
        connection.register("found", overlaps.to_arrow())
        connection.execute(
            "INSERT INTO benchmark_overlaps SELECT ?, sample_id, ?, benchmark_sample_id, reason FROM found",
            [catalog, benchmark],
        )
        connection.unregister("found")
        _record(connection, catalog, benchmark, settings)


def forget_duplicates(connection: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Takes a catalog's duplicate marks off."""
    with transaction(connection):
        connection.execute("DELETE FROM duplicates WHERE catalog = ?", [catalog])
        connection.execute("DELETE FROM searches WHERE catalog = ? AND benchmark = ''", [catalog])


def forget_overlaps(connection: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Takes a catalog's benchmark marks off."""
    with transaction(connection):
        connection.execute("DELETE FROM benchmark_overlaps WHERE catalog = ?", [catalog])
        connection.execute("DELETE FROM searches WHERE catalog = ? AND benchmark <> ''", [catalog])


def marks(connection: duckdb.DuckDBPyConnection, catalog: str) -> pl.DataFrame:
    """The samples that a selection leaves out: sample_id, reason (`dropped-in-review`, `in-benchmark`, `duplicate`)."""
    frame: pl.DataFrame = connection.sql(load_query("marks"), params={"catalog": catalog}).pl()
    return frame


def clusters_of(connection: duckdb.DuckDBPyConnection, sample_id: str) -> list[DuplicateCluster]:
    """See `Catalog.clusters_of`."""
    rows = connection.execute(load_query("clusters_of"), {"sample_id": sample_id}).fetchall()
    return [
        DuplicateCluster(
            catalog, kept_id, dict(zip(ids, reasons, strict=True)), json.loads(settings), searched.replace(tzinfo=UTC)
        )
        for catalog, kept_id, ids, reasons, settings, searched in rows
    ]


def overlaps_of(connection: duckdb.DuckDBPyConnection, sample_id: str) -> list[OverlapMark]:
    """See `Catalog.overlaps_of`."""
    rows = connection.execute(load_query("overlaps_of"), {"sample_id": sample_id}).fetchall()
    return [
        OverlapMark(catalog, marked, benchmark, its, reason, json.loads(settings), searched.replace(tzinfo=UTC))
        for catalog, marked, benchmark, its, reason, settings, searched in rows
    ]


def was_deduplicated(connection: duckdb.DuckDBPyConnection, catalog: str) -> bool:
    """See `Catalog.was_deduplicated`."""
    found = first_row(connection, "SELECT 1 FROM searches WHERE catalog = ? AND benchmark = ''", [catalog])
    return found is not None


def outdated_searches(connection: duckdb.DuckDBPyConnection, catalog: str) -> list[str]:
    """The searches that ended before the catalog, or the benchmark, was last built: a benchmark's name, or ``."""
    rows = connection.execute(
        "SELECT DISTINCT benchmark FROM searches "
        "JOIN builds ON builds.catalog IN (searches.catalog, searches.benchmark) "
        "WHERE searches.catalog = ? AND builds.finished > searches.finished ORDER BY benchmark",
        [catalog],
    ).fetchall()
    return [benchmark for (benchmark,) in rows]


def _record(connection: duckdb.DuckDBPyConnection, catalog: str, benchmark: str, settings: Mapping[str, Json]) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO searches VALUES (?, ?, ?, ?)", [catalog, benchmark, json.dumps(dict(settings)), now()]
    )
