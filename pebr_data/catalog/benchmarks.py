"""Which benchmarks a catalog was checked against, and what of them is in a mixture."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from pebr_data.catalog.queries import load_query


@dataclass(frozen=True, slots=True)
class BenchmarkCheck:
    """What is known of a benchmark.

    Attributes:
        benchmark: Its name.
        num_overlaps: Samples of the catalog that it has too.
        num_kept: Those of them in the mixture; more than none when it was chosen before they were found.
    """

    benchmark: str
    num_overlaps: int
    num_kept: int


def benchmarks_checked(connection: duckdb.DuckDBPyConnection, catalog: str, mixture_id: str) -> list[BenchmarkCheck]:
    """Every benchmark that the catalog was compared with, by name."""
    asked = {"catalog": catalog, "mixture_id": mixture_id}
    return [BenchmarkCheck(*row) for row in connection.execute(load_query("benchmarks_checked"), asked).fetchall()]
