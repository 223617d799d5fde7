"""Which benchmarks a catalog was checked against, and what of them is in a mixture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pebr_data.catalog.connection import connect
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


def benchmarks_checked(store: Path, catalog: str, mixture_id: str) -> list[BenchmarkCheck]:
    """Every benchmark that the catalog was compared with, by name.

    Raises:
        BusyError: Another process holds the catalog.
    """
    asked = {"catalog": catalog, "mixture_id": mixture_id}
    with connect(store, read_only=True, wait_seconds=None) as connection:
        return [BenchmarkCheck(*row) for row in connection.execute(load_query("benchmarks_checked"), asked).fetchall()]
