"""The stages on a real, tiny Idefics3 with TRL's real trainers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pebr_data.config import CatalogConfig
from pebr_data.errors import ConfigError, DataError
from pebr_data.export.shards import export
from pebr_data.manifest import Manifest, load_manifest
from pebr_data.models import ResolvedModel, resolve_model
from pebr_data.select.mixture import select
from pebr_train import metrics
from pebr_train.checkpoints import newest_complete
from pebr_train.recipe import GrpoStage, SftStage
from pebr_train.rundir import StageDir
from pebr_train.stages.base import StageRequest
from tests import probed_store
from tests.tiny_vlm import EOS, save_idefics3

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # what transformers, TRL and accelerate warn of is not ours to mend
]

SFT: dict[str, Any] = {
    "kind": "sft",
    "name": "warmup",
    "mixture": "warmup",
    "learning_rate": 1e-3,
    "max_steps": 4,
    "per_device_train_batch_size": 2,
    "save_steps": 2,
    "gradient_checkpointing": False,
}
GRPO: dict[str, Any] = {
    "kind": "grpo",
    "name": "perception",
    "mixture": "perception",
    "learning_rate": 1e-3,
    "max_steps": 4,
    "per_device_train_batch_size": 8,
    "num_generations": 4,
    "save_steps": 2,
    "gradient_checkpointing": False,
    "rewards": [
        {"name": "length", "weight": 1.0, "params": {"max_tokens": 6}},
        {"name": "accuracy", "weight": 0.0},
    ],
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ResolvedModel:
    return resolve_model(save_idefics3(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="module")
def mixtures(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Manifest]:
    directory = tmp_path_factory.mktemp("data")
    text = probed_store.YAML.replace("max_completion_length: 64", "max_completion_length: 12")
    config: CatalogConfig = probed_store.make_config(directory, text)
    store = directory / "store"
    ids = probed_store.fill(store, {"train": 15})
    policy = probed_store.fingerprint(max_completion_length=12)
    outcomes = {sample_id: probed_store.group((0, 2, 4)[place % 3]) for place, sample_id in enumerate(ids)}
    probe_id = probed_store.probe(store, outcomes, policy)
    chosen = select(config, store, probe_id=probe_id)
    return {mixture.name: load_manifest(export(store, mixture).directory) for mixture in chosen}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sft(request: StageRequest) -> int:
    from pebr_train.stages.warmup import train_sft

    assert isinstance(request.stage, SftStage)
    return train_sft(request.stage, request)


def grpo(request: StageRequest) -> int:
    from pebr_train.stages.grpo import train_grpo

    assert isinstance(request.stage, GrpoStage)
    return train_grpo(request.stage, request)


def sft_request(directory: Path, model: ResolvedModel, manifest: Manifest, **settings: Any) -> StageRequest:
    stage = SftStage.model_validate({**SFT, **settings})
    return StageRequest(stage, 0, 1, model, manifest, StageDir(directory / stage.name))


def grpo_request(directory: Path, model: ResolvedModel, manifest: Manifest, **settings: Any) -> StageRequest:
    stage = GrpoStage.model_validate({**GRPO, **settings})
    return StageRequest(stage, 0, 1, model, manifest, StageDir(directory / stage.name))


def weights(directory: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(directory / "model.safetensors"))


def parts_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    return {name.split(".")[1] for name in before if not torch.equal(before[name].float(), after[name].float())}


def stop_after(steps: int, directory: StageDir) -> Any:
    return lambda: sum(1 for _ in metrics.read(directory.metrics)) >= steps - 1


def test_warm_up_trains_the_language_model_and_leaves_frozen_parts_bit_for_bit(
    tmp_path: Path, model: ResolvedModel, mixtures: Mapping[str, Manifest]
) -> None:
    request = sft_request(tmp_path, model, mixtures["warmup"], freeze=["vision_tower", "projector"])

    assert sft(request) == 4

    changed = parts_changed(weights(Path(model.location)), weights(request.directory.final))
    assert "text_model" in changed
    assert changed.isdisjoint({"vision_model", "connector"})
    assert [line["step"] for line in metrics.read(request.directory.metrics)] == [1, 2, 3, 4]
    # The processor goes with the model: the directory is all that the next stage and the next probe need.
    assert resolve_model(request.directory.final).revision != model.revision
    assert (request.directory.final / "processor_config.json").is_file()


def test_without_freeze_every_part_is_trained(
    tmp_path: Path, model: ResolvedModel, mixtures: Mapping[str, Manifest]
) -> None:
    request = sft_request(tmp_path, model, mixtures["warmup"], max_steps=1)

    sft(request)

    changed = parts_changed(weights(Path(model.location)), weights(request.directory.final))
    assert {"vision_model", "connector", "text_model"} <= changed


def test_a_warm_up_without_reference_responses_is_refused(
    tmp_path: Path, model: ResolvedModel, mixtures: Mapping[str, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pebr_train import dataset

    rows = dataset._rows

    def without(manifest: Manifest, cache: Path) -> Any:
        return rows(manifest, cache).map(lambda row: {"response": None})

    monkeypatch.setattr(dataset, "_rows", without)
    with pytest.raises(DataError, match="5 of 5 samples have no reference response"):
        sft(sft_request(tmp_path, model, mixtures["warmup"]))


def test_grpo_keeps_every_completion_and_logs_each_reward_by_itself(
    tmp_path: Path, model: ResolvedModel, mixtures: Mapping[str, Manifest]
) -> None:
    import polars as pl

    request = grpo_request(tmp_path, model, mixtures["perception"])

    assert grpo(request) == 4

    rollouts = pl.read_parquet(request.directory.rollouts / "*.parquet")
    key = ["step", "prompt_index", "generation_index"]
    assert rollouts.height == rollouts.select(key).unique().height == 4 * 8
    assert (
        rollouts.group_by("step", "prompt_index").agg(pl.col("sample_id").n_unique())["sample_id"].to_list() == [1] * 8
    )
    assert set(rollouts["finish_reason"]) <= {"stop", "length"}
    assert rollouts["num_tokens"].max() <= 12
    lines = list(metrics.read(request.directory.metrics))
    for line, (_, rows) in zip(lines, rollouts.sort("step").group_by("step", maintain_order=True), strict=True):
        assert line["rewards/length/mean"] == pytest.approx(rows["reward_length"].mean(), abs=1e-6)
        assert line["rewards/length/std"] == pytest.approx(rows["reward_length"].std(), abs=1e-6)
        spreads = rows.group_by("prompt_index").agg(pl.col("reward_length").max() - pl.col("reward_length").min())
        dead = (spreads["reward_length"] == 0).mean()
        assert line["rewards/length/zero_variance_share"] == pytest.approx(dead)
        # Accuracy has no weight here and no completion is right: every group is dead for it, and it says so.
        assert line["rewards/accuracy/zero_variance_share"] == 1.0
        assert line["reward"] == pytest.approx(rows["reward"].mean(), abs=1e-6)


def test_grpo_takes_a_model_without_a_generation_config(
    tmp_path: Path, model: ResolvedModel, mixtures: Mapping[str, Manifest]
) -> None:
    from pebr_train.stages.grpo import _generation_config

    bare = Path(shutil.copytree(model.location, tmp_path / "bare"))
    (bare / "generation_config.json").unlink()
    assert _generation_config(resolve_model(bare)).eos_token_id == EOS

    assert grpo(grpo_request(tmp_path, resolve_model(bare), mixtures["perception"], max_steps=1)) == 1


def test_groups_are_not_sampled_at_temperature_0(
    tmp_path: Path, model: ResolvedModel, mixtures: Mapping[str, Manifest]
) -> None:
    greedy = mixtures["perception"].model_copy(update={"fingerprint": {"template": "question", "temperature": 0.0}})

    with pytest.raises(DataError, match="probed at temperature 0"):
        grpo(grpo_request(tmp_path, model, greedy.at(tmp_path)))


def test_grpo_samples_as_the_probe_did(tmp_path: Path, model: ResolvedModel, mixtures: Mapping[str, Manifest]) -> None:
    from pebr_train.stages.grpo import _config

    request = grpo_request(tmp_path, model, mixtures["perception"])
    assert isinstance(request.stage, GrpoStage)

    config = _config(request.stage, request)

    assert (config.temperature, config.top_p, config.max_completion_length) == (1.2, 0.99, 12)
    assert (config.top_k, config.min_p, config.repetition_penalty) == (0, None, 1.0)


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_a_stage_stopped_and_resumed_ends_where_an_uninterrupted_one_does(
    tmp_path: Path, model: ResolvedModel, mixtures: Mapping[str, Manifest], kind: str
) -> None:
    make, train, name = (sft_request, sft, "warmup") if kind == "sft" else (grpo_request, grpo, "perception")
    # Five samples, so that the six steps reach into a second and a third epoch.
    whole = make(tmp_path / "whole", model, mixtures[name], max_steps=6)
    train(whole)
    first = make(tmp_path / "parts", model, mixtures[name], max_steps=6)

    assert train(replace(first, stop_requested=stop_after(3, first.directory))) == 3
    assert not first.directory.final.exists()
    checkpoint, torn = newest_complete(first.directory.checkpoints)
    assert checkpoint is not None and checkpoint.step == 3 and not torn
    assert train(replace(first, checkpoint=checkpoint)) == 6

    resumed, uninterrupted = weights(first.directory.final), weights(whole.directory.final)
    assert all(torch.allclose(resumed[name], uninterrupted[name], atol=1e-6) for name in uninterrupted)
    assert [line["step"] for line in metrics.read(first.directory.metrics)] == [1, 2, 3, 4, 5, 6]


def test_a_kill_between_the_last_checkpoint_and_the_final_model_costs_no_step(
    tmp_path: Path, model: ResolvedModel, mixtures: Mapping[str, Manifest]
) -> None:
    request = grpo_request(tmp_path, model, mixtures["perception"])
    grpo(request)
    before = weights(request.directory.final)
    shutil.rmtree(request.directory.final)
    checkpoint, _ = newest_complete(request.directory.checkpoints)

    assert grpo(replace(request, checkpoint=checkpoint)) == 4

    assert parts_changed(before, weights(request.directory.final)) == set()
    assert len(list(metrics.read(request.directory.metrics))) == 4


def test_a_stop_waits_for_the_end_of_a_generation_batch(
    tmp_path: Path, model: ResolvedModel, mixtures: Mapping[str, Manifest]
) -> None:
    request = grpo_request(tmp_path, model, mixtures["perception"], generation_batch_size=16)

    assert grpo(replace(request, stop_requested=lambda: True)) == 2


def test_what_trl_refuses_is_told_as_a_mistake_in_the_recipe(
    tmp_path: Path, model: ResolvedModel, mixtures: Mapping[str, Manifest]
) -> None:
    request = grpo_request(tmp_path, model, mixtures["perception"], trl={"lr_scheduler_kwargs": 3, "optim": "nonsense"})

    with pytest.raises(ConfigError, match="TRL refuses the settings of the stage perception"):
        grpo(request)


def test_a_mixture_smaller_than_one_generation_batch_is_refused(
    tmp_path: Path, model: ResolvedModel, mixtures: Mapping[str, Manifest]
) -> None:
    request = grpo_request(tmp_path, model, mixtures["perception"], generation_batch_size=64, save_steps=8)

    with pytest.raises(DataError, match="5 samples, fewer than the 16 prompts"):
        grpo(request)
