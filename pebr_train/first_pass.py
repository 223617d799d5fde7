"""The forecast held against the run: what the first groups of a GRPO stage showed, beside what was foreseen of them.

The forecast is of the policy that was probed and of the accuracy reward. A stage that starts from another model than
the probed one does not begin with that policy, and each update leads away from it. So there are two spans: the groups
that were sampled before any update, and the first pass over the mixture, during which the policy is trained.

What tells learning from a wrong forecast is the share of groups without variance given the mean reward that was seen
(`pebr_data.difficulty.conditional`), of each generation batch, which one policy has sampled: as if that policy had
learnt all samples alike. Outside that, either the pass rates were misjudged or they have changed by unequal amounts;
what a stage before has done to them counts as well, where this one does not start from the probed policy.

Where a GRPO stage came before, the pass is foreseen once more, for a policy that goes on changing as it did there
(`pebr_train.pace`), before the stage begins; that forecast is held against the run, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from pebr_data.types import ScaleRewards
from pebr_train.arithmetic import batch_plan
from pebr_train.believed import Believed
from pebr_train.pace import Pace, foresee_groups
from pebr_train.recipe import GrpoStage
from pebr_train.rollouts import RolloutLog

if TYPE_CHECKING:
    from pebr_data.difficulty.forecast import Expected


class Figure(BaseModel):
    """A figure as it was foreseen, with the 95 % interval of what the run would show, and as the run showed it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    foreseen: float
    low: float
    high: float
    seen: float
    within: bool

    @classmethod
    def of(cls, foreseen: Expected, seen: float, factor: float = 1.0) -> Figure:
        """Hold one against the other, both times `factor`."""
        within = foreseen.low <= seen <= foreseen.high
        low, mean, high = foreseen.low * factor, foreseen.mean * factor, foreseen.high * factor
        return cls(foreseen=mean, low=low, high=high, seen=seen * factor, within=within)


class GivenReward(BaseModel):
    """What was to be foreseen of a span once its mean rewards are known.

    Attributes:
        num_blocks: How many mean rewards: one of each generation batch, or of several small ones together.
        zero_variance: As of `Span`.
        shift: By how much, in log-odds, all pass rates together are other than those foreseen, and its 95 % interval.
        shift_low: Its lower end.
        shift_high: Its upper end.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_blocks: int
    zero_variance: Figure
    shift: float
    shift_low: float
    shift_high: float


class Trained(BaseModel):
    """What was foreseen of a policy that goes on changing as it did in the stage before.

    Attributes:
        learnt_from: That stage.
        zero_variance: As of `Span`.
        mean_reward: As of `Span`.
        squared_advantage: As of `Span`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    learnt_from: str
    zero_variance: Figure
    mean_reward: Figure
    squared_advantage: Figure


class Span(BaseModel):
    """Some of the first groups of a stage; what an earlier pebr has not held against the run is None.

    Attributes:
        name: Which.
        num_groups: Groups of G completions.
        zero_variance: Share of them whose completions all have the same accuracy.
        mean_reward: Share of their completions that are correct.
        squared_advantage: As of `pebr_data.difficulty.forecast.Forecast`, of the accuracy alone.
        tokens_per_update: Completion tokens of an update. None too where no length is known from the probe.
        given_reward: The zero-variance share, given the mean rewards that were seen.
        trained: The forecast that takes training into account; None where no stage had shown how.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["before any update", "first pass"]
    num_groups: int
    zero_variance: Figure
    mean_reward: Figure
    squared_advantage: Figure | None = None
    tokens_per_update: Figure | None = None
    given_reward: GivenReward | None = None
    trained: Trained | None = None

    @property
    def verdict(self) -> str:
        """What the zero-variance share says, in words; empty where it was not held against the mean rewards."""
        if self.given_reward is None:
            return ""
        if self.zero_variance.within:
            return "as foreseen of the policy that was probed"
        if self.trained is not None and self.trained.zero_variance.within:
            return (
                "not as foreseen of the policy that was probed, but as of one that goes on changing as in the stage "
                f"{self.trained.learnt_from}"
            )
        if self.given_reward.zero_variance.within:
            return (
                "not as foreseen of the policy that was probed, but as of one that has learnt all samples alike since"
            )
        return (
            "not as foreseen, not even of a policy that has learnt all samples alike since: pass rates were misjudged, "
            "or have changed by unequal amounts"
        )


class FirstPass(BaseModel):
    """A stage's forecast, checked.

    Attributes:
        probed: The label of the model that was probed.
        started_from: The label of the model that the stage starts from.
        spans: What was foreseen of the samples in each span, and what was seen.
        scale_rewards: What the squared advantage holds under; None in the records of an earlier pebr.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    probed: str
    started_from: str
    spans: tuple[Span, ...]
    scale_rewards: ScaleRewards | None = None


