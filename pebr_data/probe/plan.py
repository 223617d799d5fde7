"""What a probe owes: the rollouts that are wanted and not yet kept."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pebr_data.probe.pace import Pace
from pebr_data.probe.rounds import Rounds
from pebr_data.types import Fingerprint, RolloutKey, Sample

if TYPE_CHECKING:
    from pebr_data.probe.estimate import Estimate


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """What a probe would do.

    Attributes:
        probe_id: Names the fingerprint.
        fingerprint: The policy.
        num_samples: Samples it covers.
        num_rollouts: Rollouts wanted of each.
        num_kept: Wanted rollouts that an earlier run has kept.
        num_spared: Wanted rollouts that are not needed: the band of their sample is certain without them.
        num_owed: Wanted rollouts that are still to be made; at most, where the probe stops early.
        max_tokens: Completion tokens to generate at most.
        pace: What a timed run of this model on this engine came to; None before there was one.
        estimate: What is owed in rollouts, tokens and time, going by this probe's own rollouts; None before there were
            any.
    """

    probe_id: str
    fingerprint: Fingerprint
    num_samples: int
    num_rollouts: int
    num_kept: int
    num_spared: int
    num_owed: int
    max_tokens: int
    pace: Pace | None
    estimate: Estimate | None = None

    @property
    def expected_tokens(self) -> int | None:
        """Completion tokens to generate, going by `pace`."""
        return None if self.pace is None else round(self.num_owed * self.pace.num_tokens / self.pace.num_rollouts)

    @property
    def expected_seconds(self) -> float | None:
        """Time that generating takes, going by `pace`; loading the model comes on top."""
        return None if self.pace is None else self.num_owed * self.pace.seconds / self.pace.num_rollouts


def owed_keys(
    probe_id: str, samples: Sequence[Sample], num_rollouts: int, kept: Set[tuple[str, int]]
) -> dict[str, tuple[RolloutKey, ...]]:
    """For each sample that owes any, its owed keys: indices 0 .. num_rollouts - 1 that are not kept.

    Args:
        probe_id: Names the fingerprint.
        samples: What to probe, in order.
        num_rollouts: Completions wanted of each.
        kept: (sample_id, index) of every kept rollout of this probe.
    """
    owed: dict[str, tuple[RolloutKey, ...]] = {}
    for sample in samples:
        keys = tuple(
            RolloutKey(probe_id, sample.sample_id, index)
            for index in range(num_rollouts)
            if (sample.sample_id, index) not in kept
        )
        if keys:
            owed[sample.sample_id] = keys
    return owed


def make_plan(
    fingerprint: Fingerprint, num_samples: int, num_rollouts: int, rounds: Rounds, pace: Pace | None = None
) -> ProbePlan:
    """The plan for these samples.

    Args:
        fingerprint: The policy.
        num_samples: How many samples are probed.
        num_rollouts: Completions wanted of each.
        rounds: What is owed of them.
        pace: What a timed run of this model came to, where there was one.
    """
    return ProbePlan(
        probe_id=fingerprint.probe_id,
        fingerprint=fingerprint,
        num_samples=num_samples,
        num_rollouts=num_rollouts,
        num_kept=num_samples * num_rollouts - rounds.num_owed - rounds.num_spared,
        num_spared=rounds.num_spared,
        num_owed=rounds.num_owed,
        max_tokens=rounds.num_owed * fingerprint.max_completion_length,
        pace=pace,
    )
