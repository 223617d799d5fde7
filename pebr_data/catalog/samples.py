"""Samples in the catalog: writing prepared ones, dropping stale ones, reading them back."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from pebr_data.arrow import arrow_table
from pebr_data.catalog.connection import first_row, transaction
from pebr_data.catalog.image_facts import write_image_facts
from pebr_data.catalog.queries import load_query
from pebr_data.catalog.schema import now
from pebr_data.errors import DataError, RefusedError
from pebr_data.images import ImageFacts, ImageStore
from pebr_data.types import Json, Sample

_SAMPLES = pa.schema(
    [
        ("sample_id", pa.large_string()),
        ("source", pa.large_string()),
        ("split", pa.large_string()),
        ("position", pa.int64()),
        ("question", pa.large_string()),
        ("answer", pa.large_string()),
        ("answer_type", pa.large_string()),
        ("options", pa.list_(pa.large_string())),
        ("keywords", pa.list_(pa.large_string())),
        ("description", pa.large_string()),
        ("response", pa.large_string()),
        ("skill", pa.large_string()),
        ("metadata", pa.large_string()),
        ("answer_type_reason", pa.large_string()),
        ("grading", pa.large_string()),
    ]
)
_IMAGES = pa.schema([("sample_id", pa.large_string()), ("position", pa.int16()), ("image_hash", pa.large_string())])
_METADATA = json.JSONEncoder(ensure_ascii=False, sort_keys=True, allow_nan=False)
_IDS = pa.schema([("sample_id", pa.large_string())])
_REJECTS = pa.schema(
    [
        ("catalog", pa.large_string()),
        ("source", pa.large_string()),
        ("position", pa.int64()),
        ("location", pa.large_string()),
        ("reason", pa.large_string()),
    ]
)


@dataclass(frozen=True, slots=True)
class PlacedSample:
    """A sample and where its source yields it (0, 1, …)."""

    sample: Sample
    position: int


@dataclass(frozen=True, slots=True)
class PlacedReject:
    """Something a source yielded that cannot be used: where it is, and why."""

    source: str
    position: int
    location: str
    reason: str


def begin_source(connection: duckdb.DuckDBPyConnection, catalog: str, source: str) -> None:
    """Marks a source of a catalog as being built: its rejects and its finished build are forgotten."""
    with transaction(connection):
        connection.execute("INSERT INTO catalogs VALUES (?, ?) ON CONFLICT DO NOTHING", [catalog, now()])
        connection.execute("DELETE FROM builds WHERE catalog = ? AND source = ?", [catalog, source])
        connection.execute("DELETE FROM rejects WHERE catalog = ? AND source = ?", [catalog, source])


def write_batch(
    connection: duckdb.DuckDBPyConnection,
    catalog: str,
    samples: Sequence[PlacedSample],
    rejects: Sequence[PlacedReject],
    image_facts: Iterable[ImageFacts] = (),
) -> set[str]:
    """Writes one batch in one transaction; writing it again changes nothing.

    A sample that exists takes over what the source now says of it (split, keywords, description, …). The images' facts
    are those of images that were not known yet.

    Returns:
        The sample_ids that were not in the store before.

    Raises:
        RefusedError: Another catalog has one of the samples in another split; nothing of the batch was written.
    """
    with transaction(connection):
        connection.register("batch", arrow_table([_row(placed) for placed in samples], _SAMPLES))
        _refuse_moving(connection, catalog)
        images = [
            {"sample_id": placed.sample.sample_id, "position": position, "image_hash": image_hash}
            for placed in samples
            for position, image_hash in enumerate(placed.sample.image_hashes)
        ]
        connection.register("batch_images", arrow_table(images, _IMAGES))
        write_image_facts(connection, image_facts)
        refused = [
            {
                "catalog": catalog,
                "source": reject.source,
                "position": reject.position,
                "location": reject.location,
                "reason": reject.reason,
            }
            for reject in rejects
        ]
        connection.register("batch_rejects", arrow_table(refused, _REJECTS))
        new = connection.execute("SELECT sample_id FROM batch ANTI JOIN samples USING (sample_id)").fetchall()
        connection.execute(load_query("upsert_samples"))
        connection.execute("INSERT INTO sample_images SELECT * FROM batch_images ON CONFLICT DO NOTHING")
        connection.execute(
            "INSERT INTO catalog_samples SELECT ?, sample_id, ? FROM batch ON CONFLICT DO NOTHING", [catalog, now()]
        )
        connection.execute("INSERT INTO rejects SELECT * FROM batch_rejects ON CONFLICT DO NOTHING")
        for name in ("batch", "batch_images", "batch_rejects"):
            connection.unregister(name)
    return {sample_id for (sample_id,) in new}


def finish_source(
    connection: duckdb.DuckDBPyConnection,
    catalog: str,
    source: str,
    seen: Collection[str],
    config_digest: str,
    counts: Mapping[str, Json],
) -> None:
    """Records that a source was ingested to its end, and takes what it no longer yields out of the catalog.

    The samples themselves stay, with their rollouts: another catalog, or a mixture, may hold them.
    """
    with transaction(connection):
        connection.register("seen", arrow_table([{"sample_id": sample_id} for sample_id in seen], _IDS))
        connection.execute(load_query("drop_stale"), {"catalog": catalog, "source": source})
        connection.unregister("seen")
        connection.execute(
            "INSERT INTO builds VALUES (?, ?, ?, ?, ?)",
            [catalog, source, config_digest, json.dumps(dict(counts)), now()],
        )


def finished_build(
    connection: duckdb.DuckDBPyConnection, images: ImageStore, catalog: str, source: str, config_digest: str
) -> dict[str, Json] | None:
    """The counts of this source's finished build under this configuration, all of whose images are there still.

    None when the source is to be ingested.
    """
    row = first_row(
        connection,
        "SELECT counts FROM builds WHERE catalog = ? AND source = ? AND config_digest = ?",
        [catalog, source, config_digest],
    )
    if row is None:
        return None
    shown = connection.execute(load_query("source_images"), {"catalog": catalog, "source": source}).fetchall()
    return json.loads(row[0]) if all(images.holds(image_hash) for (image_hash,) in shown) else None


def forget_sources(connection: duckdb.DuckDBPyConnection, catalog: str, keep: Sequence[str]) -> None:
    """Takes the samples of sources that the catalog no longer names out of it."""
    with transaction(connection):
        connection.execute(load_query("forget_sources"), {"catalog": catalog, "keep": list(keep)})
        for table in ("builds", "rejects"):
            connection.execute(
                f"DELETE FROM {table} WHERE catalog = $catalog AND NOT list_contains($keep::VARCHAR[], source)",
                {"catalog": catalog, "keep": list(keep)},
            )


def read_samples(
    connection: duckdb.DuckDBPyConnection,
    catalog: str | None,
    split: str | None,
    sample_ids: Sequence[str] | None,
    golds: str | None = None,
    since: datetime | None = None,
) -> list[Sample]:
    """Samples by source and position; with `sample_ids`, in that order; see `Catalog.samples`."""
    if catalog is not None:
        require_catalog(connection, catalog)
    rows = connection.execute(
        load_query("samples"),
        {
            "catalog": catalog,
            "split": split,
            "sample_ids": None if sample_ids is None else list(sample_ids),
            "golds": golds,
            "since": since,
        },
    ).fetchall()
    samples = [_sample(row) for row in rows]
    if sample_ids is None:
        return samples
    by_id = {sample.sample_id: sample for sample in samples}
    if catalog is None and split is None:
        for sample_id in sample_ids:
            if sample_id not in by_id:
                raise DataError(f"no sample {sample_id} in the store", help="list what there is: pebr-data stats")
    return [by_id[sample_id] for sample_id in dict.fromkeys(sample_ids) if sample_id in by_id]


def origin(connection: duckdb.DuckDBPyConnection, sample_id: str) -> tuple[int, list[str]]:
    """See `Catalog.origin`."""
    row = first_row(connection, load_query("origin"), {"sample_id": sample_id})
    if row is None:
        raise DataError(f"no sample {sample_id} in the store", help="list what there is: pebr-data stats")
    return int(row[0]), list(row[1] or [])


def catalog_names(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The catalogs that were built into this store, by name."""
    return [name for (name,) in connection.execute("SELECT name FROM catalogs ORDER BY name").fetchall()]


