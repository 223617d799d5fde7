"""What does selection buy? The quickstart's reasoning stage on `pebr`, `signal` and a random control of equal size.

    .venv/bin/python tests/bench/side_by_side.py --seeds 0 1 2

All runs start from the perception checkpoint of the quickstart (seed 0, trained where it is not there yet) and take the
same updates; seeds change the order of samples and the sampling. Mixtures are chosen by the quickstart's own probe of
the warmed-up model. Every `--every` updates the model is measured on the held-out samples. A finished run is kept, so
that the command can be stopped and given again.

`--limit` is half of the medium band by default: that band is four fifths of the quickstart's samples, so that at its
full size (`--limit 600`) all three mixtures hold nearly the same.

Intervals are percentiles of a bootstrap that draws seeds and held-out samples (or steps, for the zero-variance shares)
again, the same ones for all three: with three seeds, read them as the least that is unsure.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from selection import ROOT, train

from pebr_data.config import CatalogConfig, MixtureConfig
from pebr_data.export.shards import export
from pebr_data.hashing import digest
from pebr_data.manifest import Manifest, load_manifest
from pebr_data.models import resolve_model
from pebr_data.probe.run import fingerprint_of, model_of
from pebr_data.select.mixture import select
from pebr_data.types import Band
from pebr_train import metrics
from pebr_train.checkpoints import newest_complete
from pebr_train.evaluate import evaluate
from pebr_train.evaluation import METRICS, Evaluation, load_evaluation, save_evaluation
from pebr_train.recipe import GrpoStage, Recipe, load_recipe
from pebr_train.rollouts import RolloutLog
from pebr_train.rundir import RunDir

STAGE = "reasoning"
CONTROL = "control"
ZERO_VARIANCE = "rewards/accuracy/zero_variance_share"
NUM_DRAWS = 2_000

Values = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Statistic = Callable[[Values, Values], float]


@dataclass(frozen=True, slots=True)
class Arm:
    """One run: a policy's mixture under one seed, from one checkpoint."""

    policy: str
    seed: int
    manifest: Path
    model: Path
    max_steps: int
    every: int
    limit: int | None
    store: Path
    runs: Path
    num_threads: int

    @property
    def directory(self) -> RunDir:
        """One for each seed, mixture, checkpoint, length and way to measure."""
        revision = resolve_model(str(self.model)).revision
        decisive = [
            self.seed,
            load_manifest(self.manifest).mixture_id,
            revision,
            self.max_steps,
            self.every,
            self.limit,
        ]
        return RunDir(self.runs / "side_by_side" / f"{self.policy}-{digest(decisive)[:8]}")

    def evaluation(self, step: int) -> Path:
        """Where the figures after so many updates are."""
        return self.directory.evaluation(f"update-{step:04d}")

    @property
    def steps(self) -> range:
        """When the model is measured."""
        return range(0, self.max_steps + 1, self.every)


def mixtures(config: CatalogConfig, store: Path, warmed_up: Path, limit: int | None) -> dict[str, Manifest]:
    """The three mixtures, chosen and exported; `limit` samples of each, half of the medium band when not given."""
    probe_id = fingerprint_of(config, model_of(config, str(warmed_up))).probe_id
    if limit is None:
        (medium,) = select(config, store, probe_id=probe_id, names=[STAGE])
        limit = len(medium.sample_ids) // 2
    asked = {
        "pebr": MixtureConfig(policy="pebr", band=Band.MEDIUM, limit=limit),
        "signal": MixtureConfig(policy="signal", limit=limit),
        CONTROL: MixtureConfig(policy="random", match="pebr"),
    }
    chosen = select(config.model_copy(update={"mixtures": asked}), store, probe_id=probe_id)
    return {one.name: export(store, one) for one in chosen}


