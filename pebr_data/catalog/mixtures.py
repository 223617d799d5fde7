"""Mixtures in the catalog: frozen when saved, found again by what they were chosen from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import polars as pl

from pebr_data import __version__
from pebr_data.catalog.connection import first_row, transaction
from pebr_data.catalog.queries import load_query
from pebr_data.catalog.schema import now
from pebr_data.errors import DataError
from pebr_data.hashing import canonical, digest, digest_bytes, hex_numbers, json_items
from pebr_data.types import Json, Mixture


@dataclass(frozen=True, slots=True)
class MixtureSummary:
    """A mixture in numbers; fields as in `Mixture`, with the samples counted."""

    mixture_id: str
    catalog: str
    name: str
    probe_id: str | None
    num_samples: int
    drops: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a mixture decided about one sample.

    Attributes:
        mixture_id: The mixture.
        catalog: The catalog it was chosen from.
        name: Its name there.
        probe_id: The probe it was chosen by, or None.
        config: Its part of the catalog YAML.
        created: When it was last chosen (UTC).
        decision: `kept`, or why it was dropped.
        position: Its place in the mixture (0, 1, …); None when dropped.
        code_version: The pebr that chose it first; None where that was not noted yet.
    """

    mixture_id: str
    catalog: str
    name: str
    probe_id: str | None
    config: Mapping[str, Json]
    created: datetime
    decision: str
    position: int | None
    code_version: str | None


def freeze_mixture(
    catalog: str, name: str, probe_id: str | None, config: Mapping[str, Json], kept: pl.Series, drops: pl.DataFrame
) -> Mixture:
    """A choice as a mixture, not saved yet. The same choice is the same mixture.

    Args:
        catalog: The catalog it was chosen from.
        name: The mixture's name in the catalog YAML.
        probe_id: The probe it was chosen by, or None.
        config: The mixture's part of the YAML, JSON-serialisable.
        kept: The chosen samples' ids, in training order, each once.
        drops: Why each other sample of the pool was left out: sample_id, reason.

    Raises:
        DataError: A sample is chosen twice, or both chosen and dropped.
    """
    if not _is_unique(pl.concat([kept.alias("sample_id"), drops["sample_id"]])):
        raise DataError("a sample is in the mixture twice, or both in it and dropped", where=f"mixture {name}")
    content = digest_choice(catalog, name, probe_id, config, kept, drops)
    return Mixture(
        mixture_id=content[:16],
        catalog=catalog,
        name=name,
        probe_id=probe_id,
        config=dict(config),
        sample_ids=tuple(kept.to_list()),
        drops=dict(drops.group_by("reason").len().sort("reason").iter_rows()),
        digest=content,
    )


def save_mixture(connection: duckdb.DuckDBPyConnection, mixture: Mixture, drops: pl.DataFrame) -> None:
    """Saves a frozen choice in one transaction; saving it again makes it the newest once more.

    Args:
        connection: An open connection.
        mixture: What `freeze_mixture` gave.
        drops: The reasons it was given.

    Raises:
        ValueError: An id is not one that `sample_id_of` makes.
    """
    config = dict(mixture.config)
    with transaction(connection):
        known = connection.execute("SELECT 1 FROM mixtures WHERE mixture_id = ?", [mixture.mixture_id]).fetchall()
        # A choice that is made again is the newest once more; `find_mixture_id` goes by that.
        connection.execute(
            "INSERT INTO mixtures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET created = excluded.created",
            [
                mixture.mixture_id, mixture.catalog, mixture.name, mixture.probe_id, json.dumps(config),
                asked_digest(config), mixture.digest, now(), __version__,
            ],
        )  # fmt: skip
        if not known:
            kept = pl.DataFrame({"sample_id": mixture.sample_ids}, schema={"sample_id": pl.String})
            # As Polars holds them: texts are not copied.
            connection.register("kept", kept.with_row_index("position").to_arrow(compat_level=pl.CompatLevel.newest()))
            connection.execute(
                "INSERT INTO mixture_samples SELECT ?, sample_id, position FROM kept", [mixture.mixture_id]
            )
            connection.register("dropped", _packed(drops).to_arrow(compat_level=pl.CompatLevel.newest()))
            connection.execute(
                "INSERT INTO packed_drops SELECT ?, reason, numbers FROM dropped ORDER BY reason", [mixture.mixture_id]
            )
            connection.unregister("kept")
            connection.unregister("dropped")


