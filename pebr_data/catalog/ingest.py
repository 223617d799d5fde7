"""Ingesting: what the sources yield becomes samples, with their images stored, or rejects with a reason.

The catalog is opened for one batch at a time. Each batch is a transaction of its own, and ingesting again what is there
changes nothing, so a build that was killed is simply run again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from pebr_data.catalog.connection import connect
from pebr_data.catalog.gathering import gather
from pebr_data.catalog.image_facts import known_images
from pebr_data.catalog.samples import (
    PlacedReject,
    PlacedSample,
    begin_source,
    finish_source,
    finished_build,
    forget_sources,
    metadata_json,
    write_batch,
)
from pebr_data.config import CatalogConfig
from pebr_data.errors import DataError
from pebr_data.grading.infer import ANSWER_TYPES, infer_answer_type
from pebr_data.grading.rules import read_rules
from pebr_data.hashing import digest
from pebr_data.images import ImageStore
from pebr_data.sources.base import Reject, open_source, source_stamp
from pebr_data.strict_yaml import nearest
from pebr_data.types import Candidate, Sample, sample_id_of

BATCH_SIZE = 2_048
"""Candidates to a transaction: 33k rows/s there, 18k at 64, and a kill loses little work."""

OpenConnection = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]
Progress = Callable[[str, int], None]
"""Called after each batch with the source's name and how many of its candidates are done."""


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """What an ingest found.

    Attributes:
        samples: Samples per split.
        num_new: Samples among them that were not in the store before.
        num_existing: Samples among them that were.
        rejects: Candidates that cannot be used, per reason.
    """

    samples: Mapping[str, int]
    num_new: int
    num_existing: int
    rejects: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build did, and what the catalog now holds.

    Attributes:
        catalog: The catalog's name.
        built: Sources that were ingested by this build.
        skipped: Sources that a finished build had ingested before; nothing was read for them.
        samples: Samples per split, of all sources.
        num_new: Samples that this build added to the store.
        num_existing: Samples that were there before.
        rejects: Candidates that cannot be used, per reason, of all sources.
    """

    catalog: str
    built: tuple[str, ...]
    skipped: tuple[str, ...]
    samples: Mapping[str, int]
    num_new: int
    num_existing: int
    rejects: Mapping[str, int]


def build(config: CatalogConfig, store: Path, *, progress: Progress | None = None) -> BuildResult:
    """Ingests every source of a catalog that no finished build has covered.

    A source is covered when it was ingested to its end under the same part of the YAML, from files that have not
    changed since, and all its images are in the store. Afterwards the catalog holds exactly what its sources yield.

    Args:
        config: The catalog YAML.
        store: The store's directory; created when missing.
        progress: Called after each batch.

    Raises:
        BusyError: Another process holds the catalog.
        DataError: A source cannot be read at all.
        RefusedError: Another catalog of the store has one of the samples in another split.
        StorageError: The disk refused.
    """
    images = ImageStore(store / "images")
    counts: list[IngestCounts] = []
    built: list[str] = []
    skipped: list[str] = []

    def open_connection() -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        return connect(store, read_only=False, wait_seconds=None)

    for source_config in config.sources:
        source = open_source(source_config, config.base_dir)
        config_digest = digest(source_stamp(source_config, config.base_dir))
        with open_connection() as connection:
            done = finished_build(connection, images, config.name, source.name, config_digest)
        if done is None:
            candidates = _licensed(source.candidates(), source_config.license)
            counts.append(
                ingest(
                    open_connection, config.name, config_digest, candidates, images,
                    source=source.name, progress=progress,
                )
            )  # fmt: skip
            built.append(source.name)
        else:
            total = sum(done["samples"].values())
            counts.append(IngestCounts(done["samples"], num_new=0, num_existing=total, rejects=done["rejects"]))
            skipped.append(source.name)
    with open_connection() as connection:
        forget_sources(connection, config.name, [source_config.name for source_config in config.sources])
    return BuildResult(
        catalog=config.name,
        built=tuple(built),
        skipped=tuple(skipped),
        samples=_sum(count.samples for count in counts),
        num_new=sum(count.num_new for count in counts),
        num_existing=sum(count.num_existing for count in counts),
        rejects=_sum(count.rejects for count in counts),
    )


def ingest(
    open_connection: OpenConnection,
    catalog: str,
    config_digest: str,
    candidates: Iterable[Candidate | Reject],
    images: ImageStore,
    *,
    source: str | None = None,
    progress: Progress | None = None,
) -> IngestCounts:
    """Ingests candidates to their end and records that their sources are covered.

    Args:
        open_connection: Gives a connection for one batch.
        catalog: The catalog's name.
        config_digest: What a later build must match to have nothing to do.
        candidates: What the sources yield.
        images: Where image bytes go.
        source: A source that is covered even if it yields nothing.
        progress: Called after each batch.

    Raises:
        BusyError: Another process holds the catalog.
        RefusedError: Another catalog has one of the samples in another split.
        StorageError: The disk refused.
    """
    tallies: defaultdict[str, _Tally] = defaultdict(_Tally)
    if source is not None:
        tallies[source] = _Tally()
    with open_connection() as connection:
        known = known_images(connection)
    for batch in gather(candidates, images, known, BATCH_SIZE):
        placed = [
            _place(item, _make(item, hashes), tallies[item.source])
            for item, hashes in zip(batch.items, batch.images, strict=True)
        ]
        samples = [item for item in placed if isinstance(item, PlacedSample)]
        rejects = [item for item in placed if isinstance(item, PlacedReject)]
        with open_connection() as connection:
            _begin(connection, catalog, tallies)
            new_ids = write_batch(connection, catalog, samples, rejects, batch.facts)
        known.update(bytes.fromhex(one.image_hash) for one in batch.facts)
        for item in samples:
            tallies[item.sample.source].num_new += item.sample.sample_id in new_ids
        if progress is not None:
            for name in dict.fromkeys(item.source for item in batch.items):
                progress(name, tallies[name].num_candidates)
    with open_connection() as connection:
        _begin(connection, catalog, tallies)
        for name, tally in tallies.items():
            counts = {"samples": Counter(tally.splits.values()), "rejects": tally.rejects}
            finish_source(connection, catalog, name, tally.splits.keys(), config_digest, counts)
    return IngestCounts(
        samples=_sum(Counter(tally.splits.values()) for tally in tallies.values()),
        num_new=sum(tally.num_new for tally in tallies.values()),
        num_existing=sum(len(tally.splits) - tally.num_new for tally in tallies.values()),
        rejects=_sum(tally.rejects for tally in tallies.values()),
    )


def _licensed(candidates: Iterable[Candidate | Reject], license: str | None) -> Iterable[Candidate | Reject]:
    """The candidates, with the source's licence in the metadata of those that declare none of their own."""
    if license is None:
        return candidates
    return (
        replace(one, metadata={"license": license, **one.metadata}) if isinstance(one, Candidate) else one
        for one in candidates
    )


