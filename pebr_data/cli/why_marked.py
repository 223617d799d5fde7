"""The part of `why` about other samples: those that are as good as this one, and benchmarks that have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pebr_data.catalog.duplicates import DuplicateCluster, OverlapMark
    from pebr_data.types import Json

_NUM_LISTED = 8


def marks_as_json(clusters: Sequence[DuplicateCluster], overlaps: Sequence[OverlapMark]) -> dict[str, Json]:
    """Both as JSON-serialisable values."""
    return {"duplicates": [_plain(one) for one in clusters], "benchmarks": [_plain(one) for one in overlaps]}


def print_marks(sample_id: str, clusters: Sequence[DuplicateCluster], overlaps: Sequence[OverlapMark]) -> None:
    """What was marked, why, and by which search."""
    for cluster in clusters:
        by = _by("dedupe", cluster)
        if sample_id == cluster.kept_id:
            others = [f"{one} ({reason})" for one, reason in cluster.reasons.items()]
            more = f", and {len(others) - _NUM_LISTED:,} more" if len(others) > _NUM_LISTED else ""
            print(f"  kept in {cluster.catalog} as the first of {len(others) + 1:,}; duplicates of it:")
            print(f"    {', '.join(others[:_NUM_LISTED])}{more}; {by}")
        else:
            among = f", one of {len(cluster.reasons) + 1:,}" if len(cluster.reasons) > 1 else ""
            print(
                f"  duplicate in {cluster.catalog} of {cluster.kept_id} ({cluster.reasons[sample_id]}){among}: "
                f"`select` leaves it out; {by}"
            )
    for mark in overlaps:
        by = _by("decontaminate", mark)
        if sample_id == mark.sample_id:
            print(
                f"  in the benchmark {mark.benchmark} as {mark.benchmark_sample_id} ({mark.reason}): "
                f"`select` leaves it out of {mark.catalog}; {by}"
            )
        else:
            print(f"  benchmark {mark.benchmark}: {mark.catalog} has it as {mark.sample_id} ({mark.reason}); {by}")


def _by(command: str, mark: DuplicateCluster | OverlapMark) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in mark.settings.items())
    return f"by {command} with {settings} at {mark.searched.isoformat(timespec='seconds')}"


def _plain(mark: DuplicateCluster | OverlapMark) -> dict[str, Any]:
    return {**asdict(mark), "searched": mark.searched.isoformat(timespec="seconds")}
