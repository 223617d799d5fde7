"""Stopping a sample where its band is certain: as few rollouts as that takes, and the bands of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import polars as pl
import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.difficulty.pass_rate import band, posterior
from pebr_data.engines.base import Request, Sampling
from pebr_data.errors import Interrupted
from pebr_data.probe import rounds
from pebr_data.probe.rounds import ExactRule, Rounds
from pebr_data.probe.run import ProbeResult, plan_probe, probe, run_probe
from pebr_data.select.mixture import select
from pebr_data.types import Band, Condition, Fingerprint, Generation, Outcome, RolloutKey, Sample, StopRule
from tests.probed_store import YAML, fill, fingerprint, make_config
from tests.probed_store import probe as merge_outcomes

POLICY = fingerprint()
PROBE = POLICY.probe_id
C, W, U, T, E = "correct", "wrong", "unparsed", "truncated", "error"


class Replayed:
    """Gives each sample the outcomes of its script, by index, whatever it is asked for and when."""

    name = "transformers"

    def __init__(self, scripts: Mapping[str, Sequence[str]], answers: Mapping[str, str]) -> None:
        self.scripts = scripts
        self.answers = answers
        self.made: list[RolloutKey] = []
        self.num_rounds = 0

    def generate(
        self, requests: Iterable[Request], sampling: Sampling, *, stop: Callable[[], object] | None = None
    ) -> Iterator[tuple[RolloutKey, Generation]]:
        self.num_rounds += 1
        for request in requests:
            for key in request.keys:
                self.made.append(key)
                yield key, self._generation(key)
            if stop is not None and stop():
                return

    def _generation(self, key: RolloutKey) -> Generation:
        outcome = self.scripts[key.sample_id][key.index]
        if outcome == E:
            return Generation("", 0, "error", error="RuntimeError: out of luck")
        told = {C: self.answers[key.sample_id], W: "977"}.get(outcome)
        text = "no idea" if told is None else f"### The final answer is: {told}"
        return Generation(text, 9, "length" if outcome == T else "stop", 30, 9)


def samples_of(store: Path) -> list[Sample]:
    with Catalog.open(store, read_only=True) as catalog:
        return catalog.samples("small", "train")


def replay(store: Path, scripts: Sequence[Sequence[str]]) -> Replayed:
    samples = samples_of(store)
    ids = [sample.sample_id for sample in samples]
    return Replayed(dict(zip(ids, scripts, strict=True)), {one.sample_id: one.answer for one in samples})


def run(
    store: Path,
    engine: Replayed,
    group_size: int,
    rule: StopRule = StopRule.EXACT,
    policy: Fingerprint = POLICY,
    stop: Callable[[], object] | None = None,
) -> ProbeResult:
    return run_probe(store, samples_of(store), policy, lambda: engine, num_rollouts=group_size, rule=rule, stop=stop)


def rates(store: Path, group_size: int, policy: Fingerprint = POLICY) -> pl.DataFrame:
    with Catalog.open(store, read_only=True) as catalog:
        return catalog.pass_rates(policy.probe_id, group_size, "small", "train")


def bands(store: Path, group_size: int) -> list[str]:
    return rates(store, group_size)["band"].to_list()


def ask_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of one rollout a sample, after the first two."""
    monkeypatch.setattr(rounds, "CAPACITY", 1)
    monkeypatch.setattr(rounds, "SMALLEST", 1)


@pytest.fixture
def store_of(tmp_path: Path) -> Callable[[int], Path]:
    def make(size: int) -> Path:
        fill(tmp_path / "store", {"train": size})
        return tmp_path / "store"

    return make