@dataclass(slots=True)
class _Tally:
    """What one source has yielded so far; `splits` holds each of its samples' split."""

    begun: bool = False
    num_candidates: int = 0
    num_new: int = 0
    splits: dict[str, str] = field(default_factory=dict)
    rejects: Counter[str] = field(default_factory=Counter)


def _begin(connection: duckdb.DuckDBPyConnection, catalog: str, tallies: Mapping[str, _Tally]) -> None:
    for name, tally in tallies.items():
        if not tally.begun:
            begin_source(connection, catalog, name)
            tally.begun = True


def _make(item: Candidate | Reject, images: Sequence[str | DataError]) -> Sample | str:
    return item.reason if isinstance(item, Reject) else _sample(item, images)


def _place(item: Candidate | Reject, made: Sample | str, tally: _Tally) -> PlacedSample | PlacedReject:
    """Numbers what was yielded, and refuses a sample that the source has yielded before."""
    position = tally.num_candidates
    tally.num_candidates += 1
    if isinstance(made, Sample):
        held = tally.splits.get(made.sample_id)
        if held is None:
            tally.splits[made.sample_id] = made.split
            return PlacedSample(made, position)
        reason = "duplicate of an earlier candidate" if held == made.split else f"already in the split {held}"
    else:
        reason = _printable(made)
    tally.rejects[reason] += 1
    where = _printable(item.where) if isinstance(item, Reject) else f"candidate {position}"
    return PlacedReject(item.source, position, where, reason)


def _printable(text: str) -> str:
    """The text with lone surrogates (from a file's name, say) written out, so that it can be stored."""
    return text.encode(errors="backslashreplace").decode()


def _sample(candidate: Candidate, images: Sequence[str | DataError]) -> Sample | str:
    """The candidate as a sample, or why it cannot be one.

    Args:
        candidate: What a source yielded.
        images: For each of its images, the hash it is stored under, or why no model can be shown it.
    """
    if not candidate.question.strip():
        return "the question is empty"
    texts = (
        candidate.split, candidate.question, candidate.answer, candidate.answer_type, candidate.description,
        candidate.response, candidate.skill, *candidate.options, *candidate.keywords,
    )  # fmt: skip
    try:
        "".join(text or "" for text in texts).encode()
    except UnicodeEncodeError:
        return "the text holds half a character (a lone surrogate)"
    try:
        metadata_json(candidate.metadata).encode()
    except (TypeError, ValueError) as error:
        return f"the metadata is not JSON: {error}"
    problem = _grading_problem(candidate)
    if problem is not None:
        return problem
    image_hashes: list[str] = []
    for number, image in enumerate(images, start=1):
        if isinstance(image, DataError):
            return image.what if len(images) == 1 else f"image {number}: {image.what}"
        image_hashes.append(image)
    answer_type, answer_type_reason = candidate.answer_type, "declared by the source"
    if answer_type is None:
        inferred = infer_answer_type(candidate.answer, candidate.options, candidate.question)
        answer_type, answer_type_reason = inferred.answer_type, inferred.reason
    return Sample(
        sample_id=sample_id_of(candidate.source, candidate.question, candidate.answer, tuple(image_hashes)),
        source=candidate.source,
        split=candidate.split,
        question=candidate.question,
        answer=candidate.answer,
        image_hashes=tuple(image_hashes),
        answer_type=answer_type,
        options=candidate.options,
        keywords=candidate.keywords,
        description=candidate.description,
        response=candidate.response,
        skill=candidate.skill,
        grading=candidate.grading,
        metadata=candidate.metadata,
        answer_type_reason=answer_type_reason,
    )


def _grading_problem(candidate: Candidate) -> str | None:
    """Why the candidate's answer type or grading rules cannot be used, or None."""
    if candidate.answer_type is not None and candidate.answer_type not in ANSWER_TYPES:
        near = nearest(candidate.answer_type, ANSWER_TYPES)
        return f"there is no answer type {candidate.answer_type!r}" + (f"; did you mean {near!r}?" if near else "")
    try:
        read_rules(candidate.grading)
    except DataError as error:
        return error.what
    return None


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))
