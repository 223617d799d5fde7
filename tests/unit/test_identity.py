"""What makes a stage or an evaluation another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pebr_data.models import ResolvedModel
from pebr_train.identity import Identities
from pebr_train.recipe import Recipe, load_recipe
from tests import probed_store

RECIPE = """\
name: small
model: pebr-tiny
catalog: small.yaml
reward_models: {clip: pebr-tiny-clip}
stages:
  - {name: warmup, kind: sft, mixture: warmup, learning_rate: 1.0e-5, per_device_train_batch_size: 8}
  - name: perception
    kind: grpo
    mixture: perception
    learning_rate: 1.0e-6
    per_device_train_batch_size: 16
    rewards: [{name: similarity, weight: 1}]
evaluation: {split: test}
"""
BASE = ResolvedModel("pebr-tiny", "models/base", "0123", is_local=True)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    pytest.importorskip("trl")
    probed_store.make_config(tmp_path)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return load_recipe(path)[0]


def identities(recipe: Recipe, clip_revision: str = "aaaa") -> Identities:
    clip = ResolvedModel("clip", "models/clip", clip_revision, is_local=True)
    return Identities(recipe, probed_store.make_config(recipe.path.parent), BASE, clip)


def test_a_dual_encoder_of_the_same_name_with_other_content_makes_another_stage(recipe: Recipe) -> None:
    warmup, perception = recipe.stages
    before, after = identities(recipe, "aaaa"), identities(recipe, "bbbb")

    assert before.stage(perception)["clip"] == "clip aaaa" != after.stage(perception)["clip"]
    assert before.stage(warmup) == after.stage(warmup)


def test_the_seed_decides_what_is_trained_and_nothing_of_an_evaluation(recipe: Recipe) -> None:
    other = recipe.model_copy(update={"seed": 1})

    assert identities(recipe).stage(recipe.stages[0]) != identities(other).stage(other.stages[0])
    assert identities(recipe).evaluation("base") == identities(other).evaluation("base")
    assert identities(recipe).evaluation("warmup") != identities(other).evaluation("warmup")
