"""Forecasts of mixtures: what the first pass of training over each will show, under the training's own settings.

    rates, choices = preview(config, store)
    foreseen = forecast_mixtures(config, store, rates, {name: one.kept for name, one in choices.items()})

The accuracy reward and the probed policy are forecast: a stage whose reward is another, or which starts from another
model, will see other figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.probe.pace import find_pace
from pebr_data.select.pool import Rates, group_size, looked_at
from pebr_data.types import Json, ScaleRewards

if TYPE_CHECKING:
    from pebr_data.difficulty.forecast import Expected, Forecast

BATCH_SIZE = 1_024
"""Completions of an update, where nobody says: the paper's stage 2, 128 prompts of 8."""
MAX_MEASURED = 4_096
"""Samples of a mixture whose completion lengths are read; more would not narrow the interval that anybody can see."""


@dataclass(frozen=True, slots=True)
class MixtureForecast:
    """The first pass over a mixture.

    Attributes:
        scale_rewards: What it holds under.
        first_pass: Zero-variance share, mean reward and squared advantage, with G.
        completion_tokens: Mean tokens of a completion.
        batch_size: Completions of an update.
        seconds_per_token: What a completion token took the probe's engine, all that ran side by side together; None
            when it was not timed.
        priors: Where the priors come from that it was computed under, in words, by how many of the split's samples.
    """

    scale_rewards: ScaleRewards
    first_pass: Forecast
    completion_tokens: Expected
    batch_size: int
    seconds_per_token: float | None
    priors: Mapping[str, int]

    def to_json(self) -> dict[str, Json]:
        """Plain values; each figure as mean, low and high (95 %)."""
        seen = self.first_pass
        figures = {
            "zero_variance": seen.zero_variance,
            "mean_reward": seen.mean_reward,
            "squared_advantage": seen.squared_advantage,
            "completion_tokens": self.completion_tokens,
        }
        told = {name: {"mean": one.mean, "low": one.low, "high": one.high} for name, one in figures.items()}
        told["tokens_per_update"] = _times(told["completion_tokens"], self.batch_size)
        pace = self.seconds_per_token
        sampling = None if pace is None else _times(told["tokens_per_update"], pace)
        return {
            "num_samples": seen.num_samples,
            "num_generations": seen.group_size,
            "scale_rewards": self.scale_rewards,
            "batch_size": self.batch_size,
            **told,
            "sampling_seconds_per_update": sampling,
            "priors": dict(self.priors),
        }


def _times(figure: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: value * factor for name, value in figure.items()}


def forecast_mixtures(
    config: CatalogConfig,
    store: Path,
    rates: Rates,
    kept: Mapping[str, pl.Series],
    *,
    num_generations: int | None = None,
    scale_rewards: ScaleRewards | None = None,
    batch_size: int = BATCH_SIZE,
) -> dict[str, MixtureForecast | None]:
    """What the first pass over each mixture will show.

    Args:
        config: The catalog YAML.
        store: The store.
        rates: What the mixtures were chosen by.
        kept: The mixtures' sample ids, by name.
        num_generations: G of the training; by default what each mixture says, else what was probed.
        scale_rewards: The training's; by default what each mixture says.
        batch_size: Completions of an update.

    Returns:
        By name; None for a mixture that is empty or none of whose samples was probed.
    """
    from pebr_data.difficulty.known import learn
    from pebr_data.difficulty.lengths import expected_tokens

    # A mixture chosen by diagnosis goes by more than the others of its split.
    known = {(split, False): its for split, its in rates.known.items()}
    redrawn = {}
    lengths = read_lengths(config, store, rates, kept)
    pace = find_pace(store, rates.probe.fingerprint, ())
    foreseen: dict[str, MixtureForecast | None] = {}
    for name, sample_ids in kept.items():
        mixture = config.mixtures[name]
        samples = looked_at(mixture, rates)
        chosen = samples.join(sample_ids.to_frame("sample_id"), on="sample_id", how="semi")
        # A group of one has no variance to speak of; G = 1 is a probe's, never a training's.
        size = max(num_generations or group_size(config, mixture), 2)
        if not chosen["num_rollouts"].sum():
            foreseen[name] = None
            continue
        key = (mixture.split, mixture.policy == "diagnosis")
        if key not in known:
            known[key] = learn(samples)
        if key not in redrawn:
            redrawn[key] = known[key].redrawn()
        its = known[key]
        scale = scale_rewards or mixture.scale_rewards
        first_pass = its.forecast(chosen, size, scale, redrawn=redrawn[key])
        foreseen[name] = MixtureForecast(
            scale_rewards=scale,
            first_pass=first_pass,
            completion_tokens=expected_tokens(lengths[name], first_pass.mean_reward, len(sample_ids), size),
            batch_size=batch_size,
            seconds_per_token=pace.seconds / pace.num_tokens if pace is not None and pace.num_tokens else None,
            priors=its.sources_of_priors(),
        )
    return foreseen


def read_lengths(
    config: CatalogConfig, store: Path, rates: Rates, kept: Mapping[str, pl.Series]
) -> dict[str, pl.DataFrame]:
    """The completion lengths of a part of each mixture's samples, for `expected_tokens`.

    Args:
        config: The catalog YAML.
        store: The store.
        rates: What the mixtures were chosen by.
        kept: The mixtures' sample ids in the order of a draw, by name.

    Returns:
        By name, the rows of `Catalog.completion_lengths`; none where no sample was probed.
    """
    probed = rates.samples.filter(pl.col("num_rollouts") > 0).select("sample_id")
    # Training sees a mixture in the order of a draw, so its head is a random part of it.
    heads = {
        name: its.to_frame("sample_id").join(probed, on="sample_id", how="semi", maintain_order="left")[:MAX_MEASURED]
        for name, its in kept.items()
    }
    every = pl.concat([head["sample_id"] for head in heads.values()]).unique().sort()
    with Catalog.open(store, read_only=True) as catalog:
        found = catalog.completion_lengths(rates.probe.probe_id, every.to_list(), config.probe.rollouts)
    return {name: found.join(head, on="sample_id", how="semi", maintain_order="left") for name, head in heads.items()}
