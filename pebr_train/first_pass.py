"""The forecast held against the run: what the first groups of a GRPO stage showed, beside what was foreseen of them.

The forecast is of the policy that was probed and of the accuracy reward. A stage that starts from another model than
the probed one does not begin with that policy, and each update leads away from it. So there are two spans: the groups
that were sampled before any update, and the first pass over the mixture, during which the policy is trained. Where the
first lies in its interval and the second does not, it is the training that shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict

from pebr_data.config import CatalogConfig
from pebr_train.recipe import GrpoStage
from pebr_train.rollouts import RolloutLog

if TYPE_CHECKING:
    from pebr_data.difficulty.forecast import Expected

REWARD = "accuracy"


class Figure(BaseModel):
    """A share as it was foreseen, with the 95 % interval of what the run would show, and as the run showed it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    foreseen: float
    low: float
    high: float
    seen: float
    within: bool

    @classmethod
    def of(cls, foreseen: Expected, seen: float) -> Figure:
        """Hold one against the other."""
        within = foreseen.low <= seen <= foreseen.high
        return cls(foreseen=foreseen.mean, low=foreseen.low, high=foreseen.high, seen=seen, within=within)


class Span(BaseModel):
    """Some of the first groups of a stage.

    Attributes:
        name: Which.
        num_groups: Groups of G completions.
        zero_variance: Share of them whose completions all have the same accuracy.
        mean_reward: Share of their completions that are correct.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["before any update", "first pass"]
    num_groups: int
    zero_variance: Figure
    mean_reward: Figure


class FirstPass(BaseModel):
    """A stage's forecast, checked.

    Attributes:
        probed: The label of the model that was probed.
        started_from: The label of the model that the stage starts from.
        spans: What was foreseen of the samples in each span, and what was seen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    probed: str
    started_from: str
    spans: tuple[Span, ...]


def check_forecast(
    stage: GrpoStage, config: CatalogConfig, store: Path, probe_id: str, num_samples: int, log: RolloutLog
) -> tuple[Span, ...]:
    """The spans of a finished stage.

    Args:
        stage: It, with a mixture of the catalog.
        config: The catalog.
        store: The store with the probe that the mixture was chosen by.
        probe_id: That probe.
        num_samples: Samples in the mixture.
        log: The stage's completions.

    Returns:
        Nothing when no accuracy was logged.

    Raises:
        BusyError: Another process keeps the catalog.
    """
    from pebr_data.select.pool import learn_split, read_rates

    assert stage.mixture is not None
    groups = log.groups(REWARD)
    if groups.is_empty():
        return ()
    samples = read_rates(config, store, probe_id, [stage.mixture]).samples
    known = learn_split(samples, config.mixtures[stage.mixture].split)
    redrawn = known.redrawn()
    batches = groups["step"].unique().sort()
    in_a_pass = max(1, num_samples // groups.filter(step=batches[0]).height)
    spans = []
    for name, num_batches in (("before any update", 1), ("first pass", in_a_pass)):
        seen = groups.filter(pl.col("step").is_in(batches[:num_batches].to_list()))
        chosen = seen.join(samples, on="sample_id", maintain_order="left")
        foreseen = known.forecast(chosen, stage.num_generations, redrawn=redrawn)
        alike = float((seen["low"] == seen["high"]).sum()) / len(seen)
        spans.append(
            Span(
                name=name,
                num_groups=len(seen),
                zero_variance=Figure.of(foreseen.zero_variance, alike),
                mean_reward=Figure.of(foreseen.mean_reward, float(seen["mean"].sum()) / len(seen)),
            )
        )
    return tuple(spans)
