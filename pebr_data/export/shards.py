"""Writing a frozen mixture: shards, manifest, card and what the format adds, in one directory that appears whole.

manifest = export(store, mixture)          # again: does nothing while the manifest there verifies
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pebr_data import __version__
from pebr_data.catalog.benchmarks import benchmarks_checked
from pebr_data.catalog.store import Catalog
from pebr_data.durable import move, sync, written_aside
from pebr_data.errors import DataError, RefusedError, UsageError
from pebr_data.export.beside import ImagesBeside
from pebr_data.export.card import CARD_FILE, Contents, card
from pebr_data.export.foreseen import foresee
from pebr_data.export.formats import FORMATS
from pebr_data.export.formats.base import ExportedSample, Format
from pebr_data.export.reward import gold_text
from pebr_data.export.shown import as_shown
from pebr_data.export.writers import row_writer
from pebr_data.hashing import digest_file
from pebr_data.images import ImageStore
from pebr_data.manifest import (
    MANIFEST_FILE,
    File,
    Manifest,
    Shard,
    load_manifest,
    read_manifest,
)
from pebr_data.prompts import open_template, text_prompt
from pebr_data.types import Band, Condition, Fingerprint, ImagePlacement, Mixture, Sample

ROWS_PER_GROUP = 256
BYTES_PER_SHARD = 256 * 2**20

StoreImage = Callable[[bytes], str]


def default_directory(store: Path, mixture: Mixture, format: str = "trl", images: ImagePlacement | None = None) -> Path:
    """Where a mixture is exported when nothing else is asked for: one directory for each format."""
    parts = [mixture.name, mixture.mixture_id[:8]]
    if format != "trl":
        parts.append(format)
    if images not in (None, layout_of(format).images[0]):
        parts.append(str(images))
    return store / "exports" / mixture.catalog / "-".join(parts)


def layout_of(format: str, images: ImagePlacement | None = None) -> Format:
    """The layout of that name.

    Raises:
        UsageError: There is none, or it cannot have its images there.
    """
    layout = FORMATS.get(format)
    if layout is None:
        raise UsageError(f"there is no export format {format!r}", help=f"use one of: {', '.join(FORMATS)}")
    if images is not None and images not in layout.images:
        raise UsageError(
            f"the format {format!r} cannot have its images {images!r}", help=f"use --images {layout.images[0]}"
        )
    return layout


def export(
    store: Path,
    mixture: Mixture,
    to: Path | None = None,
    *,
    format: str = "trl",
    images: ImagePlacement | None = None,
) -> Manifest:
    """Write a mixture's samples as shards, with prompts and images as the probe showed them.

    The same mixture, with the same rollouts and checks behind it, always gives the same bytes. A directory that already
    holds it, intact, is left alone; one in which a file differs from its checksum, the card too, is written anew.

    Args:
        store: The store that the mixture was selected in.
        mixture: The frozen choice.
        to: The directory to write; `default_directory` when not given.
        format: A name in `FORMATS`.
        images: Where the images go; the format's first choice when not given.

    Returns:
        The manifest, lying in that directory.

    Raises:
        DataError: The mixture is empty, one of its samples or images is gone or broken, or the format cannot hold one.
        RefusedError: The directory holds something else.
        UsageError: There is no such format, or it cannot have its images there.
    """
    layout = layout_of(format, images)
    placement = images or layout.images[0]
    target = default_directory(store, mixture, format, placement) if to is None else to
    there = _already_there(target, mixture, format, placement)
    if there is not None:
        return there
    fingerprint, chosen = _read(store, mixture)
    if layout.needs_response:
        _require_responses(chosen, mixture, format)
    benchmarks = benchmarks_checked(store, mixture.catalog, mixture.mixture_id)
    with Catalog.open(store, read_only=True) as catalog:
        foreseen = foresee(catalog, mixture)
    samples, bands = [one.sample for one in chosen], [one.band for one in chosen]
    contents = Contents.of(samples, bands, mixture.drops, benchmarks, foreseen)
    with written_aside(target) as aside:
        beside = ImagesBeside(aside)
        rows = _rows(store, chosen, fingerprint, beside.add if placement == "beside" else None)
        manifest = Manifest(
            format=format,
            images=placement,
            catalog=mixture.catalog,
            mixture=mixture.name,
            mixture_id=mixture.mixture_id,
            policy=mixture.config["policy"],
            band=mixture.config["band"],
            probe_id=fingerprint.probe_id,
            fingerprint=fingerprint.to_json(),
            num_samples=len(chosen),
            columns=tuple(layout.schema(placement).names),
            shards=_write_shards(aside, layout, placement, rows),
            code_version=__version__,
        )
        companions = tuple(_write_text(aside, name, text) for name, text in sorted(layout.companions(manifest).items()))
        its_card = _write_text(aside, CARD_FILE, card(manifest, contents, layout.usage(manifest)))
        manifest = manifest.model_copy(update={"files": (its_card, *companions, *beside.files)})
        _write_text(aside, MANIFEST_FILE, manifest.to_text())
        move(aside, target)
    return manifest.at(target)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A sample of the mixture and what the probe made of it."""

    sample: Sample
    pass_rate: float | None
    band: Band


