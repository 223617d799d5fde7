"""The samples that a grader is audited on: the built catalog's, or what its sources would give it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from pebr_data.catalog.connection import CATALOG_FILE
from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.errors import DataError
from pebr_data.grading import infer_answer_type
from pebr_data.hashing import digest_bytes
from pebr_data.sources.base import Reject, open_source
from pebr_data.types import Candidate, Sample, sample_id_of


def audited_samples(config: CatalogConfig, store: Path) -> tuple[list[Sample], bool]:
    """The samples, and whether they come from the built catalog; with the corrected golds in force, if it is built.

    Raises:
        BusyError: Another process holds the catalog.
        DataError: There are none, or a source cannot be read.
    """
    built = _built(config, store)
    samples = list(_from_sources(config)) if built is None else built
    if not samples:
        raise DataError(
            f"the catalog {config.name!r} has no samples", where=str(config.path), help="see to its sources"
        )
    return samples, built is not None


def draw(samples: Sequence[Sample], limit: int | None) -> Sequence[Sample]:
    """So many of the samples, drawn at random but always the same ones, in their order; all without a limit."""
    if limit is None or limit >= len(samples):
        return samples
    return [samples[position] for position in sorted(random.Random(0).sample(range(len(samples)), limit))]


def _built(config: CatalogConfig, store: Path) -> list[Sample] | None:
    if not (store / CATALOG_FILE).exists():
        return None
    with Catalog.open(store, read_only=True) as catalog:
        return catalog.samples(config.name) if config.name in catalog.names() else None


def _from_sources(config: CatalogConfig) -> Iterator[Sample]:
    for source in config.sources:
        for item in open_source(source, config.base_dir).candidates():
            if not isinstance(item, Reject):
                yield _sample(item)


def _sample(candidate: Candidate) -> Sample:
    """The sample that a build would make of it, as far as grading reads it; nothing is stored."""
    answer_type, reason = candidate.answer_type, "declared by the source"
    if answer_type is None:
        inferred = infer_answer_type(candidate.answer, candidate.options, candidate.question)
        answer_type, reason = inferred.answer_type, inferred.reason
    hashes = tuple(digest_bytes(image) for image in candidate.images)
    return Sample(
        sample_id=sample_id_of(candidate.source, candidate.question, candidate.answer, hashes),
        source=candidate.source,
        split=candidate.split,
        question=candidate.question,
        answer=candidate.answer,
        image_hashes=hashes,
        answer_type=answer_type,
        options=candidate.options,
        keywords=candidate.keywords,
        grading=candidate.grading,
        answer_type_reason=reason,
    )
