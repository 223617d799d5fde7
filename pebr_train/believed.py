"""What a stage's probe says of its samples, as the forecast of the stage needs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from pebr_data.config import CatalogConfig
from pebr_data.select.pool import Rates, looked_at, read_rates
from pebr_train.recipe import GrpoStage
from pebr_train.rollouts import RolloutLog

if TYPE_CHECKING:
    from pebr_data.difficulty.known import Known
    from pebr_data.difficulty.prior import Priors

REWARD = "accuracy"


@dataclass(frozen=True, slots=True)
class Believed:
    """What is believed of the pass rates of a mixture's samples.

    Attributes:
        config: The catalog.
        store: The store with the probe.
        rates: What the mixture was chosen by.
        samples: The samples it was chosen from, with what decides what is known of each.
        known: What is known of each.
        redrawn: Other plausible priors, for the intervals.
    """

    config: CatalogConfig
    store: Path
    rates: Rates
    samples: pl.DataFrame
    known: Known
    redrawn: tuple[Priors, ...]

    def of_groups(self, log: RolloutLog) -> pl.DataFrame:
        """What each group of a stage got for its accuracy, with the columns of `samples` beside it."""
        return log.groups(REWARD).join(self.samples, on="sample_id", maintain_order="left")


def believe(stage: GrpoStage, config: CatalogConfig, store: Path, probe_id: str) -> Believed:
    """What the probe says of the samples of a stage with a mixture of the catalog.

    Raises:
        BusyError: Another process keeps the catalog.
    """
    from pebr_data.difficulty.known import learn

    assert stage.mixture is not None
    rates = read_rates(config, store, probe_id, [stage.mixture])
    samples = looked_at(config.mixtures[stage.mixture], rates)
    known = learn(samples)
    return Believed(config, store, rates, samples, known, known.redrawn())