def _already_there(target: Path, mixture: Mixture, format: str, images: ImagePlacement) -> Manifest | None:
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
    if (manifest.format, manifest.images) != (format, images):
        raise RefusedError(
            f"the directory holds the mixture already, in the format {manifest.format!r} (images: {manifest.images}), "
            f"not {format!r} (images: {images})",
            where=str(target),
            help="name another directory with --to, or move this one away",
        )
    try:
        return load_manifest(target)
    except DataError:
        return None


def _read(store: Path, mixture: Mixture) -> tuple[Fingerprint, list[_Chosen]]:
    """The policy that the mixture was chosen for, and its samples in their order."""
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
        samples = catalog.samples(sample_ids=mixture.sample_ids)
        rates = catalog.pass_rates(fingerprint.probe_id, mixture.config["rollouts"])
    probed = {row["sample_id"]: (row["pass_rate"], Band(row["band"])) for row in rates.iter_rows(named=True)}
    # The policy `all` takes samples that were never probed, too.
    unknown = (None, Band.UNPROBED)
    return fingerprint, [_Chosen(sample, *probed.get(sample.sample_id, unknown)) for sample in samples]


def _require_responses(chosen: list[_Chosen], mixture: Mixture, format: str) -> None:
    without = [one.sample.sample_id for one in chosen if not one.sample.response]
    if without:
        raise DataError(
            f"{len(without):,} of {len(chosen):,} samples have no reference response, and the format {format!r} is for "
            "training on responses",
            where=f"mixture {mixture.name}, sample {without[0]}",
            help="give the source a `response` field, or export another mixture or format",
        )


def _rows(
    store: Path, chosen: list[_Chosen], fingerprint: Fingerprint, beside: StoreImage | None
) -> Iterator[ExportedSample]:
    """The samples as they are exported; images are read one row at a time, and given to `beside` for their paths."""
    stored = ImageStore(store / "images")
    extractors = open_template(fingerprint.template).extractors
    for position, one in enumerate(chosen):
        sample = one.sample
        hashes = sample.image_hashes if fingerprint.condition is Condition.IMAGE else ()
        shown = tuple(as_shown(stored.get(image_hash), fingerprint.max_pixels) for image_hash in hashes)
        yield ExportedSample(
            sample=sample,
            position=position,
            prompt=text_prompt(fingerprint.template, sample.question, fingerprint.condition, sample.description),
            images=shown if beside is None else tuple(beside(data) for data in shown),
            pass_rate=one.pass_rate,
            band=one.band,
            gold=gold_text(sample, extractors, fingerprint.max_completion_length),
        )


def _write_shards(
    directory: Path, layout: Format, images: ImagePlacement, exported: Iterator[ExportedSample]
) -> tuple[Shard, ...]:
    """Write rows in groups of `ROWS_PER_GROUP`; a new shard begins once one has reached `BYTES_PER_SHARD`."""
    shards: list[Shard] = []
    schema = layout.schema(images)
    group = list(islice(exported, ROWS_PER_GROUP))
    while group:
        name = layout.shard_file.format(len(shards))
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        num_rows = 0
        with row_writer(path, schema) as write:
            while group and (num_rows == 0 or path.stat().st_size < BYTES_PER_SHARD):
                write([layout.row(one) for one in group])
                num_rows += len(group)
                group = list(islice(exported, ROWS_PER_GROUP))
        sync(path)
        shards.append(Shard(file=name, sha256=digest_file(path), num_rows=num_rows, num_bytes=path.stat().st_size))
    return tuple(shards)


def _write_text(directory: Path, name: str, text: str) -> File:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    sync(path)
    return File(file=name, sha256=digest_file(path), num_bytes=path.stat().st_size)
