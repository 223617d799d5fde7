"""Shards, changed settings, and how far a probe is: what several runs of one probe know of each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.errors import BusyError, RefusedError, UsageError
from pebr_data.models import resolve_model
from pebr_data.probe.changed import require_unchanged
from pebr_data.probe.lock import held_shards, probe_lock
from pebr_data.probe.progress import read_progress
from pebr_data.probe.run import fingerprint_of, plan_probe, probe
from pebr_data.probe.shard import WHOLE, Shard, parse_shard
from pebr_data.probe.spool import SpoolWriter, segments
from pebr_data.types import Condition, Generation, RolloutKey
from tests.integration.test_probe import Scripted
from tests.probed_store import fill, make_config


@pytest.fixture
def store(tmp_path: Path) -> Path:
    fill(tmp_path / "store", {"train": 12, "test": 2})
    return tmp_path / "store"


@pytest.fixture
def config(tmp_path: Path) -> CatalogConfig:
    return make_config(tmp_path)


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "config.json").write_text("{}")
    return str(tmp_path / "policy")


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2", "1.0/2"])
def test_what_is_no_shard_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        parse_shard(text)


def test_shards_share_the_samples_out(store: Path, config: CatalogConfig, model: str) -> None:
    engines = [Scripted(), Scripted(), Scripted()]
    results = [
        probe(config, store, model, shard=parse_shard(f"{number}/3"), engine=engine)
        for number, engine in enumerate(engines, 1)
    ]
    made = [key for engine in engines for key in engine.made]
    assert len(made) == len(set(made)) == sum(result.num_generated for result in results) == 48
    assert len([result for result in results if result.num_samples]) > 1
    assert plan_probe(config, store, model).num_owed == 0


def test_shards_of_one_count_run_side_by_side_and_all_others_wait(tmp_path: Path) -> None:
    with probe_lock(tmp_path, Shard(1, 2)), probe_lock(tmp_path, Shard(2, 2)):
        assert sorted(held_shards(tmp_path)) == ["1-of-2", "2-of-2"]
        for other in (Shard(1, 2), Shard(1, 3), WHOLE):
            with pytest.raises(BusyError, match="is running this probe"), probe_lock(tmp_path, other):
                pass
    with probe_lock(tmp_path), pytest.raises(BusyError), probe_lock(tmp_path, Shard(1, 2)):
        pass
    assert held_shards(tmp_path) == {}


def test_two_spools_opened_at_once_are_two_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pebr_data.probe import spool

    looks = iter([[], [], [tmp_path / "000001.bin"]])
    monkeypatch.setattr(spool, "segments", lambda directory: next(looks))
    with SpoolWriter(tmp_path) as first, SpoolWriter(tmp_path) as second:
        assert (first.path.name, second.path.name) == ("000001.bin", "000002.bin")
    assert len(segments(tmp_path)) == 2


def test_settings_that_changed_are_named_and_refused(store: Path, config: CatalogConfig, model: str) -> None:
    require_unchanged(config, store, model)
    probe(config, store, model, limit=1, num_rollouts=1, engine=Scripted())
    require_unchanged(config, store, model)
    hotter = changed(config, temperature=1.0, top_p=0.9)

    with pytest.raises(RefusedError, match=r"temperature 1\.2 -> 1\.0, top_p 0\.99 -> 0\.9;") as caught:
        require_unchanged(hotter, store, model)

    assert "--new" in str(caught.value.help)
    probe(hotter, store, model, limit=1, num_rollouts=1, engine=Scripted())
    require_unchanged(hotter, store, model)
    with pytest.raises(RefusedError, match=r"other settings: temperature 1\.0 -> 0\.5;"):
        require_unchanged(changed(hotter, temperature=0.5), store, model)


def test_another_model_split_or_condition_is_no_change(
    store: Path, config: CatalogConfig, model: str, tmp_path: Path
) -> None:
    probe(config, store, model, limit=1, num_rollouts=1, engine=Scripted())
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "config.json").write_text('{"trained": true}')
    greedy = changed(config, temperature=0.0)

    require_unchanged(greedy, store, str(tmp_path / "trained"))
    require_unchanged(greedy, store, model, "test")
    require_unchanged(changed(config, condition=Condition.BLIND), store, model)
    with pytest.raises(RefusedError):
        require_unchanged(greedy, store, model)


def test_a_run_can_be_followed_from_its_directory(store: Path, config: CatalogConfig, model: str) -> None:
    directory = store / "probes" / fingerprint_of(config, resolve_model(model)).probe_id
    seen: list[Any] = []

    class Watched(Scripted):
        def generation(self, key: RolloutKey) -> Generation:
            if len(self.made) == 20:
                seen.extend([read_progress(directory), held_shards(directory)])
            return super().generation(key)

    probe(config, store, model, engine=Watched())

    (begun,), held = seen
    assert (begun.num_done, begun.num_wanted, begun.rate, list(held)) == (0, 48, None, ["1-of-1"])
    (ended,) = read_progress(directory)
    assert (ended.num_done, ended.num_generated, ended.num_tokens) == (48, 48, 48 * 9)
    assert sum(ended.outcomes.values()) == 48
    assert ended.rate == pytest.approx(48 / ended.seconds)
    assert ended.seconds_left == 0
    assert held_shards(directory) == {}
    (directory / "run-1-of-1.json").write_text(json.dumps({"torn": 1}))
    assert read_progress(directory) == []


def test_usage_counts_what_was_made_of_a_catalog(store: Path, config: CatalogConfig, model: str) -> None:
    result = probe(config, store, model, engine=Scripted())
    with Catalog.open(store, read_only=True) as catalog:
        usage = catalog.usage(result.probe_id, "small")
    assert (usage.outcomes, usage.num_rollouts) == (dict(result.outcomes), 48)
    assert (usage.num_tokens, usage.num_prompt_tokens) == (48 * 9, 48 * 30)


def changed(config: CatalogConfig, **settings: object) -> CatalogConfig:
    return config.model_copy(update={"probe": config.probe.model_copy(update=settings)})
