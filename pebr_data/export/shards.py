"""Writing a frozen mixture: Parquet shards, their manifest and a card, in one directory that appears whole.

manifest = export(store, mixture)          # again: does nothing while the manifest there verifies
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from pebr_data import __version__
from pebr_data.catalog.store import Catalog
from pebr_data.durable import sync
from pebr_data.errors import DataError, RefusedError
from pebr_data.export.card import CARD_FILE, card
from pebr_data.export.formats import FORMATS
from pebr_data.export.formats.base import ExportedSample, Format
from pebr_data.export.shown import as_shown
from pebr_data.hashing import digest_file
from pebr_data.images import ImageStore
from pebr_data.manifest import MANIFEST_FILE, Manifest, Shard, load_manifest, read_manifest
from pebr_data.prompts import text_prompt
from pebr_data.types import Band, Condition, Fingerprint, Mixture, Sample

ROWS_PER_GROUP = 256
BYTES_PER_SHARD = 256 * 2**20


def default_directory(store: Path, mixture: Mixture) -> Path:
    """Where a mixture is exported when nothing else is asked for."""
    return store / "exports" / mixture.catalog / f"{mixture.name}-{mixture.mixture_id[:8]}"


def export(store: Path, mixture: Mixture, to: Path | None = None) -> Manifest:
    """Write a mixture's samples as shards, with prompts and images as the probe showed them.

    The same mixture always gives the same bytes. A directory that already holds it, intact, is left alone.

    Args:
        store: The store that the mixture was selected in.
        mixture: The frozen choice.
        to: The directory to write; `default_directory` when not given.

    Returns:
        The manifest, lying in that directory.

    Raises:
        DataError: The mixture is empty, or one of its samples or images is gone or broken.
        RefusedError: The directory holds something else.
    """
    target = default_directory(store, mixture) if to is None else to
    there = _already_there(target, mixture)
    if there is not None:
        return there
    if not mixture.sample_ids:
        raise DataError(
            f"the mixture {mixture.name!r} is empty",
            where=f"catalog {mixture.catalog}",
            help="pebr-data stats shows how many samples each band holds",
        )
    if mixture.probe_id is None:
        raise DataError(
            f"the mixture {mixture.name!r} was chosen without a probe, so there is no policy to prompt like",
            where=f"mixture {mixture.mixture_id}",
            help="select it again: pebr-data select CATALOG.yaml",
        )
    with Catalog.open(store, read_only=True) as catalog:
        fingerprint = catalog.fingerprint(mixture.probe_id)
        exported = _rows(catalog, store, mixture, fingerprint)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _aside(target) as aside:
        shards = _write_shards(aside, FORMATS["trl"], exported)
        manifest = Manifest(
            format="trl",
            catalog=mixture.catalog,
            mixture=mixture.name,
            mixture_id=mixture.mixture_id,
            policy=mixture.config["policy"],
            band=mixture.config["band"],
            probe_id=mixture.probe_id,
            fingerprint=fingerprint.to_json(),
            num_samples=len(mixture.sample_ids),
            columns=tuple(FORMATS["trl"].schema().names),
            shards=shards,
            code_version=__version__,
        )
        _write_text(aside / CARD_FILE, card(manifest))
        _write_text(aside / MANIFEST_FILE, manifest.to_text())
        sync(aside)
        _move(aside, target)
    return manifest.at(target)


def _already_there(target: Path, mixture: Mixture) -> Manifest | None:
    """The intact export of this mixture in `target`; None when the directory is free or holds a damaged one of it."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return None
    if not (target / MANIFEST_FILE).is_file():
        raise RefusedError(
            "the directory to export to holds other files", where=str(target), help="name another with --to"
        )
    manifest = read_manifest(target)
    if manifest.mixture_id != mixture.mixture_id:
        raise RefusedError(
            f"the directory holds the mixture {manifest.mixture!r} ({manifest.mixture_id[:8]}) already, "
            f"not {mixture.name!r} ({mixture.mixture_id[:8]})",
            where=str(target),
            help="name another directory with --to, or move this one away",
        )
    try:
        return load_manifest(target)
    except DataError:
        return None


def _rows(catalog: Catalog, store: Path, mixture: Mixture, fingerprint: Fingerprint) -> Iterator[ExportedSample]:
    """The mixture's samples in its order. The catalog is read at once; images are read one row at a time."""
    samples = catalog.samples(sample_ids=mixture.sample_ids)
    rates = catalog.pass_rates(fingerprint.probe_id, mixture.config["rollouts"])
    probed = {row["sample_id"]: (row["pass_rate"], Band(row["band"])) for row in rates.iter_rows(named=True)}
    images = ImageStore(store / "images")
    # The policy `all` takes samples that were never probed, too.
    return (
        _row(sample, images, fingerprint, *probed.get(sample.sample_id, (None, Band.UNPROBED))) for sample in samples
    )


def _row(
    sample: Sample, images: ImageStore, fingerprint: Fingerprint, pass_rate: float | None, band: Band
) -> ExportedSample:
    shown = sample.image_hashes if fingerprint.condition is Condition.IMAGE else ()
    return ExportedSample(
        sample=sample,
        prompt=text_prompt(fingerprint.template, sample.question, fingerprint.condition, sample.description),
        images=tuple(as_shown(images.get(image_hash), fingerprint.max_pixels) for image_hash in shown),
        pass_rate=pass_rate,
        band=band,
    )


def _write_shards(directory: Path, layout: Format, exported: Iterator[ExportedSample]) -> tuple[Shard, ...]:
    """Write rows in groups of `ROWS_PER_GROUP`; a new shard begins once one has reached `BYTES_PER_SHARD`."""
    shards: list[Shard] = []
    group = list(islice(exported, ROWS_PER_GROUP))
    while group:
        path = directory / f"shard-{len(shards):05d}.parquet"
        num_rows = 0
        with _writer(path, layout) as (writer, to_table):
            while group and (num_rows == 0 or path.stat().st_size < BYTES_PER_SHARD):
                writer.write_table(to_table(group), row_group_size=ROWS_PER_GROUP)
                num_rows += len(group)
                group = list(islice(exported, ROWS_PER_GROUP))
        sync(path)
        shards.append(Shard(file=path.name, sha256=digest_file(path), num_rows=num_rows, num_bytes=path.stat().st_size))
    return tuple(shards)


@contextmanager
def _writer(path: Path, layout: Format) -> Iterator[tuple[Any, Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    schema = layout.schema()

    def to_table(group: list[ExportedSample]) -> Any:
        return pa.Table.from_pylist([dict(layout.row(exported)) for exported in group], schema=schema)

    with parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        yield writer, to_table


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """A fresh directory beside `target`, gone afterwards unless it was moved; so are those of dead processes."""
    prefix = f".{target.name}.partial-"
    for left in target.parent.glob(f"{prefix}*"):
        if not _is_alive(left.name.removeprefix(prefix)):
            shutil.rmtree(left, ignore_errors=True)
    aside = target.parent / f"{prefix}{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, PermissionError):
        return True
    return True


def _move(aside: Path, target: Path) -> None:
    """Put the finished directory in place; a damaged export of the same mixture makes room."""
    if target.exists():
        old = aside.with_name(f"{aside.name}-old")
        target.rename(old)
        aside.rename(target)
        shutil.rmtree(old)
    else:
        aside.rename(target)
    sync(target.parent)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    sync(path)