def check_forecast(
    stage: GrpoStage,
    believed: Believed,
    num_samples: int,
    log: RolloutLog,
    *,
    num_processes: int = 1,
    pace: Pace | None = None,
) -> tuple[Span, ...]:
    """The spans of a finished stage.

    Args:
        stage: It, with a mixture of the catalog.
        believed: What its probe said.
        num_samples: Samples in the mixture.
        log: The stage's completions.
        num_processes: That trained it.
        pace: How pass rates were taken to change.

    Returns:
        Nothing when no accuracy was logged.

    Raises:
        BusyError: Another process keeps the catalog.
    """
    from pebr_data.difficulty.conditional import blocks_of
    from pebr_data.difficulty.lengths import expected_tokens
    from pebr_data.select.forecast import read_lengths

    groups = believed.of_groups(log)
    if groups.is_empty():
        return ()
    known, redrawn = believed.known, believed.redrawn
    size, scale = stage.num_generations, stage.scale_rewards
    per_update = batch_plan(stage, num_processes, num_samples).completions_per_update
    batches = groups["step"].unique().sort()
    in_a_pass = max(1, num_samples // groups.filter(step=batches[0]).height)
    spans = []
    for name, num_batches in (("before any update", 1), ("first pass", in_a_pass)):
        seen = groups.filter(pl.col("step").is_in(batches[:num_batches].to_list()))
        foreseen = known.forecast(seen, size, scale, redrawn=redrawn)
        lengths = read_lengths(believed.config, believed.store, believed.rates, {name: seen["sample_id"]})[name]
        tokens = None
        if not lengths.is_empty():
            each = expected_tokens(lengths, foreseen.mean_reward, len(seen), size)
            tokens = Figure.of(each, _total(seen, "num_tokens") / _total(seen, "num"), per_update)
        alike = _mean(seen, pl.col("low") == pl.col("high"))
        block = blocks_of(seen["step"].to_numpy())
        correct = (seen["mean"] * size).round().to_numpy()
        total = np.bincount(block, weights=correct).astype(np.int64)
        given = known.forecast_given_reward(seen, block, total, size, redrawn=redrawn)
        reward, advantage = _mean(seen, pl.col("mean")), _mean(seen, _squared_advantage(scale))
        trained = None
        if pace is not None:
            after = foresee_groups(stage, believed, seen, pace)
            trained = Trained(
                learnt_from=pace.learnt_from,
                zero_variance=Figure.of(after.zero_variance, alike),
                mean_reward=Figure.of(after.mean_reward, reward),
                squared_advantage=Figure.of(after.squared_advantage, advantage),
            )
        spans.append(
            Span(
                name=name,
                num_groups=len(seen),
                zero_variance=Figure.of(foreseen.zero_variance, alike),
                mean_reward=Figure.of(foreseen.mean_reward, reward),
                squared_advantage=Figure.of(foreseen.squared_advantage, advantage),
                tokens_per_update=tokens,
                given_reward=GivenReward(
                    num_blocks=given.num_blocks,
                    zero_variance=Figure.of(given.zero_variance, alike),
                    shift=given.shift.mean,
                    shift_low=given.shift.low,
                    shift_high=given.shift.high,
                ),
                trained=trained,
            )
        )
    return tuple(spans)


def _mean(groups: pl.DataFrame, figure: pl.Expr) -> float:
    return float(groups.select(figure.cast(pl.Float64).mean()).item())


def _total(groups: pl.DataFrame, name: str) -> float:
    return float(groups.select(pl.col(name).sum()).item())


def _squared_advantage(scale_rewards: ScaleRewards) -> pl.Expr:
    """The mean squared advantage of each group: its variance, over G, by that over G - 1 under `group`."""
    mixed = (pl.col("low") < pl.col("high")).cast(pl.Float64)
    return mixed * (1.0 - 1.0 / pl.col("num")) if scale_rewards == "group" else pl.col("variance")
