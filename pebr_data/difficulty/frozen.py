"""Frozen priors: those of a split's strata as they were once fitted, kept so that every later decision is the same.

    priors = FrozenPriors.of(learn(counts))
    tables = priors.tables(strata, group_size=8, max_rollouts=16, confidence=0.9)
    tables.stops[s, k, n], tables.bands[s, k, n]            # whether k of n is enough in stratum s, and for which band

Whether a probe goes on with a sample is a function of its stratum, k and n alone, so it is looked up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pebr_data.difficulty.counts import BoolArray
from pebr_data.difficulty.known import Known
from pebr_data.difficulty.prior import UNIFORM, Prior, Priors
from pebr_data.difficulty.stopping import FIRST_ROUND, posterior_stops, sure_bands
from pebr_data.types import Band, Json

Key = tuple[str, str | None, float]
"""A stratum: source, answer type, pass rate of a guess."""

_PARAMETERS = ("a", "b", "zero", "one", "guess", "chance", "floor", "reason")


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """What k correct of n rollouts decide in each of several strata; entries with k > n mean nothing.

    Attributes:
        stops: Whether no more rollouts are needed, [strata, k, n].
        bands: The band that is sure then, `unprobed` where none is, [strata, k, n].
    """

    stops: BoolArray
    bands: npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class FrozenPriors:
    """One prior per stratum, and the pooled one for strata that were not there.

    Attributes:
        pooled: The prior of all strata together.
        strata: The prior of each.
    """

    pooled: Prior
    strata: Mapping[Key, Prior]

    @classmethod
    def of(cls, known: Known) -> FrozenPriors:
        """The priors that were fitted."""
        strata = {(one.source, one.answer_type, one.chance): one.prior for one in known.strata}
        return cls(known.priors.pooled, strata)

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> FrozenPriors:
        """What `to_json` gave."""
        strata = {(row["source"], row["answer_type"], row["of_a_guess"]): _prior(row) for row in value["strata"]}
        return cls(_prior(value["pooled"]), strata)

    def to_json(self) -> dict[str, Json]:
        """Plain values."""
        rows = [
            {"source": source, "answer_type": answer_type, "of_a_guess": chance, **_parameters(prior)}
            for (source, answer_type, chance), prior in self.strata.items()
        ]
        return {"pooled": _parameters(self.pooled), "strata": rows}

    def tables(self, strata: Sequence[Key], *, group_size: int, max_rollouts: int, confidence: float) -> Tables:
        """What every k of n up to `max_rollouts` decides in these strata; see `posterior_stops` and `sure_bands`."""
        priors = Priors(self.pooled, tuple(self.strata.get(key, self.pooled) for key in strata) or (UNIFORM,))
        size = max_rollouts + 1
        stratum, k, n = np.indices((len(priors.strata), size, size))
        known = priors.posterior(np.minimum(k, n), n, stratum)
        bands = sure_bands(known, group_size, confidence=confidence)
        stops = posterior_stops(known, n, group_size, confidence=confidence, max_rollouts=max_rollouts)
        return Tables(stops, np.where(n < FIRST_ROUND, Band.UNPROBED.value, bands).astype(np.str_))


def _parameters(prior: Prior) -> dict[str, Json]:
    return {name: getattr(prior, name) for name in _PARAMETERS}


def _prior(row: Mapping[str, Json]) -> Prior:
    return Prior(**{name: row[name] for name in _PARAMETERS})
