"""The rule `posterior`: a sample has enough once its own band is sure, under priors that are fitted once and kept.

While a probe begins nothing is known of its samples, so nothing is decided: every sample gets two rollouts, and
`PILOT` of them a full group. The priors fitted to that are kept in the catalog and judge from then on. So a run that
goes on after a crash, another shard, and whoever reads the bands later, all decide alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from pebr_data.catalog.early_stops import PosteriorStop, holds
from pebr_data.catalog.store import Catalog
from pebr_data.difficulty.counts import BoolArray, IntArray
from pebr_data.difficulty.frozen import FrozenPriors
from pebr_data.difficulty.known import guess_chance, learn
from pebr_data.difficulty.stopping import pilot
from pebr_data.probe.rounds import Place
from pebr_data.types import Sample

PATIENCE_SECONDS = 600.0
"""How long to wait for the catalog to keep the priors: without them nothing can be decided."""


class PosteriorRule:
    """Enough is where one band has the wanted probability.

    Args:
        samples: What is probed.
        settings: The rule; `split`, `num_samples` and `priors` of each split's own are filled in.
        covered: Samples of each split that the probe covers, all shards together.
        in_force: The rule of each split whose priors were fitted before.
        store: Where priors are kept when they are fitted; None keeps nothing.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        settings: PosteriorStop,
        covered: Mapping[str, int],
        in_force: Mapping[str, PosteriorStop],
        store: Path | None,
    ) -> None:
        self._store = store
        self._cells = pl.DataFrame(
            [(one.split, one.source, one.answer_type, len(one.options)) for one in samples],
            schema={"split": pl.String, "source": pl.String, "answer_type": pl.String, "num_options": pl.Int64},
            orient="row",
        ).with_columns(chance=guess_chance())
        keys = self._cells.select("split", "source", "answer_type", "chance").rows()
        self._strata = list(dict.fromkeys(keys))
        numbers = {key: number for number, key in enumerate(self._strata)}
        self._stratum = np.fromiter((numbers[key] for key in keys), np.int64, len(keys))
        self._rules = {split: replace(settings, split=split, num_samples=covered[split]) for split, *_ in self._strata}
        self._first = pilot([one.sample_id for one in samples], settings.group_size)
        size = settings.max_rollouts + 1
        self._stops = np.zeros((len(self._strata), size, size), np.bool_)
        self._open = set(self._rules)
        for split, rule in self._rules.items():
            before = in_force.get(split)
            if before is not None and holds(before, rule.grader_version, rule.num_samples):
                renewed = replace(rule, num_samples=before.num_samples, priors=before.priors)
                self._judge_by(self._keep(renewed) if renewed != before else renewed)

    def first(self) -> IntArray:
        """A full group of the pilot's samples and two of the others, in splits whose priors were not fitted yet."""
        is_open = self._cells["split"].is_in(list(self._open)).to_numpy()
        return np.where(is_open, self._first, 0)

    def settle(self, num_correct: IntArray, num_rollouts: IntArray) -> None:
        """Fits the priors that are still missing, and keeps them."""
        if not self._open:
            return
        counts = self._cells.with_columns(num_correct=pl.Series(num_correct), num_rollouts=pl.Series(num_rollouts))
        for split in sorted(self._open):
            priors = FrozenPriors.of(learn(counts.filter(pl.col("split") == split))).to_json()
            self._judge_by(self._keep(replace(self._rules[split], priors=priors)))

    def enough(self, place: Place, num_correct: IntArray, num_rollouts: IntArray, num_mute: IntArray) -> BoolArray:
        """Rollouts that say nothing are none, whatever they are."""
        return np.asarray(self._stops[self._stratum[place], num_correct, num_rollouts])

    def _keep(self, rule: PosteriorStop) -> PosteriorStop:
        if self._store is None:
            return rule
        with Catalog.open(self._store, wait_seconds=PATIENCE_SECONDS) as catalog:
            return catalog.stop_rules.settle(rule)

    def _judge_by(self, rule: PosteriorStop) -> None:
        here = [number for number, (split, *_) in enumerate(self._strata) if split == rule.split]
        tables = FrozenPriors.from_json(rule.priors).tables(
            [self._strata[number][1:] for number in here],
            group_size=rule.group_size,
            max_rollouts=rule.max_rollouts,
            confidence=rule.confidence,
        )
        self._stops[here] = tables.stops
        self._open.discard(rule.split)
