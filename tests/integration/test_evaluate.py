"""Evaluating a real model: through durable probes, so that it resumes, repeats for nothing, and never guesses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pebr_data.catalog.ingest import build
from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig, ProbeConfig, ShapesSourceConfig
from pebr_data.engines import base
from pebr_data.engines.base import Request, Sampling
from pebr_data.errors import DataError, Interrupted
from pebr_data.grading import score_description
from pebr_data.models import ResolvedModel, resolve_model
from pebr_data.probe.run import fingerprint_of
from pebr_data.types import Generation, Outcome, RolloutKey
from pebr_train.evaluate import evaluate, greedy_of, measure

NUM_TEST = 12


@pytest.fixture
def config(tmp_path: Path) -> CatalogConfig:
    source = ShapesSourceConfig(type="shapes", name="shapes", seed=5, splits={"train": 2, "test": NUM_TEST})
    probe = ProbeConfig(template="question", max_completion_length=96, rollouts=2)
    config = CatalogConfig(name="shapes", sources=(source,), probe=probe, path=tmp_path / "shapes.yaml")
    build(config, tmp_path / "store")
    return config


@pytest.fixture
def model() -> ResolvedModel:
    return resolve_model("pebr-tiny")


class Counting:
    """The engine of a test, which counts what it is asked for. Without a script it is the real one."""

    name = "transformers"

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, script: Callable[[RolloutKey], Generation] | None = None
    ) -> None:
        self.script = script
        self.keys: list[RolloutKey] = []
        self.loaded = 0
        self._open = base.ENGINES[self.name]
        monkeypatch.setitem(base.ENGINES, self.name, self._load)

    def _load(self, model: ResolvedModel, **options: Any) -> Counting:
        self.loaded += 1
        self._real = None if self.script else self._open(model, **options)
        return self

    def generate(
        self, requests: Iterable[Request], sampling: Sampling, *, stop: Callable[[], object] | None = None
    ) -> Iterator[tuple[RolloutKey, Generation]]:
        if self._real is not None:
            for key, generation in self._real.generate(requests, sampling, stop=stop):
                self.keys.append(key)
                yield key, generation
            return
        for key in (key for request in requests for key in request.keys):
            self.keys.append(key)
            assert self.script is not None
            yield key, self.script(key)
            if stop is not None and stop():
                return


def says(answer: str) -> Callable[[RolloutKey], Generation]:
    return lambda key: Generation(f"### The final answer is: {answer}", 8, "stop", 30, 9)


@pytest.mark.slow
def test_a_real_model_is_measured_and_measuring_again_generates_nothing(
    config: CatalogConfig, model: ResolvedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, store = Counting(monkeypatch), tmp_path / "store"
    seen: list[tuple[int, int]] = []
    found = evaluate(model, config, store, num_samples=2, progress=lambda done, total, note: seen.append((done, total)))
    assert engine.loaded == 1
    assert len(engine.keys) == len(set(engine.keys)) == 3 * NUM_TEST
    assert seen[-1] == (3 * NUM_TEST, 3 * NUM_TEST)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)

    assert evaluate("pebr-tiny", config, store, num_samples=2) == found
    assert engine.loaded == 1

    more = evaluate(model, config, store, num_samples=3)
    assert len(engine.keys) == 4 * NUM_TEST
    assert [result.sampled[:2] for result in more.results] == [result.sampled for result in found.results]


@pytest.mark.slow
def test_figures_are_those_of_the_rollouts_in_the_catalog(
    config: CatalogConfig, model: ResolvedModel, tmp_path: Path
) -> None:
    found = evaluate(model, config, tmp_path / "store", num_samples=2)
    sampled = fingerprint_of(config, model)
    assert (found.sampled, found.greedy) == (sampled, replace(sampled, temperature=0.0, top_p=1.0))
    with Catalog.open(tmp_path / "store", read_only=True) as catalog:
        samples = {sample.sample_id: sample for sample in catalog.samples("shapes", "test")}
        rollouts = catalog.rollouts(sampled.probe_id)
        greedy = catalog.rollouts(found.greedy.probe_id)
    correct = sum(rollout.grade.outcome is Outcome.CORRECT for rollout in rollouts)
    pass_at_1, perception = found.estimate("pass_at_1"), found.estimate("greedy_perception")
    assert pass_at_1 is not None and perception is not None
    assert pass_at_1.mean == pytest.approx(correct / len(rollouts))
    f1 = [
        score_description(rollout.generation.completion, samples[rollout.key.sample_id].metadata["objects"]).f1
        for rollout in greedy
    ]
    assert perception.mean == pytest.approx(sum(f1) / NUM_TEST)


def test_the_limit_takes_the_first_samples_of_the_split(
    config: CatalogConfig, model: ResolvedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Counting(monkeypatch, says("3"))
    found = evaluate(model, config, tmp_path / "store", limit=5, num_samples=1)
    with Catalog.open(tmp_path / "store", read_only=True) as catalog:
        first = [sample.sample_id for sample in catalog.samples("shapes", "test")[:5]]
    assert sorted(first) == [result.sample_id for result in found.results]


def test_an_interrupted_evaluation_keeps_what_it_has_and_goes_on(
    config: CatalogConfig, model: ResolvedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, store = Counting(monkeypatch, says("3")), tmp_path / "store"
    with pytest.raises(Interrupted):
        evaluate(model, config, store, num_samples=2, stop=lambda: len(engine.keys) >= NUM_TEST + 4)
    assert len(engine.keys) == NUM_TEST + 4
    evaluate(model, config, store, num_samples=2)
    assert len(engine.keys) == len(set(engine.keys)) == 3 * NUM_TEST


def test_a_failed_rollout_is_never_counted_as_wrong(
    config: CatalogConfig, model: ResolvedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Generation("", 0, "error", error="out of luck")
    engine = Counting(monkeypatch, lambda key: failed if key.index == 1 and key.seed % 3 == 0 else says("3")(key))
    with pytest.raises(DataError, match="out of luck"):
        evaluate(model, config, tmp_path / "store", num_samples=4)
    engine.script = says("3")
    assert evaluate(model, config, tmp_path / "store", num_samples=4).num_rollouts == 4


def test_measuring_what_was_never_generated_is_refused(
    config: CatalogConfig, model: ResolvedModel, tmp_path: Path
) -> None:
    with Catalog.open(tmp_path / "store") as catalog:
        sampled = fingerprint_of(config, model)
        catalog.register_probe(sampled)
        catalog.register_probe(greedy_of(sampled))
        with pytest.raises(DataError, match="12 of 12 greedy rollouts are missing"):
            measure(catalog, "shapes", "test", catalog.samples("shapes", "test"), sampled, 2)


def test_a_split_without_samples_names_the_way_on(config: CatalogConfig, model: ResolvedModel, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no samples of split dev") as caught:
        evaluate(model, config, tmp_path / "store", split="dev")
    assert "pebr-data build" in (caught.value.help or "")
