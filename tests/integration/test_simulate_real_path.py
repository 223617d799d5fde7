"""`simulate` and the real flow: the same outcomes, by a scripted engine through store, probe, select and forecast."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.difficulty.counts import BoolArray
from pebr_data.difficulty.populations import Population, draw_outcomes, draw_population
from pebr_data.difficulty.signal import informative_probability
from pebr_data.engines.base import Request, Sampling
from pebr_data.images import ImageStore
from pebr_data.probe.run import run_probe
from pebr_data.select.forecast import forecast_mixtures
from pebr_data.select.mixture import preview
from pebr_data.select.simulate import simulate
from pebr_data.types import Candidate, Generation, RolloutKey, Sample, StopRule
from tests.probed_store import YAML, candidate, fingerprint, make_config

NUM_SAMPLES = 250
G = 8


class Scripted:
    """An engine whose rollouts of each sample are right and wrong as drawn, by index."""

    name = "transformers"

    def __init__(self, samples: dict[str, Sample], outcomes: dict[str, BoolArray]) -> None:
        self.samples = samples
        self.outcomes = outcomes
        self.num_made = 0

    def generate(
        self, requests: Iterable[Request], sampling: Sampling, *, stop: Callable[[], object] | None = None
    ) -> Iterator[tuple[RolloutKey, Generation]]:
        for request in requests:
            for key in request.keys:
                self.num_made += 1
                gold = self.samples[key.sample_id].answer
                wrong = "D" if gold == "A" else "977"
                told = gold if self.outcomes[key.sample_id][key.index] else wrong
                yield key, Generation(f"### The final answer is: {told}", 9, "stop", 30, 9)


def question(number: int, population: Population) -> Candidate:
    """A sample of the population as a source would yield it; all show one image."""
    one = dataclasses.replace(
        candidate(number),
        source=f"source{population.stratum[number]}",
        images=candidate(0).images,
        answer_type="number",
    )
    options = int(population.num_options[number])
    return one if not options else dataclasses.replace(
        one, answer="A", answer_type="choice", options=("one", "two", "three", "four")[:options]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "rule"), [("two_source", StopRule.NONE), ("hard", StopRule.EXACT), ("guessers", StopRule.EXACT)]
)
def test_simulate_makes_and_chooses_and_foresees_what_the_real_flow_does(
    tmp_path: Path, name: str, rule: StopRule
) -> None:
    population = draw_population(name, NUM_SAMPLES)
    outcomes = draw_outcomes(population, G)
    store = tmp_path / "store"
    with Catalog.open(store) as catalog:
        made = (question(number, population) for number in range(NUM_SAMPLES))
        catalog.ingest("small", "digest", made, ImageStore(store / "images"))
        samples = catalog.samples("small")
    samples = sorted(samples, key=lambda one: int(one.question.split()[-1].removesuffix("?")))
    number = {one.sample_id: place for place, one in enumerate(samples)}
    engine = Scripted({one.sample_id: one for one in samples}, {one: outcomes[place] for one, place in number.items()})

    run_probe(store, samples, fingerprint(), lambda: engine, num_rollouts=G, rule=rule)

    yaml = YAML.replace("rollouts: 4", f"rollouts: {G}\n  stop: {rule}")
    (size,) = (len(one.kept) for one in preview(make_config(tmp_path, yaml), store, names=["reasoning"])[1].values())
    config = make_config(tmp_path, yaml + f"  best: {{policy: signal, limit: {size}}}\n")
    rates, choices = preview(config, store, names=["reasoning", "best"])
    foreseen = forecast_mixtures(config, store, rates, {one: choice.kept for one, choice in choices.items()})
    worth = informative_probability(population.pass_rate, G)

    for mixture, policy in (("reasoning", "pebr"), ("best", "signal")):
        trial = simulate(name, "fixed" if rule is StopRule.NONE else "exact", policy, num_samples=NUM_SAMPLES)
        real = foreseen[mixture]
        assert trial is not None
        assert real is not None
        told = trial.verdict
        assert told.num_rollouts == engine.num_made
        assert told.num_chosen == len(choices[mixture].kept)
        assert told.forecast_error + told.zero_variance == pytest.approx(real.first_pass.zero_variance.mean, abs=1e-9)
        # Which of equal samples `signal` takes is drawn by their ids, and those differ.
        kept = np.array([number[one] for one in choices[mixture].kept])
        cells = rates.samples.join(choices[mixture].kept.to_frame("sample_id"), on="sample_id", how="semi")
        largest = cells.group_by("num_correct", "num_rollouts").len()["len"].max() if policy == "signal" else 0
        assert isinstance(largest, int)
        assert abs(told.signal - worth[kept].mean()) <= largest / len(kept) + 1e-9