def measured(arm: Arm) -> None:
    """Trains and measures what is owed of one run."""
    if all(arm.evaluation(step).is_file() for step in arm.steps):
        return
    import torch

    from pebr_train.stages.base import StageRequest
    from pebr_train.stages.grpo import train_grpo

    torch.set_num_threads(arm.num_threads)
    recipe, config, stage = quickstart()
    directory = arm.directory.stage(STAGE)
    settings = {"max_steps": arm.max_steps, "save_steps": arm.every, "trl": {**stage.trl, "save_total_limit": None}}
    with arm.directory.locked():
        checkpoint, _ = newest_complete(directory.checkpoints)
        done = 0 if checkpoint is None else checkpoint.step
        metrics.forget_after(directory.metrics, done)
        RolloutLog(directory.rollouts).forget_from(done)
        if done < arm.max_steps:
            train_grpo(
                stage.model_copy(update=settings),
                StageRequest(
                    stage=stage.model_copy(update=settings),
                    seed=arm.seed,
                    num_processes=1,
                    model=resolve_model(str(arm.model)),
                    manifest=load_manifest(arm.manifest),
                    directory=directory,
                    checkpoint=checkpoint,
                ),
            )
        for step in arm.steps:
            if not arm.evaluation(step).is_file():
                model = directory.checkpoints / f"checkpoint-{step}" if step else arm.model
                save_evaluation(_evaluated(recipe, config, arm, model), arm.evaluation(step))
        for leftover in (directory.checkpoints, directory.cache, directory.final):
            shutil.rmtree(leftover)


def _evaluated(recipe: Recipe, config: CatalogConfig, arm: Arm, model: Path) -> Evaluation:
    settings = recipe.evaluation
    assert settings is not None
    return evaluate(
        str(model),
        config,
        arm.store,
        split=settings.split,
        limit=arm.limit or settings.limit,
        num_samples=settings.num_samples,
    )


def quickstart() -> tuple[Recipe, CatalogConfig, GrpoStage]:
    """The quickstart's recipe, catalog and reasoning stage."""
    recipe, config = load_recipe(ROOT / "recipes" / "quickstart.yaml")
    stage = next(stage for stage in recipe.stages if stage.name == STAGE)
    assert isinstance(stage, GrpoStage)
    return recipe, config, stage


def held_out(arms: Sequence[Arm], metric: str) -> Values:
    """Each sample's figure, [seeds, evaluations, samples]."""
    return np.array(
        [
            [[METRICS[metric](one) for one in load_evaluation(arm.evaluation(step)).results] for step in arm.steps]
            for arm in arms
        ],
        dtype=np.float64,
    )


def zero_variance(arms: Sequence[Arm]) -> Values:
    """Share of groups with one and the same accuracy at each update, [seeds, updates]."""
    logs = [metrics.read(arm.directory.stage(STAGE).metrics) for arm in arms]
    return np.array([[line[ZERO_VARIANCE] for line in log if ZERO_VARIANCE in line] for log in logs])


def interval(values: Values, control: Values, statistic: Statistic) -> tuple[float, float, float]:
    """A statistic of a policy's figures and the control's, and its 95 % interval over seeds and the last axis."""
    rng = np.random.default_rng(0)
    num_seeds, num_units = values.shape[0], values.shape[-1]
    drawn = []
    for _ in range(NUM_DRAWS):
        seeds, units = rng.integers(num_seeds, size=num_seeds), rng.integers(num_units, size=num_units)
        drawn.append(statistic(values[seeds][..., units], control[seeds][..., units]))
    low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
    return statistic(values, control), float(low), float(high)


def final(values: Values, control: Values) -> float:
    """Accuracy after the last update, %."""
    return 100 * float(values[:, -1].mean())


def lead(values: Values, control: Values) -> float:
    """How far it is above the control's, points."""
    return 100 * float(values[:, -1].mean() - control[:, -1].mean())


def average(values: Values, control: Values) -> float:
    """The mean, %."""
    return 100 * float(values.mean())


