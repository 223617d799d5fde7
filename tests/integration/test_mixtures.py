"""The data of a stage that is resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pebr_data.catalog.connection import CATALOG_FILE
from pebr_data.errors import RefusedError
from pebr_data.export.shards import export
from pebr_data.select.mixture import select
from pebr_train.interrupts import Interrupts
from pebr_train.mixtures import Mixtures
from pebr_train.recipe import Recipe, SftStage
from pebr_train.voice import Voice
from tests import probed_store

STAGE = SftStage(kind="sft", name="warmup", mixture="warmup", learning_rate=1e-5, per_device_train_batch_size=1)


def never(label: str) -> str:
    raise AssertionError(f"the model {label} was asked for")


@pytest.fixture
def mixtures(tmp_path: Path) -> Mixtures:
    config = probed_store.make_config(tmp_path)
    recipe = Recipe(name="small", model="m", catalog=config.path, stages=(STAGE,), path=tmp_path / "recipe.yaml")
    return Mixtures(recipe, config, tmp_path / "store", never, Voice(), Interrupts("again"))


def test_it_gets_the_very_mixture_it_began_with_though_another_would_be_selected_now(mixtures: Mixtures) -> None:
    first, second = probed_store.fill(mixtures.store, {"train": 2})
    probe_id = probed_store.probe(mixtures.store, {first: probed_store.group(0)})
    (before,) = select(mixtures.config, mixtures.store, probe_id=probe_id, names=["warmup"])
    content = export(mixtures.store, before).content
    probed_store.probe(mixtures.store, {second: probed_store.group(0)})
    (now,) = select(mixtures.config, mixtures.store, probe_id=probe_id, names=["warmup"])
    assert now.mixture_id != before.mixture_id

    reopened = mixtures.reopen(STAGE, before.mixture_id)

    assert (reopened.mixture_id, reopened.content, reopened.num_samples) == (before.mixture_id, content, 1)


def test_it_is_refused_when_the_store_has_that_mixture_no_more(mixtures: Mixtures) -> None:
    probed_store.fill(mixtures.store, {"train": 1})
    with pytest.raises(RefusedError, match=r"half trained on the mixture warmup \(feed\).*no mixture feed"):
        mixtures.reopen(STAGE, "feed")
    (mixtures.store / CATALOG_FILE).unlink()
    with pytest.raises(RefusedError, match=r"half trained on the mixture warmup \(feed\)"):
        mixtures.reopen(STAGE, "feed")


def test_shards_of_another_framework_s_format_are_refused(mixtures: Mixtures) -> None:
    (sample_id,) = probed_store.fill(mixtures.store, {"train": 1})
    probed_store.probe(mixtures.store, {sample_id: probed_store.group(0)})
    (mixture,) = select(mixtures.config, mixtures.store, names=["warmup"])
    directory = export(mixtures.store, mixture, format="verl").directory
    stage = STAGE.model_copy(update={"mixture": None, "shards": directory})
    for open_it in (mixtures.open, lambda stage: mixtures.reopen(stage, mixture.mixture_id)):
        with pytest.raises(RefusedError, match="the format 'verl', and 'trl' is needed"):
            open_it(stage)