def test_every_sequence_of_eight_outcomes_gets_the_band_of_all_eight(
    store_of: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = list(product((C, W), repeat=8))
    store = store_of(len(scripts))
    for capacity in (1, 700, 5_000):
        ask_one_by_one(monkeypatch)
        monkeypatch.setattr(rounds, "CAPACITY", capacity)
        policy = fingerprint(max_completion_length=capacity, condition=Condition.BLIND)

        result = run(store, replay(store, scripts), 8, policy=policy)

        found = rates(store, 8, policy)
        assert found["band"].to_list() == [band(script.count(C), 8, 8).value for script in scripts]
        assert (result.num_owed, result.num_generated + result.num_spared) == (0, 2_048)
        is_complete = found["num_rollouts"] == 8
        assert found["pass_rate"].is_not_null().equals(is_complete)
        assert is_complete.all() == (capacity == 5_000)
        if capacity == 1:
            needed = [next((n for n in range(2, 9) if len(set(script[:n])) == 2), 8) for script in scripts]
            assert found["num_rollouts"].to_list() == needed


def test_what_is_not_correct_counts_alike_whatever_it_is(store_of: Callable[[int], Path]) -> None:
    scripts = [(C, U, C, C), (T, T, C, C), (T, U, W, T), (U, W, T, C), (C, C, C, T)]
    store = store_of(len(scripts))
    run(store, replay(store, scripts), 4)
    assert bands(store, 4) == ["medium", "medium", "hard", "medium", "medium"]


def test_a_stopped_sample_has_its_posterior_and_no_pass_rate(
    store_of: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_one_by_one(monkeypatch)
    store = store_of(1)
    run(store, replay(store, [(C, W, C, C)]), 4)
    (row,) = rates(store, 4).iter_rows(named=True)
    assert (row["num_correct"], row["num_rollouts"], row["band"], row["pass_rate"]) == (1, 2, "medium", None)
    assert (row["posterior_mean"], row["posterior_low"], row["posterior_high"]) == pytest.approx(posterior(1, 2))


def test_without_the_rule_exactly_the_rest_is_owed(
    store_of: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_one_by_one(monkeypatch)
    scripts = [(C, W, C, W), (W, W, W, W), (C, C, W, C)]
    store = store_of(len(scripts))
    early, rest = replay(store, scripts), replay(store, scripts)
    spared = run(store, early, 4).num_spared
    assert spared == 3

    result = run(store, rest, 4, StopRule.NONE)

    assert (result.num_generated, result.num_spared, result.num_owed) == (spared, 0, 0)
    every = [(one.sample_id, index) for one in samples_of(store) for index in range(4)]
    assert sorted((key.sample_id, key.index) for key in early.made + rest.made) == sorted(every)
    assert rates(store, 4)["pass_rate"].to_list() == [0.5, 0.0, 0.75]


def test_an_interrupted_probe_without_the_rule_bands_no_incomplete_group(store_of: Callable[[int], Path]) -> None:
    scripts = [(C, W, C, W)] * 3
    store = store_of(len(scripts))
    run(store, replay(store, scripts), 2, StopRule.NONE)
    assert bands(store, 4) == ["unprobed"] * 3

    result = run(store, replay(store, scripts), 4)

    assert (result.num_generated, result.num_spared) == (0, 6), "two rollouts were enough, it turns out"
    assert bands(store, 4) == ["medium"] * 3


def test_a_probe_that_stopped_by_a_group_of_four_says_nothing_of_larger_groups(
    store_of: Callable[[int], Path],
) -> None:
    store = store_of(2)
    run(store, replay(store, [(C, W, C, W), (W, W, W, W)]), 4)
    assert [bands(store, size) for size in (2, 4, 8)] == [["medium", "hard"], ["medium", "hard"], ["unprobed"] * 2]


def test_a_failed_rollout_keeps_a_sample_open_until_it_is_made(
    store_of: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "CAPACITY", 3)
    store = store_of(1)
    first = run(store, replay(store, [(C, W, E, C)]), 4)
    assert (first.num_owed, bands(store, 4)) == (1, ["unprobed"])
    second = run(store, replay(store, [(C, W, W, C)]), 4)
    assert (second.num_generated, second.num_owed, bands(store, 4)) == (1, 0, ["medium"])


def test_a_rollout_that_says_nothing_lets_its_sample_neither_stop_nor_have_a_band(
    store_of: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_one_by_one(monkeypatch)
    keys = tuple(RolloutKey(PROBE, "a", index) for index in range(4))
    asked = Rounds({"a": keys}, 4, ExactRule(4, 1))
    seen = iter([Outcome.UNGRADABLE, Outcome.CORRECT, Outcome.WRONG, Outcome.WRONG])
    made = []
    for one in asked:
        for key in one["a"]:
            made.append(key)
            asked.see(key, next(seen))
    assert (tuple(made), asked.num_spared) == (keys, 0)

    store = store_of(2)
    useless, usual = (one.sample_id for one in samples_of(store))
    seen_both = [Outcome.CORRECT, Outcome.WRONG]
    merge_outcomes(store, {useless: [*seen_both, Outcome.UNGRADABLE], usual: seen_both})
    with Catalog.open(store) as catalog:
        catalog.stop_rules.note_exact(PROBE, 4)
    assert bands(store, 4) == ["unprobed", "medium"]


def test_rounds_are_small_while_many_are_open_and_fill_the_engine_as_they_run_out(
    store_of: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "CAPACITY", 12)
    scripts = [(C, W) * 4] * 6 + [(W,) * 8] * 2
    store = store_of(len(scripts))
    engine = replay(store, scripts)
    run(store, engine, 8)
    # Two of each of eight; then the two open ones share the twelve places.
    assert (engine.num_rounds, len(engine.made)) == (2, 16 + 12)


def test_a_stopped_run_goes_on_with_what_is_open(
    store_of: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_one_by_one(monkeypatch)
    scripts = [(C, W, C, W), (W, W, W, W), (C, C, C, C), (W, C, W, W)]
    store = store_of(len(scripts))
    engine, rest = replay(store, scripts), replay(store, scripts)
    with pytest.raises(Interrupted):
        run(store, engine, 4, stop=lambda: len(engine.made) >= 4)
    result = run(store, rest, 4)
    assert (result.num_owed, bands(store, 4)) == (0, ["medium", "hard", "easy", "medium"])
    keys = engine.made + rest.made
    assert len(keys) == len(set(keys)) == 4 * 2 + 2 * 2


def test_a_plan_goes_by_outcomes_that_only_the_spool_has(
    store_of: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch, model: str, tmp_path: Path
) -> None:
    ask_one_by_one(monkeypatch)
    scripts = [(C, W, C, W), (W, W, W, W), (W, W, C, C)]
    store, config = store_of(len(scripts)), exact_config(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "merge_rollouts", lambda self, merged: 0)
        probe(config, store, model, limit=2, engine=replay(store, scripts))
    plan = plan_probe(config, store, model)
    assert (plan.num_kept, plan.num_spared, plan.num_owed) == (6, 2, 4)


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "config.json").write_text("{}")
    return str(tmp_path / "policy")


def exact_config(directory: Path) -> CatalogConfig:
    return make_config(directory, YAML.replace("  rollouts: 4\n", "  rollouts: 4\n  stop: exact\n"))


def test_the_rule_of_the_yaml_goes_all_the_way_to_the_shards(
    store_of: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch, model: str, tmp_path: Path
) -> None:
    ask_one_by_one(monkeypatch)
    scripts = [(C, W, C, W), (W, W, W, W), (C, C, C, C), (W, C, W, W)]
    store, config = store_of(len(scripts)), exact_config(tmp_path)
    plan = plan_probe(config, store, model)
    assert (plan.num_owed, plan.num_spared) == (16, 0)

    result = probe(config, store, model, engine=replay(store, scripts))

    assert (result.num_spared, result.num_owed) == (4, 0)
    plan = plan_probe(config, store, model)
    assert (plan.num_kept, plan.num_owed, plan.num_spared) == (12, 0, 4)
    ids = [one.sample_id for one in samples_of(store)]
    mixtures = {one.name: one for one in select(config, store)}
    assert set(mixtures["reasoning"].sample_ids) == {ids[0], ids[3]}
    assert (mixtures["warmup"].sample_ids, mixtures["perception"].sample_ids) == ((ids[1],), (ids[2],))
    with Catalog.open(store, read_only=True) as catalog:
        told = catalog.stats("small", 4).bands
    assert told.select([str(one) for one in Band]).sum().row(0) == (1, 2, 1, 0)
