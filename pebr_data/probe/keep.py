"""Keeping rollouts: graded, spooled, acknowledged, merged into the catalog, counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pebr_data.catalog.store import Catalog
from pebr_data.errors import BusyError
from pebr_data.grading.versions import Grading
from pebr_data.probe.progress import RunProgress, write_progress
from pebr_data.probe.rounds import Rounds
from pebr_data.probe.shard import Shard
from pebr_data.probe.spool import SpoolWriter
from pebr_data.shuffled import as_shown
from pebr_data.types import Fingerprint, Generation, Outcome, Rollout, RolloutKey, Sample

SYNC_EVERY = 256
"""Rollouts between two fsyncs of the spool."""

MERGE_EVERY = 16384
"""Rollouts to a transaction of the catalog."""

MERGE_SECONDS = 15.0
"""Time after which fewer are merged too, so that `stats` can follow a slow probe."""

MERGE_SHARE = 0.01
"""Of the time, for those: a large catalog on a slow disk is written less often."""

MAX_ERRORS = 5
"""Different error messages that a result carries."""

Made = tuple[RolloutKey, Generation, Sample]
"""Which rollout, what the policy made, and what it was asked."""

Progress = Callable[[int, int, str], None]
"""Called with the rollouts kept, the rollouts wanted, and a word on how it goes."""


@dataclass(slots=True)
class Keeper:
    """Grades what comes in, spools it, merges it, and counts.

    Attributes:
        store: The store with the catalog.
        shard: The part of the probe that is run.
        fingerprint: The policy; the catalog gets to know it with its first rollouts.
        grading: Who judges, where the policy's template puts the answer, and by which golds.
        num_done: Wanted rollouts kept before.
        num_owed: Wanted rollouts that were not.
        rounds: Told of every outcome.
        stops_at: The group size whose bands the probe stops by; None where it makes every rollout.
        progress: Called as rollouts are acknowledged.
        num_generated: Rollouts kept here, failed ones included.
        num_failed: Those that the engine failed on; they are owed again.
        num_tokens: Completion tokens of those that did not fail.
        outcomes: Their grades.
        errors: Different messages of failed ones, the first few.
        unsynced: How many are not acknowledged yet.
        unmerged: Those not in the catalog yet.
        merged_at: When the catalog was last written.
        merging_took: How long that was, in seconds, once the catalog was free.
        started: When generating began, in seconds since 1970.
    """

    store: Path
    shard: Shard
    fingerprint: Fingerprint
    grading: Grading
    num_done: int
    num_owed: int
    rounds: Rounds
    stops_at: int | None
    progress: Progress | None
    num_generated: int = 0
    num_failed: int = 0
    num_tokens: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    unsynced: int = 0
    unmerged: list[Rollout] = field(default_factory=list)
    merged_at: float = field(default_factory=time.monotonic)
    merging_took: float = 0.0
    started: float = field(default_factory=time.time)

    @property
    def directory(self) -> Path:
        """The probe's own directory."""
        return self.store / "probes" / self.fingerprint.probe_id

    @property
    def num_wanted(self) -> int:
        """All wanted rollouts, without those that early stopping has spared so far."""
        return self.num_done + self.num_owed - self.rounds.num_spared

    @property
    def all_failed(self) -> bool:
        """Whether there are only failures so far."""
        return 0 < self.num_generated == self.num_failed

    def keep(self, spool: SpoolWriter, made: Sequence[Made]) -> None:
        """Grade generations and put them into the spool; acknowledge and merge when it is time.

        Args:
            spool: Where they go first.
            made: Which rollouts, what the policy made, and the samples with the golds that the grading goes by.

        Raises:
            StorageError: The disk refused.
        """
        while made:
            size = min(SYNC_EVERY - self.unsynced, MERGE_EVERY)
            batch, made = made[:size], made[size:]
            asked = [as_shown(sample, self.fingerprint, key) for key, _, sample in batch]
            verdicts = self.grading.grade(
                [
                    (generation.completion, shown, generation.finish_reason)
                    for (_, generation, _), (shown, _) in zip(batch, asked, strict=True)
                ]
            )
            rollouts = [
                Rollout(key, generation, verdict, order)
                for (key, generation, _), verdict, (_, order) in zip(batch, verdicts, asked, strict=True)
            ]
            spool.append(rollouts)
            for rollout in rollouts:
                self._count(rollout)
            self.unmerged += rollouts
            self.unsynced += len(rollouts)
            if self.unsynced >= SYNC_EVERY:
                self.acknowledge(spool)
            due = self.merged_at + max(MERGE_SECONDS, self.merging_took / MERGE_SHARE)
            if len(self.unmerged) >= MERGE_EVERY or time.monotonic() > due:
                self.acknowledge(spool)
                # Somebody reading for long is no reason to stop generating: the spool holds everything.
                with suppress(BusyError):
                    self.merge(wait_seconds=2.0)

    def _count(self, rollout: Rollout) -> None:
        generation, outcome = rollout.generation, rollout.grade.outcome
        self.rounds.see(rollout.key, outcome)
        self.num_generated += 1
        self.num_failed += generation.finish_reason == "error"
        self.outcomes[outcome] += 1
        self.num_tokens += 0 if generation.error is not None else generation.num_tokens
        if generation.error is not None and generation.error not in self.errors and len(self.errors) < MAX_ERRORS:
            self.errors.append(generation.error)

    def acknowledge(self, spool: SpoolWriter) -> None:
        """Put everything kept so far on disk, and say so.

        Raises:
            StorageError: The disk refused.
        """
        if self.unsynced:
            spool.sync()
            self.unsynced = 0
        self.tell()

    def tell(self) -> None:
        """Say how far it is, to whoever asked and to whoever reads the probe's directory."""
        self.note()
        if self.progress is not None:
            good = self.num_generated - self.num_failed
            share = f"{self.outcomes[Outcome.CORRECT] / good:.0%} correct" if good else ""
            self.progress(self.num_done + good, self.num_wanted, share)

    def note(self) -> None:
        """Note how far it is in the probe's directory."""
        write_progress(
            self.directory,
            RunProgress(
                shard=self.shard.stem,
                started=self.started,
                updated=time.time(),
                num_done=self.num_done + self.num_generated - self.num_failed,
                num_wanted=self.num_wanted,
                num_generated=self.num_generated,
                num_failed=self.num_failed,
                num_tokens=self.num_tokens,
                outcomes={str(outcome): count for outcome, count in self.outcomes.items()},
            ),
        )

    def merge(self, wait_seconds: float = 60.0) -> None:
        """Move what is acknowledged into the catalog.

        Raises:
            BusyError: Another process held the catalog; the spool has everything.
            StorageError: The disk refused.
        """
        self.merged_at = time.monotonic()
        if self.unmerged:
            with Catalog.open(self.store, wait_seconds=wait_seconds) as catalog:
                began = time.monotonic()
                catalog.register_probe(self.fingerprint)
                if self.stops_at is not None:
                    catalog.stop_rules.note_exact(self.fingerprint.probe_id, self.stops_at)
                catalog.merge_rollouts(self.unmerged)
            self.merged_at = time.monotonic()
            self.merging_took = self.merged_at - began
            self.unmerged = []
