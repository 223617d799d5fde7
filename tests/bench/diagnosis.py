"""How many swapped golds are found, and is what bounds a policy told rightly? In `shapes`, where the truth is known.

    .venv/bin/python -m tests.bench.diagnosis                    # probes 768 samples with pebr-tiny: some minutes
    .venv/bin/python -m tests.bench.diagnosis --store store      # where catalogs/shapes.yaml was probed already
    .venv/bin/python -m tests.bench.diagnosis --skip-golds --samples 4000
    .venv/bin/python -m tests.bench.diagnosis --skip-golds --samples 0 --scale 1000000

Golds: 5 % of the samples get the gold of another one of their answer type, or of their skill, which is harder to find.
Rollouts do not depend on golds: those of pebr-tiny are graded against the swapped ones, through `regrade --golds`.
Bounds: `tests/simulated_policy.py` through the real probe, under all three conditions.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from pebr_data.catalog.store import Catalog
from pebr_data.cli import main as pebr_data
from pebr_data.cli.output import print_table
from pebr_data.config import load_catalog_config
from pebr_data.difficulty.counts import IntArray
from pebr_data.difficulty.diagnosis import EVIDENCE, diagnose
from pebr_data.probe.run import run_probe
from pebr_data.select.default_probe import find_probe
from pebr_data.select.diagnoses import read_diagnoses
from pebr_data.types import Condition, Diagnosis
from tests.probed_store import fingerprint
from tests.simulated_policy import SimulatedPolicy, truth_of
from tests.swapped_golds import swap

SHAPES = Path(__file__).parents[2] / "catalogs" / "shapes.yaml"
BOUNDS = ("perception-bound", "reasoning-bound", "hard")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, help="a store whose catalog was probed with pebr-tiny; it is only copied")
    parser.add_argument("--seed", type=int, default=0, help="of the world; 0 is that of catalogs/shapes.yaml")
    parser.add_argument("--swaps", type=int, default=5, help="how often golds are swapped anew")
    parser.add_argument("--skip-golds", action="store_true")
    parser.add_argument("--samples", type=int, default=2000, help="of the simulated policy")
    parser.add_argument("--scale", type=int, default=0, help="also time the diagnosis of so many samples")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        if not arguments.skip_golds:
            golds(place, arguments.store, arguments.seed, arguments.swaps)
        if arguments.samples:
            bounds(place, arguments.samples)
    if arguments.scale:
        scale(arguments.scale)


def golds(place: Path, given: Path | None, seed: int, swaps: int) -> None:
    """Swaps golds, regrades, and counts what is listed."""
    text = SHAPES.read_text("utf-8").replace("seed: 0", f"seed: {seed}")
    path, store = place / "shapes.yaml", place / "store"
    path.write_text(text, "utf-8")
    if given is None:
        quietly("build", str(path), "--store", str(store))
        quietly("probe", str(path), "--model", "pebr-tiny", "--store", str(store))
    else:
        shutil.copytree(given, store, ignore=shutil.ignore_patterns("exports", "backups", "spool"))
    config = load_catalog_config(path)
    with Catalog.open(store, read_only=True) as catalog:
        samples = catalog.samples(config.name, "train")
        probe = find_probe(catalog, store, config)
        counts = catalog.bands(probe.probe_id, 8, config.name, "train")
    num_right = dict(counts.select("sample_id", "num_correct").iter_rows())
    rows = []
    for kind in ("answer_type", "skill"):
        found: Counter[str] = Counter()
        for draw in range(swaps):
            pairs = [(str(getattr(one, kind)), one.answer) for one in samples]
            swapped = {samples[n].sample_id: gold for n, gold in swap(pairs, 0.05, draw).items()}
            file = place / f"{kind}-{draw}.jsonl"
            lines = (json.dumps({"sample_id": one, "answer": gold}) for one, gold in swapped.items())
            file.write_text("\n".join(lines) + "\n", "utf-8")
            quietly("regrade", str(path), "--golds", str(file), "--probe", "all", "--use", "--store", str(store))
            with Catalog.open(store, read_only=True) as catalog:
                told = read_diagnoses(catalog, probe, config.name, 8, "train")
            listed = set(told.filter(diagnosis=str(Diagnosis.SUSPECTED_GOLD))["sample_id"])
            for least in (5, 6, 8):
                could = {one for one in swapped if num_right[one] >= least}
                found[f"solved {least}"] += len(could)
                found[f"found {least}"] += len(could & listed)
            found["swapped"] += len(swapped)
            found["listed"] += len(listed)
            found["alarms"] += len(listed - set(swapped))
            found["others"] += len(samples) - len(swapped)
        shares = [_share(found[f"found {least}"], found[f"solved {least}"]) for least in (5, 6, 8)]
        rows.append((kind, found["swapped"], *shares, _share(found["alarms"], found["others"], 2), found["listed"]))
    quietly("regrade", str(path), "--probe", "all", "--use", "--store", str(store))
    with Catalog.open(store, read_only=True) as catalog:
        clean = read_diagnoses(catalog, probe, config.name, 8, "train")
    num_listed = int((clean["diagnosis"] == str(Diagnosis.SUSPECTED_GOLD)).sum())
    rows.append(("nothing", 0, None, None, None, _share(num_listed, len(samples), 2), num_listed))
    print(
        f"{len(samples)} samples of shapes, seed {seed}, 8 rollouts of pebr-tiny; 5 % of golds swapped, {swaps} times"
    )
    header = ("swapped within", "swapped", "found, solved 5/8", "solved 6/8", "solved 8/8", "false alarms", "listed")
    print_table(header, rows)


def _share(part: int, whole: int, decimals: int = 1) -> str:
    return f"{part / whole:.{decimals}%} of {whole:,}" if whole else "-"


def bounds(place: Path, num_samples: int) -> None:
    """Probes the simulated policy under each condition, and counts truths by diagnosis."""
    path, store = place / "world.yaml", place / "world"
    source = f"{{name: shapes, type: shapes, splits: {{train: {num_samples}}}}}"
    path.write_text(f"name: world\nsources: [{source}]\n", "utf-8")
    quietly("build", str(path), "--store", str(store))
    with Catalog.open(store, read_only=True) as catalog:
        samples = catalog.samples("world", "train")
    truths = {one.sample_id: truth_of(one) for one in samples}
    for condition in Condition:
        policy = fingerprint("simulated", condition=condition)
        run_probe(store, samples, policy, lambda: SimulatedPolicy(samples, truths), num_rollouts=16)
    for group_size in (8, 16):
        with Catalog.open(store, read_only=True) as catalog:
            (probe,) = [one for one in catalog.known_probes("world") if one.fingerprint.condition is Condition.IMAGE]
            told = read_diagnoses(catalog, probe, "world", group_size)
        hard = told.filter(pl.col("band") != "easy").select("sample_id", pl.col("diagnosis").fill_null("not diagnosed"))
        matrix = Counter((truths[sample_id].bound, name) for sample_id, name in hard.iter_rows())
        columns = sorted({name for _, name in matrix}, key=lambda name: (name not in BOUNDS, name))
        rows = [(bound, *(matrix[bound, name] for name in columns)) for bound in BOUNDS]
        print(f"\n{len(hard)} of {len(samples)} samples are not easy, {group_size} rollouts under each condition")
        print_table(("truth \\ diagnosis", *columns), rows)
        told_apart(np.array([[matrix[bound, name] for name in BOUNDS[:2]] for bound in BOUNDS[:2]]))


def told_apart(matrix: IntArray) -> None:
    """How often the two bounds are told apart rightly, and what chance would reach.

    Args:
        matrix: Counts [truth, diagnosis] of the samples that are one of the two and are told one of the two.
    """
    total = int(matrix.sum())
    if not matrix.sum(axis=1).all():
        print("too few samples to say whether the two are told apart")
        return
    by_chance = float(matrix.sum(axis=1) @ matrix.sum(axis=0)) / total**2
    balanced = float(np.mean(np.diag(matrix) / matrix.sum(axis=1)))
    print(f"told apart rightly: {_share(int(np.trace(matrix)), total)} told one of the two that are one")
    print(f"by chance, with as many of each: {by_chance:.1%}; balanced accuracy: {balanced:.1%}, by chance 50 %")


def scale(num_samples: int) -> None:
    """Times the diagnosis of drawn counts."""
    rng = np.random.default_rng(0)
    right, described, blind = (rng.binomial(8, rng.beta(0.7, 0.7, num_samples)) for _ in range(3))
    majority = rng.binomial(8 - right, 0.6)
    numbers = rng.integers(0, 1000, (2, num_samples)).astype(str)
    none, all_of_them = np.zeros(num_samples, int), np.full(num_samples, 8)
    columns = {
        "sample_id": np.arange(num_samples).astype(str),
        "source": rng.choice(["a", "b", "c"], num_samples),
        "answer_type": rng.choice(["count", "text", "choice"], num_samples),
        "skill": rng.choice(list("abcdef"), num_samples),
        "num_options": rng.choice([0, 4], num_samples),
        "band": np.select([right == 8, right == 0], ["easy", "hard"], "medium"),
        **{"gold": numbers[0], "gold_vouched": none.astype(bool), "majority": numbers[1], "num_correct": right},
        **{"num_majority": majority, "num_wrong": 8 - right, "num_rollouts": all_of_them},
        **{"mean_tokens": rng.gamma(4, 50, num_samples), "num_unparsed": none, "num_truncated": none},
        **{"num_disputed": none, "blind_correct": blind, "blind_rollouts": all_of_them},
        **{"described_correct": described, "described_rollouts": all_of_them},
    }
    evidence = pl.DataFrame(columns).cast(EVIDENCE)
    started = time.perf_counter()
    diagnose(evidence)
    print(f"\n{num_samples:,} samples diagnosed in {time.perf_counter() - started:.1f} s")


def quietly(*argv: str) -> None:
    """A command whose output is not shown unless it fails."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = pebr_data(list(argv))
    if code:
        raise SystemExit(f"pebr-data {' '.join(argv)}: exit code {code}\n{said.getvalue()}")


if __name__ == "__main__":
    main()
