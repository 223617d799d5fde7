"""After a crash: what the spool has and the catalog lacks is merged, so nothing acknowledged is made twice."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from pebr_data.catalog.store import Catalog
from pebr_data.grading.versions import Grading
from pebr_data.probe.in_force import graded_by
from pebr_data.probe.keep import MERGE_EVERY
from pebr_data.probe.shard import WHOLE, Shard
from pebr_data.probe.spool import read_spool
from pebr_data.types import Fingerprint


def recover(
    store: Path,
    fingerprint: Fingerprint,
    grading: Grading | None,
    spool_directory: Path,
    kept: Set[tuple[str, int]],
    damaged: list[str],
    shard: Shard = WHOLE,
) -> set[tuple[str, int]]:
    """Merges what an earlier run left in the spool; gives its (sample_id, index).

    Args:
        store: The store with the catalog.
        fingerprint: The policy that was probed.
        grading: What its rollouts are to be judged by; records that another grading has judged are judged again. None
            keeps the grades that the records hold.
        spool_directory: The spool of its probe.
        kept: What of that probe the catalog has.
        damaged: Filled with the places where a record went bad.
        shard: The samples whose rollouts are merged; other shards are merging theirs.

    Raises:
        BusyError: Another process holds the catalog.
        StorageError: The disk refused.
    """
    recovered: set[tuple[str, int]] = set()
    for segment in read_spool(spool_directory, skip=kept):
        damaged += [f"{segment.path}, byte {position}" for position in segment.damaged_at]
        missing = [
            rollout
            for rollout in segment.rollouts
            if rollout.generation.finish_reason != "error"
            and shard.holds(rollout.key.sample_id)
            and (rollout.key.sample_id, rollout.key.index) not in recovered
        ]
        for start in range(0, len(missing), MERGE_EVERY):
            batch = missing[start : start + MERGE_EVERY]
            merged = batch if grading is None else graded_by(store, batch, grading)
            with Catalog.open(store) as catalog:
                catalog.register_probe(fingerprint)
                catalog.merge_rollouts(merged)
        recovered |= {(rollout.key.sample_id, rollout.key.index) for rollout in missing}
    return recovered
