"""Choosing by expected signal, and what the first pass over any mixture will show: a store with known pass rates."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.errors import ConfigError
from pebr_data.select.forecast import forecast_mixtures
from pebr_data.select.mixture import frozen, frozen_config, preview, select
from pebr_data.types import Mixture
from tests.drawn_store import NUM_SAMPLES, SIGNAL, draw_store
from tests.probed_store import YAML, make_config


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """The store, and the truth."""
    store = tmp_path_factory.mktemp("signal") / "store"
    return store, draw_store(store)


@pytest.fixture
def store(template: tuple[Path, dict[str, float]], tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(template[0], tmp_path / "store"))


def sources_of(store: Path, mixture: Mixture) -> Counter[str]:
    with Catalog.open(store, read_only=True) as catalog:
        return Counter(sample.source for sample in catalog.samples(sample_ids=mixture.sample_ids))


def test_the_first_pass_comes_true_within_its_interval_for_every_policy(
    template: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    store, truth = template
    config = make_config(tmp_path, SIGNAL)
    rates, choices = preview(config, store)

    foreseen = forecast_mixtures(config, store, rates, {name: one.kept for name, one in choices.items()})

    rng = np.random.default_rng(2)
    for name in ("reasoning", "best", "best_control", "steady", "counting"):
        seen = foreseen[name]
        assert seen is not None
        p = np.array([truth[one] for one in choices[name].kept])
        correct = rng.binomial(seen.first_pass.group_size, p)
        zero = np.mean((correct == 0) | (correct == seen.first_pass.group_size))
        reward = np.mean(correct / seen.first_pass.group_size)
        assert seen.first_pass.zero_variance.low <= zero <= seen.first_pass.zero_variance.high, name
        assert seen.first_pass.mean_reward.low <= reward <= seen.first_pass.mean_reward.high, name
        assert seen.completion_tokens.mean == pytest.approx(5)
    best, control = foreseen["best"], foreseen["best_control"]
    assert best is not None
    assert control is not None
    assert best.first_pass.zero_variance.high < control.first_pass.zero_variance.low


def test_signal_keeps_the_mixed_groups_and_says_why_the_others_are_out(store: Path, tmp_path: Path) -> None:
    (best,) = select(make_config(tmp_path, SIGNAL), store, names=["best"])
    with Catalog.open(store, read_only=True) as catalog:
        correct = dict(catalog.bands(best.probe_id or "", 8, "small").select("sample_id", "num_correct").iter_rows())
    assert len(best.sample_ids) == 60
    assert best.drops == {"over-limit": NUM_SAMPLES - 60}
    assert {correct[one] for one in best.sample_ids} <= {2, 3, 4, 5, 6}


def test_a_threshold_is_held_under_the_trainings_own_group(store: Path, tmp_path: Path) -> None:
    (steady,) = select(make_config(tmp_path, SIGNAL), store, names=["steady"])
    with Catalog.open(store, read_only=True) as catalog:
        rates = catalog.pass_rates(steady.probe_id or "", 8, "small", num_generations=4)
    assert set(rates.filter(rates["informative"] >= 0.65)["sample_id"]) == set(steady.sample_ids)
    assert steady.drops == {"below-threshold": NUM_SAMPLES - len(steady.sample_ids)}
    assert set(rates["prior"]) == {"fitted to 160 samples", "fitted to 80 samples"}


def test_where_and_caps_leave_out_with_a_reason(store: Path, tmp_path: Path) -> None:
    (counting,) = select(make_config(tmp_path, SIGNAL), store, names=["counting"])
    assert len(counting.sample_ids) == 24
    assert sources_of(store, counting) == {"other": 24}
    assert counting.drops["other-source"] == 160
    assert counting.drops["skill-cap"] == 80 - 24


def test_the_control_has_as_many_samples_of_each_source(store: Path, tmp_path: Path) -> None:
    best, control = select(make_config(tmp_path, SIGNAL), store, names=["best", "best_control"])
    assert sources_of(store, control) == sources_of(store, best)
    assert set(control.sample_ids) != set(best.sample_ids)
    assert control.drops == {"not-drawn": NUM_SAMPLES - 60}


def test_a_choice_by_signal_is_frozen_with_its_priors_and_found_again(store: Path, tmp_path: Path) -> None:
    config = make_config(tmp_path, SIGNAL)
    first = select(config, store)
    with Catalog.open(store, read_only=True):
        # Another reader would make a write wait, and with it fail this test.
        assert select(config, store) == first
    assert frozen(config, store) == first
    best = next(one for one in first if one.name == "best")
    assert [one["reason"] for one in best.config["priors"]] == ["fitted to 160 samples", "fitted to 80 samples"]


def test_what_is_frozen_of_a_mixture_without_the_newer_keys_is_what_it_was(store: Path, tmp_path: Path) -> None:
    config = make_config(tmp_path, SIGNAL)
    (reasoning,) = select(config, store, names=["reasoning"])
    assert dict(reasoning.config) == {
        "policy": "pebr", "band": "medium", "match": None, "split": "train", "limit": None, "seed": 0, "rollouts": 8,
        "grader_version": "test-1",
    }  # fmt: skip
    rates, _ = preview(config, store, names=["best"])
    assert "control" not in frozen_config(config, "best", rates.probe, rates)


@pytest.mark.parametrize(
    ("mixture", "said"),
    [
        ("{policy: signal}", "needs `limit`"),
        ("{policy: pebr, band: easy, threshold: 0.5}", "`threshold` belongs"),
        ("{policy: random, match: reasoning, caps: {source: 2}}", "`caps` and `cover` are those"),
        ("{policy: diagnosis}", "needs a `diagnosis`"),
        ("{policy: pebr, band: easy, cover: skill}", "they need a `limit`"),
        ("{policy: all, where: {pass_rate: [0.9, 0.1]}}", "the least and the largest"),
        ("{policy: random, limit: 2, control: true}", "`control` belongs"),
        ("{policy: signal, limit: 2, control: true}\n  odd_control: {policy: all}", "is there already"),
    ],
)
def test_what_cannot_be_meant_is_told(tmp_path: Path, mixture: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(tmp_path, YAML + f"  odd: {mixture}\n")
    assert said in str(caught.value.problems)
