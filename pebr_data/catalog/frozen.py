"""The part of `Catalog` that is about mixtures: frozen choices, and what each decided about a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from pebr_data.catalog import mixtures
from pebr_data.catalog.mixtures import Decision, MixtureSummary
from pebr_data.types import Mixture

if TYPE_CHECKING:
    import polars as pl


class FrozenMixtures:
    """What an open catalog says of mixtures."""

    _connection: duckdb.DuckDBPyConnection

    def save_mixture(self, mixture: Mixture, drops: pl.DataFrame) -> None:
        """Saves a frozen choice (`mixtures.freeze_mixture`) and why each other sample was left out: sample_id, reason.

        Saving the same choice again makes it the newest once more.
        """
        mixtures.save_mixture(self._connection, mixture, drops)

    def mixture(self, mixture_id: str) -> Mixture:
        """The mixture of that id.

        Raises:
            DataError: There is none.
        """
        return mixtures.read_mixture(self._connection, mixture_id)

    def find_mixture(self, catalog: str, name: str, probe_id: str | None, config_digest: str) -> Mixture | None:
        """The newest mixture chosen under exactly this (`config_digest` of `mixtures.asked_digest`); None: none was."""
        found = mixtures.find_mixture_id(self._connection, catalog, name, probe_id, config_digest)
        return None if found is None else mixtures.read_mixture(self._connection, found)

    def find_mixture_id(self, catalog: str, name: str, probe_id: str | None, config_digest: str) -> str | None:
        """The id of the mixture that `find_mixture` gives, without reading its samples."""
        return mixtures.find_mixture_id(self._connection, catalog, name, probe_id, config_digest)

    def mixtures(self, catalog: str | None = None) -> list[MixtureSummary]:
        """Every mixture of that catalog (None: of all) in numbers, oldest first; `mixture` gives one with samples."""
        return mixtures.summarize_mixtures(self._connection, catalog)

    def drop_reasons(self, mixture_id: str) -> dict[str, str]:
        """Why each sample that the mixture left out was left out, by sample_id."""
        return mixtures.drop_reasons(self._connection, mixture_id)

    def decisions(self, sample_id: str) -> list[Decision]:
        """What each mixture decided about a sample, oldest first."""
        return mixtures.decisions(self._connection, sample_id)
