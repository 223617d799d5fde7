"""Evidence: what a probe, and the same policy under other conditions, say of why samples are hard."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import polars as pl

from pebr_data.catalog.early_stops import early_stops
from pebr_data.catalog.gradings import grader_version, grader_versions
from pebr_data.catalog.pass_rates import outcome_counts, with_bands
from pebr_data.catalog.rollouts import probe_fingerprint
from pebr_data.grading.versions import golds_of
from pebr_data.types import Condition


def evidence(
    connection: duckdb.DuckDBPyConnection, probe_id: str, group_size: int, catalog: str | None, split: str | None
) -> pl.DataFrame:
    """One row per sample, by sample_id; see `Catalog.evidence` for the columns."""
    policy = probe_fingerprint(connection, probe_id)
    in_force = grader_version(connection, probe_id)
    others = [
        one
        for one in grader_versions(connection, probe_id)
        if in_force is not None and one != in_force and golds_of(one) == golds_of(in_force)
    ]
    early = early_stops(connection, probe_id, group_size, in_force)
    others_under = (Condition.BLIND, Condition.DESCRIBED)
    counts = outcome_counts(
        connection,
        "evidence",
        probe_id,
        group_size,
        catalog,
        split,
        parameters={
            "most": max([group_size, *(rule.max_rollouts for rule in early.posterior.values())]),
            "other_version": others[-1] if others else None,
            **{f"{one}_id": replace(policy, condition=one).probe_id for one in others_under},
        },
    )
    return with_bands(counts, group_size, early)
