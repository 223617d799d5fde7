"""The training part of the page: reward curves per component and zero-variance shares, from a stage's metrics.jsonl."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pebr_train import metrics
from pebr_train.report.curve import curve, window_of
from pebr_train.report.svg import number

_REWARD = re.compile(r"rewards/([^/]+)/mean")
_ALSO = {
    "loss": "loss",
    "mean_token_accuracy": "token accuracy",
    "completions/mean_length": "completion length (tokens)",
    "completions/clipped_ratio": "share of completions cut off",
    "entropy": "entropy (nats a token)",
    "kl": "KL to the reference",
}
"""Logged by TRL and worth a chart: key -> title."""
_REWARDS_SAY_MORE_THAN = {"loss", "mean_token_accuracy"}


@dataclass(frozen=True, slots=True)
class Log:
    """A stage's metrics, one record a step, in order of steps."""

    records: tuple[Mapping[str, object], ...]

    def points(self, key: str) -> list[tuple[float, float]]:
        """(step, value) where the key was logged as a finite number."""
        return [
            (float(record["step"]), float(record[key]))  # type: ignore[arg-type]
            for record in self.records
            if _finite(record.get(key))
        ]

    @property
    def rewards(self) -> list[str]:
        """The components, in the order the log first names them."""
        matches = (_REWARD.fullmatch(key) for record in self.records for key in record)
        return list(dict.fromkeys(match[1] for match in matches if match))


@dataclass(frozen=True, slots=True)
class Component:
    """One row of charts: a reward component, or their weighted sum; `weight` is None for the sum or when unknown."""

    name: str
    is_total: bool
    weight: float | None
    mean: Markup
    zero_variance: Markup
    spread: str | None


@dataclass(frozen=True, slots=True)
class StageCharts:
    """What the page shows of one stage; `components` is empty for SFT."""

    name: str
    num_steps: int
    window: int
    components: tuple[Component, ...]
    others: tuple[tuple[str, Markup], ...]


def read_log(path: Path) -> Log:
    """The metrics at `path`; no records when the file is not there."""
    by_step: dict[float, dict[str, object]] = {}
    for record in metrics.read(path):
        by_step[record["step"]] = {**by_step.get(record["step"], {}), **record}
    return Log(tuple(by_step[step] for step in sorted(by_step)))


def reward_weights(recipe: Mapping[str, Any] | None) -> dict[str, dict[str, float]]:
    """By stage and reward, the weights of a resolved recipe; nothing without one."""
    stages = (recipe or {}).get("stages", ())
    return {stage["name"]: {one["name"]: one["weight"] for one in stage.get("rewards", ())} for stage in stages}


def stage_charts(name: str, log: Log, weights: Mapping[str, float]) -> StageCharts:
    """Charts of everything the log holds that the page shows."""
    rewards = log.rewards
    named = [("reward", True), *((name, False) for name in rewards)] if rewards else []
    others = [
        (title, curve(log.points(key), label=title))
        for key, title in _ALSO.items()
        if log.points(key) and not (rewards and key in _REWARDS_SAY_MORE_THAN)
    ]
    return StageCharts(
        name=name,
        num_steps=len(log.records),
        window=window_of(len(log.records)),
        components=tuple(_component(log, reward, is_total, weights.get(reward)) for reward, is_total in named),
        others=tuple(others),
    )


def _component(log: Log, name: str, is_total: bool, weight: float | None) -> Component:
    key = "reward" if is_total else f"rewards/{name}"
    mean, spread = ("reward", "reward_std") if is_total else (f"{key}/mean", f"{key}/std")
    dead = log.points(f"{key}/zero_variance_share")
    return Component(
        name=name,
        is_total=is_total,
        weight=None if is_total else weight,
        mean=curve(log.points(mean), label=f"mean of {name}"),
        zero_variance=curve(dead, label=f"zero-variance share of {name}", share=True),
        spread=_first_and_last([value for _, value in log.points(spread)]),
    )


def _first_and_last(values: Sequence[float]) -> str | None:
    """`0.31 → 0.22`: the means of the first and the last tenth."""
    if not values:
        return None
    tenth = window_of(len(values))
    first, last = math.fsum(values[:tenth]) / tenth, math.fsum(values[-tenth:]) / tenth
    return f"{number(first)} → {number(last)}"


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
