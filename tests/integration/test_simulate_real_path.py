"""`simulate` and the real flow: the same outcomes, by a scripted engine through store, probe, select and forecast."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.difficulty.counts import BoolArray
from pebr_data.difficulty.populations import Population, draw_outcomes, draw_population, true_diagnoses
from pebr_data.difficulty.signal import informative_probability
from pebr_data.difficulty.simulation import Verdict
from pebr_data.engines.base import Request, Sampling
from pebr_data.export.foreseen import foresee
from pebr_data.images import ImageStore
from pebr_data.probe.run import run_probe
from pebr_data.select.forecast import forecast_mixtures
from pebr_data.select.mixture import preview, select
from pebr_data.select.simulate import simulate
from pebr_data.types import Candidate, Condition, Diagnosis, Generation, RolloutKey, Sample, StopRule
from tests.probed_store import YAML, candidate, fingerprint, make_config

NUM_SAMPLES = 250
G = 8
BOUNDS = (Diagnosis.PERCEPTION_BOUND, Diagnosis.REASONING_BOUND)


class Scripted:
    """An engine whose rollouts of each sample are right and wrong as drawn, by index; no wrong answer is frequent."""

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
                wrong = "BCD"[key.index % 3] if gold == "A" else f"977{key.index}"
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


def most_rollouts(rule: StopRule) -> int:
    return 2 * G if rule is StopRule.POSTERIOR else G


def probe_store(
    store: Path, population: Population, rule: StopRule, conditions: Iterable[Condition] = (Condition.IMAGE,)
) -> tuple[dict[str, int], int]:
    """A store of the population, probed under these conditions: each sample's number in it, and rollouts made."""
    with Catalog.open(store) as catalog:
        made = (question(number, population) for number in range(NUM_SAMPLES))
        catalog.ingest("small", "digest", made, ImageStore(store / "images"))
        samples = catalog.samples("small")
    if rule is StopRule.POSTERIOR:
        # The pilot is a draw by ids: the real ids, in order, stand for the simulated ones in theirs.
        assert len(set(population.stratum)) == 1
        order = sorted(range(NUM_SAMPLES), key=str)
        number = dict(zip(sorted(one.sample_id for one in samples), order, strict=True))
    else:
        number = {one.sample_id: int(one.question.split()[-1].removesuffix("?")) for one in samples}
    by_id = {one.sample_id: one for one in samples}
    num_made = 0
    for condition in conditions:
        outcomes = draw_outcomes(population, most_rollouts(rule), condition=condition)
        engine = Scripted(by_id, {one: outcomes[place] for one, place in number.items()})
        policy = fingerprint(condition=condition)
        run_probe(store, samples, policy, lambda made=engine: made, num_rollouts=G, rule=rule)
        num_made += engine.num_made
    return number, num_made


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("two_source", StopRule.NONE),
        ("hard", StopRule.EXACT),
        ("guessers", StopRule.EXACT),
        ("hard", StopRule.POSTERIOR),
    ],
)
def test_simulate_makes_and_chooses_and_foresees_what_the_real_flow_does(
    tmp_path: Path, name: str, rule: StopRule
) -> None:
    population, store = draw_population(name, NUM_SAMPLES), tmp_path / "store"
    number, num_made = probe_store(store, population, rule)

    yaml = YAML.replace("rollouts: 4", f"rollouts: {G}\n  stop: {rule}")
    (size,) = (len(one.kept) for one in preview(make_config(tmp_path, yaml), store, names=["reasoning"])[1].values())
    config = make_config(tmp_path, yaml + f"  best: {{policy: signal, limit: {size}}}\n")
    rates, choices = preview(config, store, names=["reasoning", "best"])
    foreseen = forecast_mixtures(config, store, rates, {one: choice.kept for one, choice in choices.items()})
    worth = informative_probability(population.pass_rate, G)

    for mixture, policy in (("reasoning", "pebr"), ("best", "signal")):
        told = simulated(name, rule, policy)
        real = foreseen[mixture]
        assert real is not None
        assert told.num_rollouts == num_made
        assert told.num_chosen == len(choices[mixture].kept)
        assert told.forecast_error + told.zero_variance == pytest.approx(real.first_pass.zero_variance.mean, abs=1e-9)
        # Which of equal samples `signal` takes is drawn by their ids, and those differ.
        kept = np.array([number[one] for one in choices[mixture].kept])
        cells = rates.samples.join(choices[mixture].kept.to_frame("sample_id"), on="sample_id", how="semi")
        largest = cells.group_by("num_correct", "num_rollouts").len()["len"].max() if policy == "signal" else 0
        assert isinstance(largest, int)
        assert abs(told.signal - worth[kept].mean()) <= largest / len(kept) + 1e-9


@pytest.mark.parametrize(("name", "rule"), [("two_source", StopRule.NONE), ("u_shaped", StopRule.POSTERIOR)])
def test_simulate_diagnoses_what_the_real_flow_does(tmp_path: Path, name: str, rule: StopRule) -> None:
    population, store = draw_population(name, NUM_SAMPLES), tmp_path / "store"
    number, num_made = probe_store(store, population, rule, Condition)

    yaml = YAML.replace("rollouts: 4", f"rollouts: {G}\n  stop: {rule}").split("mixtures:")[0] + "mixtures:\n"
    for bound in BOUNDS:
        yaml += f"  {bound}: {{policy: diagnosis, diagnosis: {bound}}}\n"
    config = make_config(tmp_path, yaml)
    rates, choices = preview(config, store, names=BOUNDS)
    frozen = select(config, store, names=BOUNDS)
    foreseen = forecast_mixtures(config, store, rates, {one: choice.kept for one, choice in choices.items()})
    truly = true_diagnoses(population)
    with Catalog.open(store, read_only=True) as catalog:
        on_cards = {one.name: foresee(catalog, one) for one in frozen}

    for bound in BOUNDS:
        told = simulated(name, rule, "diagnosis", diagnosis=bound)
        real, kept = foreseen[bound], [number[one] for one in choices[bound].kept]
        assert real is not None
        assert told.num_rollouts == num_made
        assert told.num_chosen == len(kept) > 5
        on_card = on_cards[bound]
        assert on_card is not None
        assert on_card[0] == real.first_pass
        assert told.precision == np.mean(truly[kept] == bound)
        assert told.recall == np.count_nonzero(truly[kept] == bound) / np.count_nonzero(truly == bound)
        assert told.signal == pytest.approx(informative_probability(population.pass_rate[kept], G).mean())
        assert told.forecast_error + told.zero_variance == pytest.approx(real.first_pass.zero_variance.mean, abs=1e-9)


@pytest.mark.parametrize("bound", BOUNDS)
def test_what_is_foreseen_of_a_mixture_by_diagnosis_comes_true(bound: Diagnosis) -> None:
    trial = simulate("hard", policy="diagnosis", diagnosis=bound, num_samples=4_000)
    assert trial is not None
    verdict = trial.verdict
    foreseen = verdict.forecast_error + verdict.zero_variance
    # By the shown rollouts alone it would be 7 to 12 points off.
    assert foreseen == pytest.approx(1 - verdict.signal, abs=0.025)
    assert verdict.within


def simulated(name: str, rule: StopRule, policy: str, diagnosis: Diagnosis = Diagnosis.REASONING_BOUND) -> Verdict:
    stop = "fixed" if rule is StopRule.NONE else str(rule)
    trial = simulate(name, stop, policy, diagnosis=diagnosis, num_samples=NUM_SAMPLES, max_rollouts=most_rollouts(rule))
    assert trial is not None
    return trial.verdict
