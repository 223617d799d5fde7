"""The catalog as lazy Polars frames, for notebooks: only the columns and rows that are asked for are read."""

from __future__ import annotations

import duckdb
import polars as pl

from pebr_data.catalog.queries import load_query
from pebr_data.catalog.rollouts import probe_fingerprint
from pebr_data.catalog.samples import require_catalog


def samples_frame(connection: duckdb.DuckDBPyConnection, catalog: str | None, split: str | None) -> pl.LazyFrame:
    """See `Catalog.samples_frame`."""
    if catalog is not None:
        require_catalog(connection, catalog)
    return _lazy(connection, "samples", {"catalog": catalog, "split": split, "sample_ids": None, "golds": None})


def rollouts_frame(connection: duckdb.DuckDBPyConnection, probe_id: str) -> pl.LazyFrame:
    """See `Catalog.rollouts_frame`."""
    probe_fingerprint(connection, probe_id)
    return _lazy(connection, "rollouts", {"probe_id": probe_id, "sample_ids": None})


def _lazy(connection: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, object]) -> pl.LazyFrame:
    frame: pl.LazyFrame = connection.sql(load_query(query), params=parameters).pl(lazy=True)
    return frame