def reaches(every: int) -> Statistic:
    """Updates until the mean curve first reaches the control's last accuracy, interpolated; infinite if never."""

    def updates(values: Values, control: Values) -> float:
        curve, goal = values.mean(axis=(0, 2)), control[:, -1].mean()
        above = np.flatnonzero(curve >= goal - 1e-12)
        if not above.size:
            return float("inf")
        first = int(above[0])
        if first == 0:
            return 0.0
        before, after = curve[first - 1], curve[first]
        return every * (first - 1 + float((goal - before) / (after - before)))

    return updates


def shown(figures: tuple[float, float, float], sign: str = "") -> str:
    """`61.2 (59.8 to 62.5)`."""
    value, low, high = (f"{one:{sign}.1f}" if np.isfinite(one) else "never" for one in figures)
    return f"{value} ({low} to {high})"


def main() -> None:
    """Trains what is owed and prints the tables in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--limit", type=int, help="samples of each mixture; half of the medium band when not given")
    parser.add_argument("--max-steps", type=int, help="updates; the recipe's when not given")
    parser.add_argument("--every", type=int, default=10, help="updates between two measurements")
    parser.add_argument("--held-out", type=int, help="held-out samples; the recipe's when not given")
    parser.add_argument("--store", type=Path, default=Path("store"))
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of all runs together; all cores")
    options = parser.parse_args()
    _, config, stage = quickstart()
    max_steps = options.max_steps or stage.max_steps or 0
    if max_steps % options.every:
        parser.error(f"{max_steps} updates are no multiple of --every {options.every}")
    base = RunDir(train("quickstart", 0, options.store, options.runs, options.threads))
    chosen = mixtures(config, options.store, base.stage("warmup").final, options.limit)
    arms = {
        policy: [
            Arm(
                policy, seed, manifest.directory, base.stage("perception").final, max_steps, options.every,
                options.held_out, options.store, options.runs, max(1, options.threads // options.jobs),
            )
            for seed in options.seeds
        ]
        for policy, manifest in chosen.items()
    }  # fmt: skip
    # Every model in a process of its own; seed by seed, so that what is there early can be compared.
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for _ in pool.map(measured, [of[place] for place in range(len(options.seeds)) for of in arms.values()]):
            pass
    sizes = {policy: manifest.num_samples for policy, manifest in chosen.items()}
    print(f"{max_steps} updates, seeds {options.seeds}, samples {sizes}")
    for metric in ("pass_at_1", "greedy_accuracy"):
        figures = {policy: held_out(of, metric) for policy, of in arms.items()}
        start, num_held_out = 100 * figures[CONTROL][:, 0].mean(), figures[CONTROL].shape[-1]
        print(f"\n{metric} of {num_held_out} held-out samples, % ({start:.1f} at the start), with 95 % intervals\n")
        print("| policy | each seed | mean | minus the control's, points | updates to the control's last accuracy |")
        print("| --- | --- | --- | --- | --- |")
        for policy, values in figures.items():
            each = ", ".join(f"{100 * one:.1f}" for one in values[:, -1].mean(axis=1))
            told = (values, figures[CONTROL])
            ahead = "" if policy == CONTROL else shown(interval(*told, lead), "+")
            print(
                f"| {policy} | {each} | {shown(interval(*told, final))} | {ahead} "
                f"| {shown(interval(*told, reaches(options.every)))} |"
            )
        print(f"\nthe same after each update\n\n| policy | {' | '.join(map(str, arms[CONTROL][0].steps))} |")
        print("| --- |" + " --- |" * len(arms[CONTROL][0].steps))
        for policy, values in figures.items():
            print(f"| {policy} | {' | '.join(f'{100 * one:.1f}' for one in values.mean(axis=(0, 2)))} |")
    shares = {policy: zero_variance(of) for policy, of in arms.items()}
    print("\ngroups with zero variance in accuracy, %, with 95 % intervals\n")
    print("| policy | first ten updates | last ten | all |\n| --- | --- | --- | --- |")
    for policy, values in shares.items():
        parts = [values[:, :10], values[:, -10:], values]
        print(f"| {policy} | {' | '.join(shown(interval(part, part, average)) for part in parts)} |")


if __name__ == "__main__":
    main()