def require_catalog(connection: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Passes when the catalog was built into this store.

    Raises:
        DataError: It was not; the message names those that were.
    """
    names = catalog_names(connection)
    if catalog not in names:
        known = f"; it has {', '.join(names)}" if names else ""
        raise DataError(
            f"the store has no catalog named {catalog}{known}", help="build it: pebr-data build CATALOG.yaml"
        )


def metadata_json(metadata: Mapping[str, Json]) -> str:
    """Metadata as the catalog stores it.

    Raises:
        TypeError: A value is of a type that JSON does not have.
        ValueError: A number is not finite, or a value holds itself.
    """
    return _METADATA.encode(dict(metadata)) if metadata else "{}"


def _refuse_moving(connection: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """A sample has one split. Moving it for one catalog would move it under the mixtures of another."""
    row = first_row(connection, load_query("split_conflict"), {"catalog": catalog})
    if row is not None:
        sample_id, source, split, its_split, other = row
        raise RefusedError(
            f"the source {source!r} puts a sample into the split {split!r} that the catalog {other!r} "
            f"has in {its_split!r}",
            where=f"catalog {catalog}, sample {sample_id}",
            help=f"use the same split, call the source something else in one of them, or build {catalog} elsewhere "
            "with --store",
        )


def _row(placed: PlacedSample) -> dict[str, Json]:
    sample = placed.sample
    return {
        "sample_id": sample.sample_id,
        "source": sample.source,
        "split": sample.split,
        "position": placed.position,
        "question": sample.question,
        "answer": sample.answer,
        "answer_type": sample.answer_type,
        "options": list(sample.options),
        "keywords": list(sample.keywords),
        "description": sample.description,
        "response": sample.response,
        "skill": sample.skill,
        "metadata": metadata_json(sample.metadata),
        "answer_type_reason": sample.answer_type_reason,
        "grading": metadata_json(sample.grading),
    }


def _sample(row: tuple[Json, ...]) -> Sample:
    (
        sample_id, source, split, question, answer, image_hashes, answer_type,
        options, keywords, description, response, skill, metadata, answer_type_reason, grading,
    ) = row  # fmt: skip
    return Sample(
        sample_id=sample_id,
        source=source,
        split=split,
        question=question,
        answer=answer,
        image_hashes=tuple(image_hashes),
        answer_type=answer_type,
        options=tuple(options),
        keywords=tuple(keywords),
        description=description,
        response=response,
        skill=skill,
        grading=json.loads(grading),
        metadata=json.loads(metadata),
        answer_type_reason=answer_type_reason,
    )
