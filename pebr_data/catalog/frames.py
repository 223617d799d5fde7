"""The catalog as lazy Polars frames, for notebooks: only the columns and rows that are asked for are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import polars as pl
import pyarrow as pa

from pebr_data.catalog.ask import MISTAKES, mistaken, require_one_select
from pebr_data.catalog.pass_rates import pass_rates
from pebr_data.catalog.queries import load_query
from pebr_data.catalog.rollouts import probe_fingerprint
from pebr_data.catalog.samples import require_catalog
from pebr_data.errors import UsageError


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
        return self._loaded("samples", {"catalog": catalog, "split": split, **everything})

    def rollouts(self, probe_id: str) -> pl.LazyFrame:
        """A probe's rollouts with the grades that count.

        Columns: sample_id, idx, completion, num_tokens, finish_reason, num_prompt_tokens, num_image_tokens, error,
        outcome, answer, reason, grader_version, option_order.

        Raises:
            DataError: There is no such probe.
        """
        probe_fingerprint(self._connection, probe_id)
        return self._loaded("rollouts", {"probe_id": probe_id, "sample_ids": None})

    def pass_rates(
        self, probe_id: str, num_rollouts: int = 8, catalog: str | None = None, split: str | None = None
    ) -> pl.LazyFrame:
        """What `Catalog.pass_rates` gives; the prior needs all of it, so it is read at once.

        Raises:
            DataError: There is no such probe or catalog.
        """
        return pass_rates(self._connection, probe_id, num_rollouts, catalog, split, None, num_rollouts).lazy()

    def query(self, sql: str, frames: Mapping[str, pl.DataFrame | pa.Table] | None = None) -> pl.LazyFrame:
        """What one SELECT gives, over the catalog's tables and frames of your own; `pebr-data query 'SHOW TABLES'`.

        Frames are read where they are, as Arrow without copies. They have their names in this statement alone, and
        nothing of them is kept.

        Args:
            sql: The statement. It can read no file.
            frames: Polars or Arrow tables by the name that the statement calls each.

        Raises:
            UsageError: It is not one SELECT, or not one that DuckDB understands; or the catalog has a table of a
                frame's name.
        """
        connection = self._connection.cursor()  # with names of its own; it is closed with the catalog
        require_one_select(connection, sql)
        tables = {str(name) for (name,) in connection.execute("SHOW TABLES").fetchall()}
        for name, mine in (frames or {}).items():
            if name.lower() in tables:
                raise UsageError(f"the catalog has a table `{name}` of its own", help="give the frame another name")
            # With texts as Polars lays them out; any other layout is a copy.
            newest = pl.CompatLevel.newest()
            connection.register(name, mine.to_arrow(compat_level=newest) if isinstance(mine, pl.DataFrame) else mine)
        try:
            found: pl.LazyFrame = connection.sql(sql).pl(lazy=True)
        except MISTAKES as error:
            raise mistaken(error) from None
        return found

    def _loaded(self, name: str, parameters: dict[str, object]) -> pl.LazyFrame:
        frame: pl.LazyFrame = self._connection.sql(load_query(name), params=parameters).pl(lazy=True)
        return frame
