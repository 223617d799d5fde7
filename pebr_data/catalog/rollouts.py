"""Probes, rollouts and grades in the catalog: merging what the spool holds, and reading it back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import polars as pl
import pyarrow as pa

from pebr_data.arrow import arrow_columns
from pebr_data.catalog.connection import first_row, transaction
from pebr_data.catalog.gradings import note_grading
from pebr_data.catalog.queries import load_query
from pebr_data.catalog.samples import require_catalog
from pebr_data.catalog.schema import now
from pebr_data.errors import DataError
from pebr_data.types import Condition, Fingerprint, Generation, Grade, Json, Outcome, Rollout, RolloutKey

_KEY = [("probe_id", pa.large_string()), ("sample_id", pa.large_string()), ("idx", pa.int16())]
_ROLLOUTS = pa.schema(
    [
        *_KEY,
        ("seed", pa.int64()),
        ("completion", pa.large_string()),
        ("num_tokens", pa.int32()),
        ("finish_reason", pa.large_string()),
        ("num_prompt_tokens", pa.int32()),
        ("num_image_tokens", pa.int32()),
        ("error", pa.large_string()),
        ("option_order", pa.list_(pa.uint8())),
    ]
)
_GRADES = pa.schema(
    [
        *_KEY,
        ("grader_version", pa.large_string()),
        ("outcome", pa.large_string()),
        ("answer", pa.large_string()),
        ("reason", pa.large_string()),
    ]
)


@dataclass(frozen=True, slots=True)
class KnownProbe:
    """A policy that was probed.

    Attributes:
        probe_id: Names the fingerprint.
        fingerprint: The policy.
        created: When it was first registered (UTC).
        grader_version: The grading in force: whose grades count. None before anything was graded.
    """

    probe_id: str
    fingerprint: Fingerprint
    created: datetime
    grader_version: str | None


@dataclass(frozen=True, slots=True)
class Probe(KnownProbe):
    """A policy that was probed, and how far.

    Attributes:
        num_samples: Samples with at least one kept rollout, of the catalog asked for.
        num_rollouts: Kept rollouts (those that did not end in an engine's error), of the catalog asked for.
    """

    num_samples: int
    num_rollouts: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a probe's rollouts came to.

    Attributes:
        outcomes: Rollouts per outcome.
        num_tokens: Their completion tokens.
        num_prompt_tokens: Their prompt tokens, image tokens included; a prompt counts once for each rollout.
    """

    outcomes: Mapping[Outcome, int]
    num_tokens: int
    num_prompt_tokens: int

    @property
    def num_rollouts(self) -> int:
        """All of them."""
        return sum(self.outcomes.values())


def register_probe(connection: duckdb.DuckDBPyConnection, fingerprint: Fingerprint) -> str:
    """Records the policy, once, and gives its `probe_id`."""
    with transaction(connection):
        connection.execute(
            "INSERT INTO probes VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [fingerprint.probe_id, json.dumps(fingerprint.to_json()), now()],
        )
    return fingerprint.probe_id


def merge_rollouts(connection: duckdb.DuckDBPyConnection, rollouts: Iterable[Rollout]) -> int:
    """Adds rollouts with their grades in one transaction; merging them again changes nothing.

    A kept rollout is never replaced. One that ended in an engine's error is, by one that did not.

    Returns:
        How many rollouts were added or took an error's place.

    Raises:
        DataError: One belongs to a probe that was not registered.
    """
    best: dict[RolloutKey, Rollout] = {}
    for rollout in rollouts:
        held = best.get(rollout.key)
        if held is None or (_failed(held) and not _failed(rollout)):
            best[rollout.key] = rollout
    if not best:
        return 0
    with transaction(connection):
        for probe_id in sorted({key.probe_id for key in best}):
            probe_fingerprint(connection, probe_id)
        connection.register("batch", arrow_columns(_rollout_columns(list(best.values())), _ROLLOUTS))
        added = first_row(connection, load_query("merge_rollouts"))
        connection.unregister("batch")
        _write_grades(connection, [(rollout.key, rollout.grade) for rollout in best.values()])
    return int(added[0]) if added else 0


def save_grades(connection: duckdb.DuckDBPyConnection, grades: Sequence[tuple[RolloutKey, Grade]]) -> None:
    """Adds grades of another grader version to rollouts already in the catalog; the old grades stay."""
    if grades:
        with transaction(connection):
            _write_grades(connection, grades)


def rollout_keys(connection: duckdb.DuckDBPyConnection, probe_id: str) -> set[tuple[str, int]]:
    """The (sample_id, index) of every kept rollout; those that ended in an engine's error are owed again."""
    rows = connection.execute(
        "SELECT sample_id, idx FROM rollouts WHERE probe_id = ? AND finish_reason <> 'error'", [probe_id]
    ).fetchall()
    return {(sample_id, index) for sample_id, index in rows}


def read_rollouts(
    connection: duckdb.DuckDBPyConnection, probe_id: str, sample_ids: Sequence[str] | None
) -> list[Rollout]:
    """A probe's rollouts with their grades by the grading in force, by sample and index; `sample_ids` None reads all.

    Raises:
        DataError: There is no such probe.
    """
    probe_fingerprint(connection, probe_id)
    rows = connection.execute(
        load_query("rollouts"),
        {"probe_id": probe_id, "sample_ids": None if sample_ids is None else list(sample_ids)},
    ).fetchall()
    return [_rollout(probe_id, row) for row in rows]


def completion_lengths(
    connection: duckdb.DuckDBPyConnection, probe_id: str, sample_ids: Sequence[str], group_size: int
) -> pl.DataFrame:
    """See `Catalog.completion_lengths`."""
    lengths: pl.DataFrame = connection.sql(
        load_query("lengths"),
        params={"probe_id": probe_id, "sample_ids": list(sample_ids), "group_size": group_size},
    ).pl()
    return lengths


def probe_fingerprint(connection: duckdb.DuckDBPyConnection, probe_id: str) -> Fingerprint:
    """The policy behind a probe.

    Raises:
        DataError: There is no such probe.
    """
    row = first_row(connection, "SELECT fingerprint FROM probes WHERE probe_id = ?", [probe_id])
    if row is None:
        raise DataError(f"no probe {probe_id} in the store", help="list the probes: pebr-data stats")
    return _fingerprint(row[0])


def list_probes(connection: duckdb.DuckDBPyConnection, catalog: str | None) -> list[Probe]:
    """The probes with rollouts of that catalog's samples (None: all probes), oldest first."""
    if catalog is not None:
        require_catalog(connection, catalog)
    rows = connection.execute(load_query("probes"), {"catalog": catalog}).fetchall()
    return [
        Probe(
            probe_id=probe_id,
            fingerprint=_fingerprint(fingerprint),
            created=created.replace(tzinfo=UTC),
            num_samples=num_samples,
            num_rollouts=num_rollouts,
            grader_version=grader_version,
        )
        for probe_id, fingerprint, created, num_samples, num_rollouts, grader_version in rows
    ]


def known_probes(
    connection: duckdb.DuckDBPyConnection, catalog: str | None, split: str | None = None
) -> list[KnownProbe]:
    """What `list_probes` gives, in the same order, without counting; with `split` those with rollouts of that split."""
    if catalog is not None:
        require_catalog(connection, catalog)
    rows = connection.execute(load_query("known_probes")).fetchall()
    return [
        KnownProbe(probe_id, _fingerprint(fingerprint), created.replace(tzinfo=UTC), version)
        for probe_id, fingerprint, created, version in rows
        if catalog is None or _has_rollouts(connection, probe_id, catalog, split)
    ]


def _has_rollouts(connection: duckdb.DuckDBPyConnection, probe_id: str, catalog: str, split: str | None) -> bool:
    asked = {"probe_id": probe_id, "catalog": catalog, "split": split}
    # Nearly always some of the first answer for all.
    return any(first_row(connection, load_query("has_rollouts"), {**asked, "most": most}) for most in (64, 2**62))


def usage(connection: duckdb.DuckDBPyConnection, probe_id: str, catalog: str) -> Usage:
    """What a probe has made of that catalog's samples; see `Catalog.usage`."""
    rows = connection.execute(load_query("probe_usage"), {"probe_id": probe_id, "catalog": catalog}).fetchall()
    return Usage(
        outcomes={Outcome(outcome): count for outcome, count, _, _ in rows},
        num_tokens=sum(int(tokens) for _, _, tokens, _ in rows),
        num_prompt_tokens=sum(int(tokens) for _, _, _, tokens in rows),
    )


def _failed(rollout: Rollout) -> bool:
    return rollout.generation.finish_reason == "error"


def _write_grades(connection: duckdb.DuckDBPyConnection, grades: Sequence[tuple[RolloutKey, Grade]]) -> None:
    versions = sorted({(key.probe_id, grade.grader_version) for key, grade in grades})
    for probe_id, version in versions:
        note_grading(connection, probe_id, version)
    columns = {
        **_key_columns([key for key, _ in grades]),
        "grader_version": [grade.grader_version for _, grade in grades],
        "outcome": [str(grade.outcome) for _, grade in grades],
        "answer": [grade.answer for _, grade in grades],
        "reason": [grade.reason for _, grade in grades],
    }
    connection.register("batch", arrow_columns(columns, _GRADES))
    connection.execute(load_query("merge_grades"))
    connection.unregister("batch")


def _key_columns(keys: Sequence[RolloutKey]) -> dict[str, list[Json]]:
    return {
        "probe_id": [key.probe_id for key in keys],
        "sample_id": [key.sample_id for key in keys],
        "idx": [key.index for key in keys],
    }


def _rollout_columns(rollouts: Sequence[Rollout]) -> dict[str, list[Json]]:
    made = [rollout.generation for rollout in rollouts]
    return {
        **_key_columns([rollout.key for rollout in rollouts]),
        "seed": [rollout.key.seed for rollout in rollouts],
        "completion": [generation.completion for generation in made],
        "num_tokens": [generation.num_tokens for generation in made],
        "finish_reason": [generation.finish_reason for generation in made],
        "num_prompt_tokens": [generation.num_prompt_tokens for generation in made],
        "num_image_tokens": [generation.num_image_tokens for generation in made],
        "error": [generation.error for generation in made],
        "option_order": [list(rollout.order) or None for rollout in rollouts],
    }


def _rollout(probe_id: str, row: tuple[Json, ...]) -> Rollout:
    (
        sample_id, index, completion, num_tokens, finish_reason, num_prompt_tokens, num_image_tokens, error,
        outcome, answer, reason, version, order,
    ) = row  # fmt: skip
    return Rollout(
        key=RolloutKey(probe_id, sample_id, index),
        generation=Generation(
            completion=completion,
            num_tokens=num_tokens,
            finish_reason=finish_reason,
            num_prompt_tokens=num_prompt_tokens,
            num_image_tokens=num_image_tokens,
            error=error,
        ),
        grade=Grade(outcome=Outcome(outcome), answer=answer, reason=reason, grader_version=version),
        order=tuple(order or ()),
    )


def _fingerprint(text: str) -> Fingerprint:
    value = json.loads(text)
    return Fingerprint(**{**value, "condition": Condition(value["condition"])})
