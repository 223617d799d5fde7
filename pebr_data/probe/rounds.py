"""Rounds: which of the owed rollouts to ask for next. All of them or, where a band may be certain sooner, a few.

    rounds = Rounds(owed, 8, catalog.bands(probe_id, 8))
    for asked in rounds:
        ...                         # make them, and tell each outcome: rounds.see(key, outcome)

Rollouts are asked for in the order of their indices, so what a probe without early stopping owes later is the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from pebr_data.difficulty.counts import BoolArray
from pebr_data.difficulty.stopping import exact_stops, next_round
from pebr_data.types import Outcome, RolloutKey

CAPACITY = 256
"""Rollouts that a round should have for an engine to be full; open samples get more at once when they are fewer."""

SMALLEST = 2
"""Rollouts of one sample that a round asks for at least: an engine may read prompt and image once for those of a round.
Single ones spare a few rollouts more, and take many more prompts (`tests/bench/early_stopping.py`)."""


class Rounds:
    """The owed rollouts in rounds.

    Args:
        owed: For each sample that owes any, its owed keys, in the order of their indices.
        group_size: G, the rollouts wanted of each sample.
        seen: What the kept rollouts came to, as `Catalog.bands` gives it, to stop a sample as soon as the band of its
            full group is certain; None to ask for everything at once.
    """

    def __init__(
        self, owed: Mapping[str, tuple[RolloutKey, ...]], group_size: int, seen: pl.DataFrame | None = None
    ) -> None:
        self._owed = owed
        self._group_size = group_size
        self._stops = seen is not None
        self._places = {sample_id: place for place, sample_id in enumerate(owed)} if self._stops else {}
        size = len(self._places)
        self._num_left = np.fromiter((len(keys) for keys in owed.values()), np.int64, len(owed))
        # Of each sample: correct rollouts, those that say something about the policy, and those that do not.
        self._correct, self._total, self._mute = (np.zeros(size, np.int64) for _ in range(3))
        if seen is not None:
            of = seen.filter(pl.col("sample_id").is_in(list(self._places)))
            at = [self._places[sample_id] for sample_id in of["sample_id"]]
            self._correct[at], self._total[at] = of["num_correct"], of["num_rollouts"]
            self._mute[at] = of["num_ungradable"] + of["num_error"]
        self.num_spared = int(self._num_left[self._certain()].sum()) if self._stops else 0
        """Owed rollouts that are not needed, by what has been seen so far."""

    @property
    def num_owed(self) -> int:
        """Owed rollouts not asked for yet and not spared."""
        return int(self._num_left.sum()) - self.num_spared

    def see(self, key: RolloutKey, outcome: Outcome) -> None:
        """Takes note of the outcome of a rollout that was made; of samples that owed none it is not asked."""
        place = self._places.get(key.sample_id)
        if place is None or key.index >= self._group_size:
            return
        before = self._certain(place)
        if outcome in (Outcome.UNGRADABLE, Outcome.ERROR):
            self._mute[place] += 1
        else:
            self._correct[place] += outcome is Outcome.CORRECT
            self._total[place] += 1
        self.num_spared += (int(self._certain(place)) - int(before)) * int(self._num_left[place])

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

    def _ask(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        if not self._stops:
            return self._num_left.copy()
        return next_round(
            self._certain(),
            self._group_size - self._num_left,
            max_rollouts=self._group_size,
            capacity=CAPACITY,
            smallest=SMALLEST,
        )

    def _certain(self, place: int | slice = slice(None)) -> BoolArray:
        """Where the band is certain. One rollout that says nothing leaves a full group without a band: none is then."""
        stops = exact_stops(self._correct[place], self._total[place], self._group_size)
        return np.asarray(stops & (self._mute[place] == 0))
