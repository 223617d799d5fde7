"""What a probe that stops where a band is certain knows from the catalog, and leaves there."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from pebr_data.catalog.store import Catalog
from pebr_data.types import StopRule


def outcomes_so_far(catalog: Catalog, probe_id: str, group_size: int, rule: StopRule) -> pl.DataFrame | None:
    """What the kept rollouts came to, as `Catalog.bands` gives it; None where the rule does not ask."""
    if rule is StopRule.NONE:
        return None
    if catalog.grader_version(probe_id) is None:
        counts = ("num_correct", "num_rollouts", "num_ungradable", "num_error")
        return pl.DataFrame(schema={"sample_id": pl.String, **dict.fromkeys(counts, pl.Int64)})
    return catalog.bands(probe_id, group_size)


def note_early_stop(store: Path, probe_id: str, group_size: int) -> None:
    """Lets bands count that are certain already, where the rollouts that make them so were made without the rule.

    Raises:
        BusyError: Another process holds the catalog.
    """
    with Catalog.open(store, read_only=True) as catalog:
        if catalog.stops_early(probe_id, group_size):
            return
    with Catalog.open(store) as catalog:
        catalog.note_early_stop(probe_id, group_size)
