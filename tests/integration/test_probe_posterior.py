"""Going on where a sample's band is open and stopping where it is sure: the same decisions whoever takes them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pebr_data.catalog.early_stops import PosteriorStop
from pebr_data.catalog.store import Catalog
from pebr_data.config import WhereConfig
from pebr_data.difficulty.frozen import FrozenPriors
from pebr_data.difficulty.known import learn
from pebr_data.difficulty.pass_rate import band
from pebr_data.difficulty.stopping import posterior_stops, sure_bands
from pebr_data.engines.base import Engine
from pebr_data.errors import Interrupted, UsageError
from pebr_data.probe.early_stop import Stopping
from pebr_data.probe.pilot import make_pilot
from pebr_data.probe.run import ProbeResult, plan_probe, probe, run_probe
from pebr_data.probe.shard import WHOLE, Shard
from pebr_data.probe.subset import Subset
from pebr_data.select.mixture import select
from pebr_data.types import Condition, RolloutKey, StopRule
from tests.integration.test_probe import must_not_load
from tests.integration.test_probe_early import C, Replayed, W, ask_one_by_one, samples_of
from tests.probed_store import YAML, fill, fingerprint, make_config

G, MOST, SIZE = 4, 8, 160
POLICY = fingerprint(condition=Condition.BLIND)
PROBE = POLICY.probe_id
BLIND = YAML.replace("  template", "  condition: blind\n  template")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("built") / "store"
    fill(store, {"train": SIZE})
    return store


@pytest.fixture
def store(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "store"))


@pytest.fixture
def again(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "again"))


def replay(store: Path) -> Replayed:
    """Pass rates from a U: most samples are nearly always or nearly never right."""
    rng = np.random.default_rng(3)
    samples = samples_of(store)
    scripts = {
        one.sample_id: [C if rng.random() < rate else W for _ in range(MOST)]
        for one, rate in zip(samples, rng.beta(0.4, 0.4, SIZE), strict=True)
    }
    return Replayed(scripts, {one.sample_id: one.answer for one in samples})


def run(
    store: Path,
    engine: Engine,
    *,
    rule: StopRule = StopRule.POSTERIOR,
    shard: Shard = WHOLE,
    stop: Callable[[], object] | None = None,
    limit: int | None = None,
) -> ProbeResult:
    samples = samples_of(store)[:limit]
    return run_probe(store, samples, POLICY, lambda: engine, num_rollouts=G, rule=rule, shard=shard, stop=stop)


def rates(store: Path) -> pl.DataFrame:
    with Catalog.open(store, read_only=True) as catalog:
        return catalog.pass_rates(PROBE, G, "small", "train")


def rule_of(store: Path) -> PosteriorStop:
    with Catalog.open(store, read_only=True) as catalog:
        (rule,) = catalog.stop_rules.of(PROBE)
    return rule


def test_each_sample_gets_rollouts_until_its_band_is_sure_or_they_are_used_up(store: Path) -> None:
    engine = replay(store)
    result = run(store, engine)

    found, rule = rates(store), rule_of(store)
    k, n = found["num_correct"].to_numpy(), found["num_rollouts"].to_numpy()
    prior = FrozenPriors.from_json(rule.priors).strata["made", "count", 0.0]
    known = prior.posterior(k, n)
    assert posterior_stops(known, n, G, confidence=0.9, max_rollouts=MOST).all()
    assert found["band"].to_list() == sure_bands(known, G, confidence=0.9).tolist()
    assert {"easy", "medium", "hard", "unprobed"} == set(found["band"])
    assert (n[found["band"].to_numpy() == "unprobed"] == MOST).all()
    assert found["pass_rate"].null_count() == SIZE
    assert found["posterior_mean"].null_count() == 0
    assert len(engine.made) == result.num_generated == n.sum() < SIZE * MOST
    assert (result.num_owed, result.num_spared) == (0, SIZE * MOST - n.sum())


def test_the_priors_are_those_of_the_pilot(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pebr_data.difficulty.stopping.PILOT", 120)
    engine = replay(store)
    run(store, engine)
    ids = sorted(engine.scripts)
    first = {sample_id: G if place < 120 else 2 for place, sample_id in enumerate(ids)}
    counts = pl.DataFrame(
        {
            "sample_id": ids,
            "num_correct": [engine.scripts[one][: first[one]].count(C) for one in ids],
            "num_rollouts": [first[one] for one in ids],
        }
    ).with_columns(source=pl.lit("made"), answer_type=pl.lit("count"), num_options=pl.lit(0, pl.Int64))
    assert rule_of(store).priors == FrozenPriors.of(learn(counts)).to_json()


@pytest.mark.parametrize("breaks_at", [100, 760])
def test_a_run_that_was_stopped_anywhere_goes_on_as_if_it_had_not_been(
    store: Path, again: Path, breaks_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Larger rounds are filled up with what may not be needed, so that they depend on where they begin.
    ask_one_by_one(monkeypatch)
    whole, first, second = replay(store), replay(again), replay(again)
    run(store, whole)
    with pytest.raises(Interrupted):
        run(again, first, stop=lambda: len(first.made) >= breaks_at)
    run(again, second)
    keys: list[RolloutKey] = first.made + second.made
    assert set(keys) == set(whole.made)
    assert len(keys) == len(set(keys))
    assert rule_of(again) == rule_of(store)
    assert rates(again).equals(rates(store))
    assert run(again, must_not_load_engine()).num_owed == 0


def test_shards_judge_by_the_priors_of_the_first_and_owe_nothing_together(store: Path) -> None:
    run(store, replay(store), shard=Shard(1, 2))
    before = rule_of(store)
    run(store, replay(store), shard=Shard(2, 2))
    assert rule_of(store) == before
    assert before.num_samples == SIZE
    assert run(store, must_not_load_engine()).num_owed == 0


def test_a_few_samples_that_were_tried_first_do_not_judge_the_others(store: Path) -> None:
    run(store, replay(store), limit=10)
    tried = rule_of(store)
    run(store, replay(store))
    assert (tried.num_samples, rule_of(store).num_samples) == (10, SIZE)
    assert tried.priors != rule_of(store).priors


def test_without_the_rule_groups_are_completed_and_the_papers_bands_hold(store: Path) -> None:
    engine = replay(store)
    run(store, engine)
    rest = run(store, replay(store), rule=StopRule.NONE)
    found = rates(store)
    assert rest.num_owed == 0
    assert found["pass_rate"].null_count() == 0
    by_id: Mapping[str, list[str]] = engine.scripts
    counts = [by_id[one][:G].count(C) for one in found["sample_id"]]
    assert found["band"].to_list() == [band(count, G, G).value for count in counts]


def test_a_mixture_of_the_paper_takes_what_is_sure_and_says_of_the_rest_that_it_is_not(
    store: Path, tmp_path: Path
) -> None:
    run(store, replay(store))
    config = make_config(tmp_path, BLIND)
    (reasoning,) = select(config, store, names=["reasoning"])
    found = rates(store)
    assert set(reasoning.sample_ids) == set(found.filter(band="medium")["sample_id"])
    assert reasoning.drops["unsure"] == found.filter(band="unprobed").height


def test_what_was_stopped_for_what_it_said_has_no_pass_rate_to_be_chosen_by(store: Path, tmp_path: Path) -> None:
    run(store, replay(store))
    config = make_config(tmp_path, BLIND)
    assert (rates(store)["num_rollouts"] == G).any()
    anything = config.mixtures["reasoning"].model_copy(update={"where": WhereConfig(pass_rate=(0.0, 1.0))})
    (reasoning,) = select(config.model_copy(update={"mixtures": {"reasoning": anything}}), store)
    assert reasoning.sample_ids == ()
    assert reasoning.drops == {"other-pass-rate": SIZE}


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "config.json").write_text("{}")
    return str(tmp_path / "policy")


@pytest.mark.parametrize("rule", StopRule)
def test_a_pilot_foresees_what_the_probe_will_make(
    store: Path,
    model: str,
    rule: StopRule,
    tmp_path: Path,
) -> None:
    config = make_config(tmp_path, BLIND)
    assert plan_probe(config, store, model, rule=rule).estimate is None
    pilot = make_pilot(config, store, model, Subset(), 60, engine=replay(store))
    plan = plan_probe(config, store, model, rule=rule)
    result = probe(config, store, model, rule=rule, engine=replay(store))

    told = plan.estimate
    assert told is not None
    assert (pilot.num_generated, told.num_measured) == (60 * 4, 60)
    assert told.rollouts.low <= result.num_generated <= told.rollouts.high <= plan.num_owed
    assert told.tokens.mean == pytest.approx(9 * told.rollouts.mean)
    assert told.seconds is not None
    assert told.seconds.low <= told.seconds.mean <= told.seconds.high
    if rule is StopRule.NONE:
        assert (told.rollouts.low, told.rollouts.high) == (100 * 4, 100 * 4)
    else:
        assert told.rollouts.high - told.rollouts.low < 0.5 * plan.num_owed
    assert plan_probe(config, store, model, rule=rule).num_owed == 0


def test_numbers_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="groups of 3 rollouts or more, not of 2"):
        Stopping(StopRule.POSTERIOR, 2)
    with pytest.raises(UsageError, match="`max_rollouts` 7 is less than `rollouts` 8"):
        Stopping(StopRule.POSTERIOR, 8, max_rollouts=7)
    with pytest.raises(UsageError, match="`confidence`"):
        Stopping(StopRule.POSTERIOR, 8, confidence=1.0)
    assert Stopping(StopRule.POSTERIOR, 8).most == 16
    assert Stopping(StopRule.EXACT, 8, max_rollouts=3).most == 8


def must_not_load_engine() -> Engine:
    class Never:
        name = "transformers"
        generate = staticmethod(must_not_load)

    return Never()  # type: ignore[return-value]
