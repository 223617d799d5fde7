"""`Catalog`: the one way to the database of samples, probes, rollouts and mixtures.

    with Catalog.open(store, read_only=True) as catalog:
        samples = catalog.samples("shapes", split="train")

DuckDB lets one process in while one writes, so a catalog is opened for moments: read or write what is needed, leave the
block, and only then generate, train or think.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from pebr_data.catalog import golds as corrected
from pebr_data.catalog import gradings, reviews, rollouts, samples, source_rows
from pebr_data.catalog.connection import connect, transaction
from pebr_data.catalog.early_stops import StopRules
from pebr_data.catalog.evidence import evidence
from pebr_data.catalog.frames import LazyFrames
from pebr_data.catalog.frozen import FrozenMixtures
from pebr_data.catalog.golds import GoldFix
from pebr_data.catalog.image_facts import read_image_facts
from pebr_data.catalog.ingest import IngestCounts, ingest
from pebr_data.catalog.marks import Marks
from pebr_data.catalog.pass_rates import bands, pass_rates
from pebr_data.catalog.perception import Perception
from pebr_data.catalog.reviews import GoldReview
from pebr_data.catalog.rollouts import KnownProbe, Probe, Usage
from pebr_data.catalog.source_rows import Refusal
from pebr_data.catalog.stats import Stats, stats
from pebr_data.types import (
    Candidate,
    Fingerprint,
    Grade,
    Outcome,
    Rollout,
    RolloutKey,
    Sample,
)

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from pebr_data.images import ImageFacts, ImageStore
    from pebr_data.sources.base import Reject


class Catalog(FrozenMixtures, Marks):
    """An open catalog. Get one from `Catalog.open`; it is closed when the block ends."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, store: Path, *, read_only: bool = False, wait_seconds: float | None = None) -> Iterator[Catalog]:
        """The catalog of a store, open for the length of a `with` block.

        Args:
            store: The store's directory; it and the catalog are created when missing, unless `read_only`.
            read_only: Open for reading; several processes may read at once while none writes.
            wait_seconds: How long to wait for another process to let go; half a minute when not given, or what
                `--wait` says.

        Raises:
            BusyError: Another process still held it after `wait_seconds`; the message names it.
            DataError: There is no catalog to read, or the file is not one.
            RefusedError: A newer pebr or DuckDB wrote it.
            StorageError: It cannot be opened, created or written.
        """
        with connect(store, read_only=read_only, wait_seconds=wait_seconds) as connection:
            yield cls(connection)

    def names(self) -> list[str]:
        """The catalogs that were built into this store."""
        return samples.catalog_names(self._connection)

    def ingest(
        self,
        catalog: str,
        config_digest: str,
        candidates: Iterable[Candidate | Reject],
        images: ImageStore,
    ) -> IngestCounts:
        """Adds what sources yield to a catalog, which stays open meanwhile; see `ingest.build` for a YAML."""
        return ingest(lambda: nullcontext(self._connection), catalog, config_digest, candidates, images)

    def samples(
        self,
        catalog: str | None = None,
        split: str | None = None,
        sample_ids: Sequence[str] | None = None,
        *,
        golds: str | None = None,
        since: datetime | None = None,
    ) -> list[Sample]:
        """Samples that meet every filter given, by source and position; with `sample_ids`, in that order.

        With `since` only those that the catalog got then (UTC) or later, as far as that was noted.

        Their answers are the corrected golds in force where there are any; with `golds`, those of that set, and with
        `SOURCE_GOLDS` the sources' own.

        Raises:
            DataError: The store has no such catalog; or, with `sample_ids` alone, one of the samples is not there.
        """
        return samples.read_samples(self._connection, catalog, split, sample_ids, golds, since)

    @property
    def lazy(self) -> LazyFrames:
        """Samples, rollouts and pass rates as lazy frames: `catalog.lazy.samples("shapes").select("question")`."""
        return LazyFrames(self._connection)

    def register_probe(self, fingerprint: Fingerprint) -> str:
        """Records a policy before its rollouts are merged; gives its `probe_id`. Registering twice changes nothing."""
        return rollouts.register_probe(self._connection, fingerprint)

    def probes(self, catalog: str | None = None) -> list[Probe]:
        """The probes with rollouts of that catalog's samples, oldest first; None gives every registered probe."""
        return rollouts.list_probes(self._connection, catalog)

    def known_probes(self, catalog: str | None = None, split: str | None = None) -> list[KnownProbe]:
        """What `probes` gives, without counting; with `split` those with rollouts of that split of the catalog."""
        return rollouts.known_probes(self._connection, catalog, split)

    def usage(self, probe_id: str, catalog: str) -> Usage:
        """What a probe has made of a catalog's samples: outcomes by the grading in force, and tokens."""
        return rollouts.usage(self._connection, probe_id, catalog)

    def fingerprint(self, probe_id: str) -> Fingerprint:
        """The policy behind a probe.

        Raises:
            DataError: There is no such probe.
        """
        return rollouts.probe_fingerprint(self._connection, probe_id)

    def merge_rollouts(self, merged: Iterable[Rollout]) -> int:
        """Adds graded rollouts in one transaction and gives how many were new; see `rollouts.merge_rollouts`.

        Raises:
            DataError: One belongs to a probe that was not registered.
            StorageError: The disk refused; nothing of this call was kept.
        """
        return rollouts.merge_rollouts(self._connection, merged)

    def save_grades(self, grades: Sequence[tuple[RolloutKey, Grade]]) -> None:
        """Adds another grader version's grades to merged rollouts. The old ones stay."""
        rollouts.save_grades(self._connection, grades)

    def grader_version(self, probe_id: str) -> str | None:
        """The grading in force: whose grades of this probe count. None before anything was graded."""
        return gradings.grader_version(self._connection, probe_id)

    def grader_versions(self, probe_id: str) -> list[str]:
        """Every grading that has judged rollouts of this probe, oldest first."""
        return gradings.grader_versions(self._connection, probe_id)

    def use_grading(
        self, probe_ids: Sequence[str], version: str, golds: str, reviewed: Iterable[GoldReview] = ()
    ) -> list[str]:
        """Puts a grading in force for these probes, its golds and what a person said of some, in one transaction.

        Returns:
            The probes among them that have rollouts which it has not judged; nothing was changed if there are any.
        """
        with transaction(self._connection):
            owing = [one for one in probe_ids if len(gradings.ungraded(self._connection, one, version))]
            if not owing:
                for probe_id in probe_ids:
                    gradings.use_grading(self._connection, probe_id, version)
                corrected.use_golds(self._connection, golds)
                reviews.save_reviews(self._connection, reviewed)
        return owing

    def num_rollouts(self, probe_id: str) -> int:
        """Every rollout of a probe, of whatever catalog, errors included."""
        return gradings.num_rollouts(self._connection, probe_id)

    def ungraded(self, probe_id: str, version: str) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Where the rollouts lie that a grading has not judged: row numbers for `completions_at`, ascending, int64."""
        return gradings.ungraded(self._connection, probe_id, version)

    def completions_at(self, probe_id: str, places: Sequence[int]) -> list[gradings.Completion]:
        """The probe's rollouts at these row numbers, in no order.

        A row number holds for as long as nobody writes to its row; one that has moved is left out.
        """
        return gradings.completions_at(self._connection, probe_id, places)

    def confusion(self, probe_id: str, before: str, after: str) -> dict[tuple[Outcome, Outcome], int]:
        """How many rollouts have this outcome under one grading and that under another; those that both judged."""
        return gradings.confusion(self._connection, probe_id, before, after)

    def disputed_samples(self, probe_id: str, one: str, other: str, catalog: str | None = None) -> pl.DataFrame:
        """The samples whose grades two gradings dispute, the most disputed first; see `gradings.disputed_samples`."""
        return gradings.disputed_samples(self._connection, probe_id, one, other, catalog)

    def golds_in_force(self) -> str:
        """The name of the corrected golds that samples are read with; `SOURCE_GOLDS` when there are none."""
        return corrected.golds_in_force(self._connection)

    def golds(self, name: str) -> list[GoldFix]:
        """The corrections of a set, by sample; none for `SOURCE_GOLDS`."""
        return corrected.read_golds(self._connection, name)

    def save_golds(self, fixes: Iterable[GoldFix]) -> str:
        """Keeps a set of corrected golds and gives its name; samples are read with it once `use_grading` says so."""
        with transaction(self._connection):
            return corrected.save_golds(self._connection, fixes)

    def gold_reviews(self) -> list[GoldReview]:
        """What a person said of golds, by sample."""
        return reviews.read_reviews(self._connection)

    @property
    def stop_rules(self) -> StopRules:
        """Which probes stop a sample before it has all its rollouts."""
        return StopRules(self._connection)

    @property
    def perception(self) -> Perception:
        """What the parts of the perception reward come to."""
        return Perception(self._connection)

    def rollout_keys(self, probe_id: str) -> set[tuple[str, int]]:
        """(sample_id, index) of every kept rollout; those that ended in an engine's error are owed again."""
        return rollouts.rollout_keys(self._connection, probe_id)

    def rollouts(self, probe_id: str, sample_ids: Sequence[str] | None = None) -> list[Rollout]:
        """A probe's rollouts with their grades by the grading in force, by sample and index, errors included."""
        return rollouts.read_rollouts(self._connection, probe_id, sample_ids)

    def completion_lengths(self, probe_id: str, sample_ids: Sequence[str], num_rollouts: int = 8) -> pl.DataFrame:
        """How long a probe's completions of these samples are, of the rollouts that `pass_rates` counts.

        Columns: sample_id, is_correct (a row each, where a sample has both), num_rollouts, sum_tokens, sum_squares.
        """
        return rollouts.completion_lengths(self._connection, probe_id, sample_ids, num_rollouts)

    def pass_rates(
        self,
        probe_id: str,
        num_rollouts: int = 8,
        catalog: str | None = None,
        split: str | None = None,
        *,
        version: str | None = None,
        num_generations: int | None = None,
    ) -> pl.DataFrame:
        """What a probe says of each sample: a frame, not lazy, one row per sample, by source and position.

        With `catalog` every sample of it is there, probed or not; without, those with rollouts. Only the rollouts with
        indices 0 .. num_rollouts - 1 count, as judged by the grading in force, or by the one that `version` names; all
        that the rule allows where the probe stops a split's samples by their posterior (`stop_rules`).

        `lazy.pass_rates` gives a frame that is lazy.

        Columns: sample_id, source, split, skill; num_rollouts, those that say something about the policy, which is the
        sum of num_correct, num_wrong, num_unparsed and num_truncated; num_ungradable and num_error beside them;
        pass_rate in [0, 1], null unless the group is complete, and where the probe stops by the posterior; band
        (`unprobed` unless it is, or the probe stops early and both outcomes were seen; by the posterior, the one that
        is sure, else `unprobed`); and, null without rollouts, posterior_mean, posterior_low and posterior_high
        (95 %); informative, the probability that a group of the training's `num_generations` (`num_rollouts` by
        default) has both outcomes; prior, where the prior under which these hold comes from. It is fitted to the
        split's samples of the same source and answer type where they are enough, else to all of the split's, else
        uniform (`difficulty.known`).

        Raises:
            DataError: There is no such probe or catalog.
        """
        generations = num_rollouts if num_generations is None else num_generations
        return pass_rates(self._connection, probe_id, num_rollouts, catalog, split, version, generations)

    def bands(
        self, probe_id: str, num_rollouts: int = 8, catalog: str | None = None, split: str | None = None,
        *, by_rule: bool = True,
    ) -> pl.DataFrame:  # fmt: skip
        """The part of `pass_rates` that selection goes by, sooner, by sample_id.

        Columns: sample_id, source, split, skill, answer_type, num_options, num_correct, num_rollouts, num_ungradable,
        num_error, band, pass_rate. Without `by_rule` only the first `num_rollouts` count, whatever rule the probe
        stops by.

        Raises:
            DataError: There is no such probe or catalog.
        """
        return bands(self._connection, probe_id, num_rollouts, catalog, split, by_rule=by_rule)

    def evidence(
        self, probe_id: str, num_rollouts: int = 8, catalog: str | None = None, split: str | None = None
    ) -> pl.DataFrame:
        """What `difficulty.diagnosis` reads of each sample, by sample_id, and what `bands` says of it.

        Columns: those of `diagnosis.EVIDENCE`, num_ungradable, num_error; gold_answer and majority_answer as they were
        given.

        Raises:
            DataError: There is no such probe or catalog.
        """
        return evidence(self._connection, probe_id, num_rollouts, catalog, split)

    def migrations(self) -> list[tuple[int, str]]:
        """The schema's migrations that the catalog has had: number and name, in order."""
        return self._connection.execute("SELECT number, name FROM migrations ORDER BY number").fetchall()

    def origin(self, sample_id: str) -> tuple[int, list[str]]:
        """Which of its source's candidates a sample is (0, 1, …), and the catalogs that hold it.

        Raises:
            DataError: There is no such sample.
        """
        return samples.origin(self._connection, sample_id)

    def sample_at(self, source: str, position: int) -> str | None:
        """The sample that a source's candidate (0, 1, …) became; None when it became none."""
        return source_rows.sample_at(self._connection, source, position)

    def refusals_at(self, source: str, position: int) -> list[Refusal]:
        """Why a source's candidate (0, 1, …) became no sample, by catalog."""
        return source_rows.refusals_at(self._connection, source, position)

    def image_facts(self, image_hashes: Sequence[str]) -> list[ImageFacts]:
        """What the gate found out about these images, in their order; those that it has not looked at are left out."""
        return read_image_facts(self._connection, image_hashes)

    def stats(self, catalog: str | None = None, num_rollouts: int = 8) -> Stats:
        """Counts of samples, rejects, bands and outcomes of one catalog, or of every catalog in the store.

        Raises:
            DataError: The store has no such catalog.
        """
        return stats(self._connection, catalog, num_rollouts)
