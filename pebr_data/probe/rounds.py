"""Rounds: which of the owed rollouts to ask for next. All of them or, where a sample may need fewer, a few.

    rounds = Rounds(owed, 8, ExactRule(8, len(owed)), catalog.bands(probe_id, 8, by_rule=False))
    for asked in rounds:
        ...                         # make them, and tell each outcome: rounds.see(key, outcome)

Rollouts are asked for in the order of their indices, so what a probe without early stopping owes later is the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
import polars as pl

from pebr_data.difficulty.counts import BoolArray, IntArray
from pebr_data.difficulty.stopping import exact_stops, next_round
from pebr_data.types import Outcome, RolloutKey

CAPACITY = 256
"""Rollouts that a round should have for an engine to be full; open samples get more at once when they are fewer."""

SMALLEST = 2
"""Rollouts of one sample that a round asks for at least: an engine may read prompt and image once for those of a round.
Single ones spare a few rollouts more, and take many more prompts (`tests/bench/early_stopping.py`)."""

Place = int | slice


class Rule(Protocol):
    """When a sample has rollouts enough. Samples go by their places, in the order of the rounds' `owed`."""

    def first(self) -> IntArray:
        """Rollouts of each sample that are made before anything is decided."""
        ...

    def settle(self, num_correct: IntArray, num_rollouts: IntArray) -> None:
        """Takes note of what they came to; called before anything is decided, and once more does nothing."""
        ...

    def enough(self, place: Place, num_correct: IntArray, num_rollouts: IntArray, num_mute: IntArray) -> BoolArray:
        """Where no more are needed, after so many correct ones, such that say something, and such that do not."""
        ...


class ExactRule:
    """Enough is where the paper's band of the full group is certain.

    Args:
        group_size: G.
        num_samples: How many samples are asked about.
    """

    def __init__(self, group_size: int, num_samples: int) -> None:
        self._group_size = group_size
        self._first = np.zeros(num_samples, np.int64)

    def first(self) -> IntArray:
        """None: two of each come first anyway."""
        return self._first

    def settle(self, num_correct: IntArray, num_rollouts: IntArray) -> None:
        """Nothing has to be learnt."""

    def enough(self, place: Place, num_correct: IntArray, num_rollouts: IntArray, num_mute: IntArray) -> BoolArray:
        """Not where one says nothing: it leaves a full group without a band, so none is certain."""
        return np.asarray(exact_stops(num_correct, num_rollouts, self._group_size) & (num_mute == 0))


class Rounds:
    """The owed rollouts in rounds.

    Args:
        owed: For each sample that owes any, its owed keys, in the order of their indices; under a rule that learns from
            all samples also those that owe none.
        most: The rollouts of each sample at most.
        rule: When a sample has enough; None to ask for everything at once.
        seen: With a rule, what the kept rollouts came to, as `Catalog.bands` gives it.
    """

    def __init__(
        self,
        owed: Mapping[str, tuple[RolloutKey, ...]],
        most: int,
        rule: Rule | None = None,
        seen: pl.DataFrame | None = None,
    ) -> None:
        self._owed = owed
        self._most = most
        self._rule = rule
        self._places = {sample_id: place for place, sample_id in enumerate(owed)} if rule else {}
        size = len(self._places)
        self._num_left = np.fromiter((len(keys) for keys in owed.values()), np.int64, len(owed))
        # Of each sample: correct rollouts, those that say something about the policy, and those that do not.
        self._correct, self._total, self._mute = (np.zeros(size, np.int64) for _ in range(3))
        if seen is not None:
            of = seen.filter(pl.col("sample_id").is_in(list(self._places)))
            at = [self._places[sample_id] for sample_id in of["sample_id"]]
            self._correct[at], self._total[at] = of["num_correct"], of["num_rollouts"]
            self._mute[at] = of["num_ungradable"] + of["num_error"]
        self.num_spared = 0
        """Owed rollouts that are not needed, by what has been seen so far."""
        self._settle()

    @property
    def num_owed(self) -> int:
        """Owed rollouts not asked for yet and not spared."""
        return int(self._num_left.sum()) - self.num_spared

    def see(self, key: RolloutKey, outcome: Outcome) -> None:
        """Takes note of the outcome of a rollout that was made; of samples that owed none it is not asked."""
        place = self._places.get(key.sample_id)
        if place is None or key.index >= self._most:
            return
        before = self._enough(place)
        if outcome in (Outcome.UNGRADABLE, Outcome.ERROR):
            self._mute[place] += 1
        else:
            self._correct[place] += outcome is Outcome.CORRECT
            self._total[place] += 1
        self.num_spared += (int(self._enough(place)) - int(before)) * int(self._num_left[place])

    def __iter__(self) -> Iterator[dict[str, tuple[RolloutKey, ...]]]:
        """Gives each round's keys by sample. What a round made must have been seen before the next one is taken."""
        while True:
            asked = self._ask()
            round_keys = {
                sample_id: keys[len(keys) - left :][:more]
                for (sample_id, keys), left, more in zip(
                    self._owed.items(), self._num_left.tolist(), asked.tolist(), strict=True
                )
                if more
            }
            self._num_left -= asked
            if not round_keys:
                return
            yield round_keys

    def _ask(self) -> IntArray:
        if self._rule is None:
            return self._num_left.copy()
        first = self._owed_first()
        if first.any():
            return first
        self._settle()
        return next_round(
            self._enough(),
            self._most - self._num_left,
            max_rollouts=self._most,
            capacity=CAPACITY,
            smallest=SMALLEST,
        )

    def _owed_first(self) -> IntArray:
        """What is owed before anything is decided; `_num_left` counts from the end."""
        assert self._rule is not None
        made = self._most - self._num_left
        owed: IntArray = np.minimum(np.maximum(self._rule.first() - made, 0), self._num_left)
        return owed

    def _settle(self) -> None:
        if self._rule is not None and not self._owed_first().any():
            self._rule.settle(self._correct, self._total)
            self.num_spared = int(self._num_left[self._enough()].sum())

    def _enough(self, place: Place = slice(None)) -> BoolArray:
        assert self._rule is not None
        return self._rule.enough(place, self._correct[place], self._total[place], self._mute[place])
