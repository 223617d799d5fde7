"""What a run of a probe came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pebr_data.types import Fingerprint, Outcome


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe did.

    Attributes:
        probe_id: Names the fingerprint.
        fingerprint: The policy.
        num_samples: Samples it covers.
        num_rollouts: Rollouts wanted of each, at most.
        num_kept: Wanted rollouts that were kept before.
        num_recovered: Wanted rollouts that an earlier run had left in the spool.
        num_spared: Wanted rollouts that were not needed: the band of their sample is known without them.
        num_generated: Rollouts made now, failed ones included.
        num_failed: Rollouts among them that the engine failed on; they are owed again.
        outcomes: How the rollouts made now were graded.
        errors: Messages of failed rollouts, a few different ones.
        damaged: Places in the spool where a record went bad; what they held is owed again unless it was merged.
        seconds: Time that generating, grading and keeping took.
    """

    probe_id: str
    fingerprint: Fingerprint
    num_samples: int
    num_rollouts: int
    num_kept: int
    num_recovered: int
    num_spared: int
    num_generated: int
    num_failed: int
    outcomes: Mapping[Outcome, int]
    errors: tuple[str, ...]
    damaged: tuple[str, ...]
    seconds: float

    @property
    def num_owed(self) -> int:
        """Wanted rollouts that are still not kept, and needed."""
        kept = self.num_kept + self.num_recovered + self.num_generated - self.num_failed
        return self.num_samples * self.num_rollouts - kept - self.num_spared
