"""Mixtures in the catalog: frozen when saved, found again by what they were chosen from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from pebr_data.catalog.connection import first_row, transaction
from pebr_data.catalog.queries import load_query
from pebr_data.catalog.schema import now
from pebr_data.errors import DataError
from pebr_data.hashing import digest
from pebr_data.types import Json, Mixture

_KEPT = pa.schema([("mixture_id", pa.string()), ("sample_id", pa.string()), ("position", pa.int64())])
_DROPS = pa.schema([("mixture_id", pa.string()), ("sample_id", pa.string()), ("reason", pa.string())])


def save_mixture(
    connection: duckdb.DuckDBPyConnection,
    catalog: str,
    name: str,
    probe_id: str | None,
    config: Mapping[str, Json],
    sample_ids: Sequence[str],
    drops: Mapping[str, str],
) -> Mixture:
    """Freezes a choice in one transaction; saving the same choice again gives the one already there.

    Args:
        connection: An open connection.
        catalog: The catalog it was chosen from.
        name: The mixture's name in the catalog YAML.
        probe_id: The probe it was chosen by, or None.
        config: The mixture's part of the YAML, JSON-serialisable.
        sample_ids: The chosen samples, in training order, each once.
        drops: Why each other sample of the pool was left out.

    Raises:
        DataError: A sample is chosen twice, or both chosen and dropped.
    """
    chosen = set(sample_ids)
    if len(chosen) != len(sample_ids) or chosen & drops.keys():
        raise DataError("a sample is in the mixture twice, or both in it and dropped", where=f"mixture {name}")
    content = digest(
        {
            "catalog": catalog,
            "name": name,
            "probe_id": probe_id,
            "config": dict(config),
            "sample_ids": list(sample_ids),
            "drops": dict(drops),
        }
    )
    mixture_id = content[:16]
    with transaction(connection):
        connection.register("kept", _numbered(mixture_id, sample_ids))
        connection.register("dropped", _with_reasons(mixture_id, drops))
        # A choice that is made again is the newest once more; `find_mixture_id` goes by that.
        connection.execute(
            "INSERT INTO mixtures VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET created = excluded.created",
            [mixture_id, catalog, name, probe_id, json.dumps(dict(config)), digest(dict(config)), content, now()],
        )
        connection.execute("INSERT INTO mixture_samples SELECT * FROM kept ON CONFLICT DO NOTHING")
        connection.execute("INSERT INTO mixture_drops SELECT * FROM dropped ON CONFLICT DO NOTHING")
        connection.unregister("kept")
        connection.unregister("dropped")
    return Mixture(
        mixture_id=mixture_id,
        catalog=catalog,
        name=name,
        probe_id=probe_id,
        config=dict(config),
        sample_ids=tuple(sample_ids),
        drops=dict(sorted(Counter(drops.values()).items())),
        digest=content,
    )


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
    kept = connection.execute(
        "SELECT sample_id FROM mixture_samples WHERE mixture_id = ? ORDER BY position", [mixture_id]
    ).fetchall()
    drops = connection.execute(
        "SELECT reason, count(*) FROM mixture_drops WHERE mixture_id = ? GROUP BY reason ORDER BY reason", [mixture_id]
    ).fetchall()
    return Mixture(
        mixture_id=mixture_id,
        catalog=catalog,
        name=name,
        probe_id=probe_id,
        config=json.loads(config),
        sample_ids=tuple(sample_id for (sample_id,) in kept),
        drops=dict(drops),
        digest=content,
    )


def find_mixture_id(
    connection: duckdb.DuckDBPyConnection, catalog: str, name: str, probe_id: str | None, config_digest: str
) -> str | None:
    """The newest mixture chosen under exactly this, `config_digest` being `digest(config)`; None when there is none."""
    row = first_row(
        connection,
        load_query("find_mixture"),
        {"catalog": catalog, "name": name, "probe_id": probe_id, "config_digest": config_digest},
    )
    return None if row is None else str(row[0])


def mixture_ids(connection: duckdb.DuckDBPyConnection, catalog: str | None) -> list[str]:
    """Every mixture of that catalog (None: of all), oldest first."""
    rows = connection.execute(
        "SELECT mixture_id FROM mixtures WHERE $catalog::VARCHAR IS NULL OR catalog = $catalog "
        "ORDER BY created, mixture_id",
        {"catalog": catalog},
    ).fetchall()
    return [mixture_id for (mixture_id,) in rows]


def drop_reasons(connection: duckdb.DuckDBPyConnection, mixture_id: str) -> dict[str, str]:
    """Why each sample that the mixture left out was left out, by sample_id."""
    rows = connection.execute(
        "SELECT sample_id, reason FROM mixture_drops WHERE mixture_id = ? ORDER BY sample_id", [mixture_id]
    ).fetchall()
    return dict(rows)


def sample_decisions(connection: duckdb.DuckDBPyConnection, sample_id: str) -> list[tuple[str, str]]:
    """What every mixture decided about a sample, oldest first: (mixture_id, `kept` or the drop's reason)."""
    rows = connection.execute(load_query("sample_decisions"), {"sample_id": sample_id}).fetchall()
    return [(mixture_id, decision) for mixture_id, decision in rows]


def _numbered(mixture_id: str, sample_ids: Sequence[str]) -> pa.Table:
    rows = [
        {"mixture_id": mixture_id, "sample_id": sample_id, "position": position}
        for position, sample_id in enumerate(sample_ids)
    ]
    return pa.Table.from_pylist(rows, schema=_KEPT)


def _with_reasons(mixture_id: str, drops: Mapping[str, str]) -> pa.Table:
    rows = [{"mixture_id": mixture_id, "sample_id": sample_id, "reason": reason} for sample_id, reason in drops.items()]
    return pa.Table.from_pylist(rows, schema=_DROPS)
