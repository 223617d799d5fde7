"""How many rollouts does stopping early save? `exact` on stored completions, both rules where the truth is known.

    .venv/bin/python tests/bench/early_stopping.py                 # probes 768 samples of shapes first: some minutes
    .venv/bin/python tests/bench/early_stopping.py --store store --catalog catalogs/shapes.yaml
    .venv/bin/python tests/bench/early_stopping.py --simulate      # where the truth is known: half a minute, no model

`exact`: are the bands those of all eight? Every row is a probe of its own through the real store, whose engine gives
what was stored under each sample and index. `capacity` is how many rollouts a round should have, `smallest` how many of
one sample it asks for at least.

`posterior` against 16 rollouts of each: populations with known pass rates, and a group of eight. Both put a sample into
the band that its posterior is sure of. Precision is the share of those called medium whose groups teach at least half
the time, recall the share of such samples that are called medium. Stopping where 90 % are just reached leaves less to
spare than going on to 16 does, so the second line raises the confidence until the precision is that of 16.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pebr_data.catalog.store import Catalog
from pebr_data.cli import main as pebr_data
from pebr_data.cli.output import print_table
from pebr_data.config import load_catalog_config
from pebr_data.difficulty.counts import BoolArray, IntArray
from pebr_data.difficulty.fit import fit_priors
from pebr_data.difficulty.populations import draw_outcomes, draw_population
from pebr_data.difficulty.signal import informative_probability
from pebr_data.difficulty.simulation import probe
from pebr_data.difficulty.stopping import exact_bands, exact_stops, sure_bands
from pebr_data.engines.base import Request, Sampling
from pebr_data.models import resolve_model
from pebr_data.probe import rounds
from pebr_data.probe.run import fingerprint_of, run_probe
from pebr_data.select.simulate import probe_by_posterior
from pebr_data.types import Condition, Generation, RolloutKey, StopRule

Stored = Mapping[tuple[str, int], Generation]


class Replayed:
    """Gives what was stored, and counts how often it was asked."""

    name = "transformers"

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self.num_rounds = 0
        self.num_prompts = 0

    def generate(
        self, requests: Iterable[Request], sampling: Sampling, *, stop: Callable[[], object] | None = None
    ) -> Iterator[tuple[RolloutKey, Generation]]:
        self.num_rounds += 1
        for request in requests:
            self.num_prompts += 1
            for key in request.keys:
                yield key, self.stored[key.sample_id, key.index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, help="a store whose catalog was probed already; it is only copied")
    parser.add_argument("--catalog", type=Path, default=Path("catalogs/shapes.yaml"))
    parser.add_argument("--model", default="pebr-tiny")
    parser.add_argument("--samples", type=int, default=768, help="at most so many")
    parser.add_argument("--simulate", action="store_true", help="only what needs no model")
    arguments = parser.parse_args()
    simulated_exact()
    simulated()
    if arguments.simulate:
        return
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory) / "store"
        if arguments.store is None:
            asked = ["--model", arguments.model, "--limit", str(arguments.samples), "--stop", "none"]
            for command in (["build", str(arguments.catalog)], ["probe", str(arguments.catalog), *asked]):
                if code := pebr_data([*command, "--store", str(store)]):
                    raise SystemExit(code)
        else:
            shutil.copytree(arguments.store, store, ignore=shutil.ignore_patterns("exports", "backups", "spool"))
        replay(store, arguments.catalog, arguments.model, arguments.samples)


POPULATIONS = ("uniform", "u_shaped", "hard", "two_source")


def simulated_exact(num_samples: int = 10_000, group_size: int = 8) -> None:
    """Prints what `exact` saves in the probe's rounds, and whether the bands are those of all rollouts."""
    rows: list[tuple[object, ...]] = []

    def stops(k: IntArray, n: IntArray) -> BoolArray:
        return exact_stops(k, n, group_size)

    for name in POPULATIONS:
        outcomes = draw_outcomes(draw_population(name, num_samples), group_size)
        probed = probe(outcomes, stops, capacity=rounds.CAPACITY, smallest=rounds.SMALLEST)
        every = np.full(num_samples, group_size)
        found = exact_bands(probed.num_correct, probed.num_rollouts, group_size)
        different = int((found != exact_bands(outcomes.sum(axis=1), every, group_size)).sum())
        used = float(probed.num_rollouts.mean())
        rows.append((name, "exact", used, f"{1 - used / group_size:.1%}", different))
    print(f"{num_samples} samples of each population, groups of {group_size}")
    print_table(("population", "stop", "rollouts a sample", "saved", "bands that differ"), rows)
    print()