def read_mixture(connection: duckdb.DuckDBPyConnection, mixture_id: str) -> Mixture:
    """The mixture of that id.

    Raises:
        DataError: There is none.
    """
    row = first_row(
        connection, "SELECT catalog, name, probe_id, config, digest FROM mixtures WHERE mixture_id = ?", [mixture_id]
    )
    if row is None:
        raise DataError(
            f"no mixture {mixture_id} in the store", help="choose the mixtures: pebr-data select CATALOG.yaml"
        )
    catalog, name, probe_id, config, content = row
    kept = connection.sql(
        "SELECT sample_id FROM mixture_samples WHERE mixture_id = ? ORDER BY position", params=[mixture_id]
    ).pl()
    drops = connection.execute(
        "SELECT reason, len(numbers) FROM packed_drops WHERE mixture_id = ? ORDER BY reason", [mixture_id]
    ).fetchall()
    return Mixture(
        mixture_id=mixture_id,
        catalog=catalog,
        name=name,
        probe_id=probe_id,
        config=json.loads(config),
        sample_ids=tuple(kept["sample_id"].to_list()),
        drops=dict(drops),
        digest=content,
    )


def find_mixture_id(
    connection: duckdb.DuckDBPyConnection, catalog: str, name: str, probe_id: str | None, config_digest: str
) -> str | None:
    """The newest mixture chosen under exactly this, `config_digest` being `asked_digest`; None when there is none."""
    row = first_row(
        connection,
        load_query("find_mixture"),
        {"catalog": catalog, "name": name, "probe_id": probe_id, "config_digest": config_digest},
    )
    return None if row is None else str(row[0])


def summarize_mixtures(connection: duckdb.DuckDBPyConnection, catalog: str | None) -> list[MixtureSummary]:
    """Every mixture of that catalog (None: of all), oldest first."""
    rows = connection.execute(load_query("mixture_summaries"), {"catalog": catalog}).fetchall()
    return [
        MixtureSummary(mixture_id, name_of, name, probe_id, num_samples, dict(sorted(drops.items())))
        for mixture_id, name_of, name, probe_id, num_samples, drops in rows
    ]


def drop_reasons(connection: duckdb.DuckDBPyConnection, mixture_id: str) -> dict[str, str]:
    """Why each sample that the mixture left out was left out, by sample_id."""
    rows = connection.execute(
        "SELECT sample_id, reason FROM mixture_drops WHERE mixture_id = ? ORDER BY sample_id", [mixture_id]
    ).fetchall()
    return dict(rows)


def decisions(connection: duckdb.DuckDBPyConnection, sample_id: str) -> list[Decision]:
    """What every mixture decided about a sample, oldest first."""
    rows = connection.execute(load_query("decisions"), {"sample_id": sample_id}).fetchall()
    return [
        Decision(mixture_id, catalog, name, probe_id, json.loads(config), created.replace(tzinfo=UTC), *decided)
        for mixture_id, catalog, name, probe_id, config, created, *decided in rows
    ]


def asked_digest(config: Mapping[str, Json]) -> str:
    """`digest` of what a mixture was asked for: its config without `priors`, which the rollouts decide."""
    return digest({key: value for key, value in config.items() if key != "priors"})


def digest_choice(
    catalog: str, name: str, probe_id: str | None, config: Mapping[str, Json], kept: pl.Series, drops: pl.DataFrame
) -> str:
    """`digest` of the choice as {catalog, name, probe_id, config, sample_ids: [...], drops: {sample_id: reason}}."""
    # Key by key in their sorted order, with the million-fold parts joined as columns.
    begin = canonical({"catalog": catalog, "config": dict(config)})[:-1]
    middle = canonical({"name": name, "probe_id": probe_id})[1:-1]
    by_id = drops if drops["sample_id"].is_sorted() else drops.sort("sample_id")
    dropped = json_items(by_id["sample_id"], by_id["reason"])
    parts = (begin, ',"drops":{', dropped, "},", middle, ',"sample_ids":[', json_items(kept), "]}")
    return digest_bytes(b"".join(part if isinstance(part, bytes) else part.encode() for part in parts))


def _packed(drops: pl.DataFrame) -> pl.DataFrame:
    """What `packed_drops` holds of them: reason, numbers."""
    numbers = hex_numbers(drops["sample_id"])
    if numbers is None:
        raise ValueError("the id of a sample is not 16 hex digits")
    told = pl.DataFrame({"reason": drops["reason"], "numbers": numbers}, schema_overrides={"numbers": pl.UInt64})
    return told.group_by("reason").agg(pl.col("numbers").sort())


def _is_unique(texts: pl.Series) -> bool:
    # Different hashes are of different texts, and much sooner compared.
    return texts.hash().n_unique() == len(texts) or texts.n_unique() == len(texts)
