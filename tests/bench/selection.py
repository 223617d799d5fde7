"""Does it learn, and does selection pay? Every recipe over several seeds, side by side.

    .venv/bin/python tests/bench/selection.py --seeds 0 1 2

Runs what is not done yet, `--jobs` runs at a time with an equal share of the cores each, then prints one row per run:
held-out figures of the base and after each stage, the paired difference from the base with its 95 % interval, and the
share of groups whose accuracy did not vary over the first and the last ten steps of the reasoning stage.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean

from pebr_train import metrics
from pebr_train.evaluation import Comparison, Evaluation, compare, load_evaluation

RECIPES = ("quickstart", "quickstart_random")
POINTS = ("base", "warmup", "perception", "reasoning")
ROOT = Path(__file__).parents[2]


def train(recipe: str, seed: int, store: Path, runs: Path, num_threads: int) -> Path:
    """Runs one recipe with one seed unless it is done, and returns its directory."""
    command = [sys.executable, "-m", "pebr_train", "run", str(ROOT / "recipes" / f"{recipe}.yaml")]
    command += ["--seed", str(seed), "--store", str(store), "--runs", str(runs)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(num_threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{recipe}, seed {seed}: exit code {done.returncode}\n{done.stderr}")
    return Path(done.stdout.strip().splitlines()[-1]).parent


def points(change: Comparison, metric: str) -> str:
    """A difference in points with its interval."""
    estimate = change.differences[metric]
    assert estimate is not None
    return f"{100 * estimate.mean:+.1f} ({100 * estimate.low:+.1f} to {100 * estimate.high:+.1f})"


def percent(evaluation: Evaluation, metric: str) -> str:
    """A mean in percent."""
    estimate = evaluation.estimate(metric)
    assert estimate is not None
    return f"{100 * estimate.mean:.1f}"


def zero_variance(run: Path, stage: str) -> tuple[float, float]:
    """Share of groups with one and the same accuracy: mean of the first and of the last ten steps."""
    shares = [
        line["rewards/accuracy/zero_variance_share"]
        for line in metrics.read(run / stage / "metrics.jsonl")
        if "rewards/accuracy/zero_variance_share" in line
    ]
    return fmean(shares[:10]), fmean(shares[-10:])


def main() -> None:
    """Trains what is owed and prints the tables in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--store", type=Path, default=Path("store"))
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    threads = max(1, (os.cpu_count() or 1) // arguments.jobs)
    jobs = [(recipe, seed) for seed in arguments.seeds for recipe in RECIPES]
    # The first run alone builds and probes what all of them share.
    first = [train(*jobs[0], arguments.store, arguments.runs, os.cpu_count() or 1)]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        rest = pool.map(lambda job: train(*job, arguments.store, arguments.runs, threads), jobs[1:])
        runs = dict(zip(jobs, [*first, *rest], strict=True))
    for metric in ("pass_at_1", "greedy_accuracy", "greedy_perception", "sampled_perception"):
        print(f"\n{metric}, %\n\n| recipe | seed | {' | '.join(POINTS)} | reasoning - base |")
        print(f"| --- | --- |{' --- |' * (len(POINTS) + 1)}")
        for (recipe, seed), run in sorted(runs.items()):
            found = {point: load_evaluation(run / "evaluations" / f"{point}.json") for point in POINTS}
            change = compare(found["base"], found["reasoning"])
            figures = " | ".join(percent(found[point], metric) for point in POINTS)
            print(f"| {recipe} | {seed} | {figures} | {points(change, metric)} |")
    print("\nperception over stage 1 (perception - warmup), points\n\n| recipe | seed | greedy | sampled |")
    print("| --- | --- | --- | --- |")
    for (recipe, seed), run in sorted(runs.items()):
        before, after = (load_evaluation(run / "evaluations" / f"{point}.json") for point in ("warmup", "perception"))
        change = compare(before, after)
        print(f"| {recipe} | {seed} | {points(change, 'greedy_perception')} | {points(change, 'sampled_perception')} |")
    print("\ngroups with zero variance in accuracy, reasoning stage, %\n")
    print("| recipe | seed | first ten steps | last ten steps |\n| --- | --- | --- | --- |")
    for (recipe, seed), run in sorted(runs.items()):
        start, end = zero_variance(run, "reasoning")
        print(f"| {recipe} | {seed} | {100 * start:.0f} | {100 * end:.0f} |")


if __name__ == "__main__":
    main()