def simulated(num_samples: int = 10_000, most: int = 16, group_size: int = 8) -> None:
    """Prints the table of `posterior` against all rollouts."""
    rows: list[tuple[object, ...]] = []
    for name in POPULATIONS:
        truth = draw_population(name, num_samples)
        outcomes = draw_outcomes(truth, most)
        teaches = informative_probability(truth.pass_rate, group_size) >= 0.5

        def measured(bands: npt.NDArray[np.str_], teaches: BoolArray = teaches) -> tuple[float, float]:
            medium = bands == "medium"
            hits = np.count_nonzero(medium & teaches)
            return hits / max(int(medium.sum()), 1), hits / max(int(teaches.sum()), 1)

        k = outcomes.sum(axis=1)
        prior = fit_priors(k, most, truth.stratum)
        every = prior.posterior(k, most, truth.stratum)
        precision, recall = measured(sure_bands(every, group_size, confidence=0.9))
        rows.append((name, "fixed", 0.9, float(most), None, f"{precision:.1%}", f"{recall:.1%}"))
        for confidence in (0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99):
            probed, bands = probe_by_posterior(truth, outcomes, group_size, confidence, smallest=rounds.SMALLEST)
            its, found = measured(bands)
            used = float(probed.num_rollouts.mean())
            if confidence == 0.9 or its >= precision:
                told = (f"{1 - used / most:.1%}", f"{its:.1%}", f"{found:.1%}")
                rows.append((name, "posterior", confidence, used, *told))
            if its >= precision:
                break
    print(f"{num_samples} samples of each population, {most} rollouts at most, bands of a group of {group_size}")
    header = ("population", "stop", "confidence", "rollouts a sample", "saved", "precision", "recall")
    print_table(header, rows)
    print()


def replay(store: Path, catalog_path: Path, model: str, limit: int) -> None:
    """Probes again from what is stored, under each size of the rounds, and prints a table."""
    config = load_catalog_config(catalog_path)
    size = config.probe.rollouts
    policy = fingerprint_of(config, resolve_model(model))
    with Catalog.open(store, read_only=True) as catalog:
        full = catalog.bands(policy.probe_id, size, config.name, config.probe.split)
        complete = set(full.filter(full["num_rollouts"] == size)["sample_id"])
        samples = [one for one in catalog.samples(config.name, config.probe.split) if one.sample_id in complete][:limit]
        ids = [one.sample_id for one in samples]
        stored = {(one.key.sample_id, one.key.index): one.generation for one in catalog.rollouts(policy.probe_id, ids)}
    expected = dict(full.select("sample_id", "band").iter_rows())
    rows = []
    for capacity, smallest in ((1, 1), (1, 2), (64, 1), (256, 1), (256, 2), (512, 1)):
        rounds.CAPACITY, rounds.SMALLEST = capacity, smallest
        engine = Replayed(stored)
        # No image is shown: nothing is generated.
        one = replace(policy, model=f"replayed-{capacity}-{smallest}", condition=Condition.BLIND)
        result = run_probe(store, samples, one, lambda made=engine: made, num_rollouts=size, rule=StopRule.EXACT)
        with Catalog.open(store, read_only=True) as catalog:
            found = dict(catalog.bands(one.probe_id, size, config.name).select("sample_id", "band").iter_rows())
        different = sum(found[sample_id] != expected[sample_id] for sample_id in ids)
        total = len(ids) * size
        rows.append(
            (
                capacity,
                smallest,
                engine.num_rounds,
                engine.num_prompts,
                result.num_generated,
                f"{1 - result.num_generated / total:.1%}",
                different,
            )
        )
    print(f"{len(ids)} samples of {config.name}, {size} rollouts each, {model}: {len(ids) * size} rollouts")
    print_table(("capacity", "smallest", "rounds", "prompts", "rollouts", "saved", "bands that differ"), rows)


if __name__ == "__main__":
    main()
