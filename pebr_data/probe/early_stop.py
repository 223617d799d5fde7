"""Stopping early: what was asked for, and what a probe that does so knows from the catalog and leaves there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from pebr_data.catalog.early_stops import PosteriorStop
from pebr_data.catalog.store import Catalog
from pebr_data.errors import UsageError
from pebr_data.probe.in_force import grading_in_force
from pebr_data.probe.posterior import PosteriorRule
from pebr_data.probe.rounds import ExactRule, Rounds
from pebr_data.types import Fingerprint, Outcome, RolloutKey, Sample, StopRule

CONFIDENCE = 0.9
MIN_POSTERIOR_GROUP = 3
"""Two rollouts differ with probability one half at most: no pass rate is then more likely than not to teach."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """When a sample has rollouts enough.

    Attributes:
        rule: How that is judged.
        group_size: G, of whose groups the bands are.
        confidence: Of the rule `posterior`, in (1/3, 1).
        max_rollouts: The most that `posterior` makes of a sample; twice G by default.

    Raises:
        UsageError: The rule does not go with these numbers.
    """

    rule: StopRule = StopRule.NONE
    group_size: int = 8
    confidence: float = CONFIDENCE
    max_rollouts: int | None = None

    def __post_init__(self) -> None:
        if self.rule is not StopRule.POSTERIOR:
            return
        if self.group_size < MIN_POSTERIOR_GROUP:
            raise UsageError(
                f"`posterior` judges groups of {MIN_POSTERIOR_GROUP} rollouts or more, not of {self.group_size}",
                help="raise `rollouts` (--rollouts), which is the training's G, or use another rule",
            )
        if not 1 / 3 < self.confidence < 1:
            raise UsageError(
                f"`confidence` {self.confidence} is not between 1/3 and 1",
                help="0.9 is the default; of three bands one always has a third (--confidence)",
            )
        if self.most < self.group_size:
            raise UsageError(
                f"`max_rollouts` {self.most} is less than `rollouts` {self.group_size}",
                help="raise it (--max-rollouts); twice `rollouts` is the default",
            )

    @property
    def most(self) -> int:
        """The rollouts that a sample gets at most."""
        if self.rule is not StopRule.POSTERIOR:
            return self.group_size
        return 2 * self.group_size if self.max_rollouts is None else self.max_rollouts


@dataclass(frozen=True, slots=True, eq=False)
class SoFar:
    """What the catalog knows of a probe that stops early.

    Attributes:
        seen: What the kept rollouts came to, as `Catalog.bands` gives it; None before there were any.
        version: The grading that judges.
        in_force: By split, the rule `posterior` with its priors.
    """

    seen: pl.DataFrame | None = None
    version: str = ""
    in_force: Mapping[str, PosteriorStop] = field(default_factory=dict)

    def and_these(self, outcomes: Mapping[RolloutKey, Outcome]) -> SoFar:
        """With what rollouts came to that only the spool has."""
        told: Mapping[str, Callable[[Outcome], bool]] = {
            "num_correct": lambda outcome: outcome is Outcome.CORRECT,
            "num_rollouts": lambda outcome: outcome not in (Outcome.UNGRADABLE, Outcome.ERROR),
            "num_ungradable": lambda outcome: outcome is Outcome.UNGRADABLE,
            "num_error": lambda outcome: outcome is Outcome.ERROR,
        }
        more = pl.DataFrame(
            {
                "sample_id": pl.Series([key.sample_id for key in outcomes], dtype=pl.String),
                **{
                    name: pl.Series([int(is_one(outcome)) for outcome in outcomes.values()], dtype=pl.Int64)
                    for name, is_one in told.items()
                },
            }
        )
        frames = [more] if self.seen is None else [self.seen.select(more.columns), more]
        return replace(self, seen=pl.concat(frames).group_by("sample_id").sum())


def read_so_far(catalog: Catalog, fingerprint: Fingerprint, stopping: Stopping) -> SoFar:
    """What `open_rounds` has to know.

    Raises:
        RefusedError: As for `grading_in_force`.
    """
    if stopping.rule is StopRule.NONE:
        return SoFar()
    probe_id = fingerprint.probe_id
    version = catalog.grader_version(probe_id)
    return SoFar(
        seen=None if version is None else catalog.bands(probe_id, stopping.most, by_rule=False),
        version=grading_in_force(catalog, fingerprint).version if version is None else version,
        in_force={one.split: one for one in catalog.stop_rules.of(probe_id)},
    )


def open_rounds(
    probe_id: str,
    samples: Sequence[Sample],
    owed: Mapping[str, tuple[RolloutKey, ...]],
    stopping: Stopping,
    so_far: SoFar,
    *,
    covered: Mapping[str, int],
    store: Path | None = None,
) -> Rounds:
    """The owed rollouts in rounds. The catalog must not be open.

    Args:
        probe_id: The probe.
        samples: The samples.
        owed: What they owe, as `owed_keys` gives it.
        stopping: When a sample has enough.
        so_far: What is known of them.
        covered: Samples of each split that the probe covers, all shards together.
        store: Where to keep the priors that `posterior` judges by, once it has fitted them; None keeps nothing.
    """
    if stopping.rule is StopRule.NONE:
        return Rounds(owed, stopping.most)
    if stopping.rule is StopRule.EXACT:
        return Rounds(owed, stopping.most, ExactRule(stopping.group_size, len(owed)), so_far.seen)
    settings = PosteriorStop(
        probe_id=probe_id,
        split="",
        group_size=stopping.group_size,
        max_rollouts=stopping.most,
        confidence=stopping.confidence,
        grader_version=so_far.version,
        num_samples=0,
        priors={},
    )
    rule = PosteriorRule(samples, settings, covered, so_far.in_force, store)
    # The priors are fitted to all samples, so those that owe nothing are in the rounds as well.
    every = {sample.sample_id: owed.get(sample.sample_id, ()) for sample in samples}
    return Rounds(every, stopping.most, rule, so_far.seen)


def note_exact_stop(store: Path, probe_id: str, group_size: int) -> None:
    """Lets bands count that are certain already, where the rollouts that make them so were made without the rule.

    Raises:
        BusyError: Another process holds the catalog.
    """
    with Catalog.open(store, read_only=True) as catalog:
        if catalog.stop_rules.is_exact(probe_id, group_size):
            return
    with Catalog.open(store) as catalog:
        catalog.stop_rules.note_exact(probe_id, group_size)


def end_posterior_stop(
    store: Path, rules: Sequence[PosteriorStop], covered: Mapping[str, int], group_size: int
) -> None:
    """Lets complete groups count again in the splits that are probed by another rule now, where all of it is.

    Args:
        store: The store.
        rules: The rules of one probe that are in force.
        covered: As for `open_rounds`.
        group_size: The rollouts that a sample gets now.

    Raises:
        BusyError: Another process holds the catalog.
    """
    ended = [one for one in rules if one.group_size <= group_size and one.num_samples <= covered.get(one.split, 0)]
    if ended:
        with Catalog.open(store) as catalog:
            catalog.stop_rules.forget(ended[0].probe_id, [one.split for one in ended], group_size)


def count_splits(samples: Sequence[Sample]) -> Mapping[str, int]:
    """How many samples there are of each split."""
    return Counter(sample.split for sample in samples)
