"""Which probes stop before all G rollouts, and how: of theirs, and only theirs, incomplete groups have a band."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import duckdb

from pebr_data.catalog.connection import first_row, transaction
from pebr_data.catalog.schema import now
from pebr_data.types import Json


@dataclass(frozen=True, slots=True)
class PosteriorStop:
    """That a probe stops a sample of a split once its own band is sure, and by which priors it judges.

    Attributes:
        probe_id: The probe.
        split: The split.
        group_size: G, of whose groups the bands are.
        max_rollouts: The most that any sample gets.
        confidence: The probability that a band must have.
        grader_version: Whose grades the priors were fitted to.
        num_samples: Samples of the split that the probe was to cover when they were.
        priors: `pebr_data.difficulty.frozen.FrozenPriors.to_json`.
    """

    probe_id: str
    split: str
    group_size: int
    max_rollouts: int
    confidence: float
    grader_version: str
    num_samples: int
    priors: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class EarlyStops:
    """How a probe stops early, as far as groups of one size are concerned.

    Attributes:
        exact: An incomplete group with both outcomes is `medium`.
        posterior: The splits in which a sample has the band that its posterior is sure of, or none.
    """

    exact: bool
    posterior: Mapping[str, PosteriorStop]


def stops_early(connection: duckdb.DuckDBPyConnection, probe_id: str, group_size: int) -> bool:
    """Whether an incomplete group of `group_size` of that probe has a band once both outcomes are in it.

    A probe that stopped by a group of eight has settled every smaller group as well, and no larger one.
    """
    row = first_row(connection, "SELECT rollouts FROM early_stops WHERE probe_id = ?", [probe_id])
    return row is not None and group_size <= row[0]


def early_stops(
    connection: duckdb.DuckDBPyConnection, probe_id: str, group_size: int, version: str | None
) -> EarlyStops:
    """How a probe stops; priors fitted to another grading's outcomes than `version` say nothing."""
    rules = posterior_stops(connection, probe_id)
    return EarlyStops(
        exact=stops_early(connection, probe_id, group_size),
        posterior={
            rule.split: rule for rule in rules if (rule.group_size, rule.grader_version) == (group_size, version)
        },
    )


def posterior_stops(connection: duckdb.DuckDBPyConnection, probe_id: str) -> list[PosteriorStop]:
    """The splits that a probe stops in by its posterior, by name."""
    rows = connection.execute(
        "SELECT probe_id, split, rollouts, max_rollouts, confidence, grader_version, num_samples, priors "
        "FROM posterior_stops WHERE probe_id = ? ORDER BY split",
        [probe_id],
    ).fetchall()
    return [
        PosteriorStop(its_probe, split, size, most, confidence, version, num_samples, json.loads(priors))
        for its_probe, split, size, most, confidence, version, num_samples, priors in rows
    ]


@dataclass(frozen=True, slots=True)
class StopRules:
    """The rules in an open catalog; see `Catalog.stop_rules`."""

    connection: duckdb.DuckDBPyConnection

    def note_exact(self, probe_id: str, group_size: int) -> None:
        """Records that a probe was told to stop where the band of a group of `group_size` is certain."""
        self.connection.execute(
            "INSERT INTO early_stops VALUES (?, ?, ?) ON CONFLICT (probe_id) DO UPDATE SET "
            "rollouts = excluded.rollouts, created = excluded.created WHERE early_stops.rollouts < excluded.rollouts",
            [probe_id, group_size, now()],
        )

    def is_exact(self, probe_id: str, group_size: int) -> bool:
        """Whether an incomplete group of `group_size` of that probe has a band once both outcomes are in it."""
        return stops_early(self.connection, probe_id, group_size)

    def of(self, probe_id: str) -> list[PosteriorStop]:
        """The rules `posterior` of a probe, one for each split that has one, by name."""
        return posterior_stops(self.connection, probe_id)

    def settle(self, rule: PosteriorStop) -> PosteriorStop:
        """Puts a rule in force for its split, and gives it with the priors that hold: the first that were kept.

        Its own replace them when another grading judges now, or the probe covers over twice as many samples.
        """
        with transaction(self.connection):
            before = {one.split: one for one in self.of(rule.probe_id)}.get(rule.split)
            if before is not None and holds(before, rule.grader_version, rule.num_samples):
                rule = replace(rule, num_samples=before.num_samples, priors=before.priors)
            if rule != before:
                self.connection.execute(
                    "INSERT OR REPLACE INTO posterior_stops VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        rule.probe_id, rule.split, rule.group_size, rule.max_rollouts, rule.confidence,
                        rule.grader_version, rule.num_samples, json.dumps(rule.priors), now(),
                    ],
                )  # fmt: skip
        return rule

    def forget(self, probe_id: str, splits: Collection[str], group_size: int) -> None:
        """Lets complete groups count again in these splits, where the rule was about groups of that size or less."""
        self.connection.execute(
            "DELETE FROM posterior_stops "
            "WHERE probe_id = ? AND rollouts <= ? AND split IN (SELECT unnest(?::VARCHAR[]))",
            [probe_id, group_size, sorted(splits)],
        )


def holds(rule: PosteriorStop, grader_version: str, num_samples: int) -> bool:
    """Whether a rule's priors still serve: fitted to this grading's outcomes, for half as many samples at least."""
    return rule.grader_version == grader_version and num_samples <= 2 * rule.num_samples
