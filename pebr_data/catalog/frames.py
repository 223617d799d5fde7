"""The catalog as lazy Polars frames, for notebooks: only the columns and rows that are asked for are read."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import polars as pl

from pebr_data.catalog.pass_rates import pass_rates
from pebr_data.catalog.queries import load_query
from pebr_data.catalog.rollouts import probe_fingerprint
from pebr_data.catalog.samples import require_catalog


@dataclass(frozen=True, slots=True)
class LazyFrames:
    """An open catalog's frames; collect them before it closes.

    What Polars does not ask for is not read; the data comes as Arrow, without copies, and `.collect().to_arrow()` hands
    it on likewise.
    """

    _connection: duckdb.DuckDBPyConnection

    def samples(self, catalog: str | None = None, split: str | None = None) -> pl.LazyFrame:
        """What `Catalog.samples` gives, a row each. Columns as in `Sample`; `metadata` is JSON text.

        Raises:
            DataError: The store has no such catalog.
        """
        if catalog is not None:
            require_catalog(self._connection, catalog)
        everything = {"sample_ids": None, "golds": None, "since": None}
        return self._query("samples", {"catalog": catalog, "split": split, **everything})

    def rollouts(self, probe_id: str) -> pl.LazyFrame:
        """A probe's rollouts with the grades that count.

        Columns: sample_id, idx, completion, num_tokens, finish_reason, num_prompt_tokens, num_image_tokens, error,
        outcome, answer, reason, grader_version, option_order.

        Raises:
            DataError: There is no such probe.
        """
        probe_fingerprint(self._connection, probe_id)
        return self._query("rollouts", {"probe_id": probe_id, "sample_ids": None})

    def pass_rates(
        self, probe_id: str, num_rollouts: int = 8, catalog: str | None = None, split: str | None = None
    ) -> pl.LazyFrame:
        """What `Catalog.pass_rates` gives; the prior needs all of it, so it is read at once.

        Raises:
            DataError: There is no such probe or catalog.
        """
        return pass_rates(self._connection, probe_id, num_rollouts, catalog, split, None, num_rollouts).lazy()

    def _query(self, name: str, parameters: dict[str, object]) -> pl.LazyFrame:
        frame: pl.LazyFrame = self._connection.sql(load_query(name), params=parameters).pl(lazy=True)
        return frame
