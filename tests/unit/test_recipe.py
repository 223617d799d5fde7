from __future__ import annotations

from pathlib import Path

import pytest

from pebr_data.errors import ConfigError
from pebr_train.recipe import GrpoStage, load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"

CATALOG = """\
name: small
sources:
  - {name: made, type: shapes, splits: {train: 8, test: 4}}
mixtures:
  warmup: {policy: pebr, band: hard}
  perception: {policy: pebr, band: easy}
"""

RECIPE = """\
name: small
model: pebr-tiny
catalog: small.yaml
reward_models: {clip: pebr-tiny-clip}
stages:
  - name: warmup
    kind: sft
    mixture: warmup
    learning_rate: 1.0e-5
    per_device_train_batch_size: 8
  - name: perception
    kind: grpo
    mixture: perception
    learning_rate: 1.0e-6
    per_device_train_batch_size: 16
    rewards:
      - {name: similarity, weight: 0.4, params: {ceiling: 0.3}}
      - {name: accuracy, weight: 0}
evaluation: {split: test}
"""


def write(directory: Path, text: str = RECIPE, catalog: str = CATALOG) -> Path:
    (directory / "small.yaml").write_text(catalog, encoding="utf-8")
    path = directory / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    return caught.value.problems


def test_a_recipe_becomes_typed_stages_with_the_papers_defaults(tmp_path: Path) -> None:
    recipe, config = load_recipe(write(tmp_path))

    perception = recipe.stages[1]
    assert isinstance(perception, GrpoStage)
    assert (perception.num_generations, perception.beta, perception.epsilon_high) == (8, 0.01, 0.3)
    assert perception.use_bias_correction_kl is False
    assert config.name == "small"


def test_rl_stages_go_by_the_warmed_up_models_probe_unless_told_otherwise(tmp_path: Path) -> None:
    recipe, _ = load_recipe(write(tmp_path))
    other, _ = load_recipe(
        write(tmp_path, RECIPE.replace("mixture: perception", "mixture: perception\n    probe: base"))
    )

    assert [recipe.probe_of(stage) for stage in recipe.stages] == ["base", "warmup"]
    assert other.probe_of(other.stages[1]) == "base"


def test_every_stage_is_evaluated_unless_told_otherwise(tmp_path: Path) -> None:
    recipe, _ = load_recipe(write(tmp_path))
    fewer, _ = load_recipe(write(tmp_path, RECIPE.replace("{split: test}", "{split: test, at: [perception, base]}")))

    assert recipe.evaluated == ("base", "warmup", "perception")
    assert fewer.evaluated == ("base", "perception")


def test_all_mistakes_are_told_at_once_with_their_lines_and_the_nearest_right_name(tmp_path: Path) -> None:
    text = RECIPE.replace("name: similarity, weight: 0.4, params: {ceiling: 0.3}", "name: similarty, weight: 0.4")
    text = text.replace("mixture: warmup", "mixture: warmpu").replace("split: test", "split: test, at: [reasoning]")
    text = text.replace("{name: accuracy, weight: 0}", "{name: length, weight: 1, params: {max_token: 3}}")

    found = problems(write(tmp_path, text))

    assert [line.removeprefix(str(tmp_path)) for line in found] == [
        "/recipe.yaml:8: the catalog small has no mixture `warmpu`; did you mean `warmup`?",
        "/recipe.yaml:17: there is no reward `similarty`; did you mean `similarity`?",
        "/recipe.yaml:18: `max_token`: Extra inputs are not permitted; did you mean `max_tokens`?",
        "/recipe.yaml:19: `reasoning` is no stage; expected some of base, warmup, perception",
    ]


def test_a_broken_catalog_is_told_in_the_same_breath(tmp_path: Path) -> None:
    path = write(tmp_path, RECIPE.replace("weight: 0}", "weight: -1}"), CATALOG)
    assert len(problems(path)) == 1

    found = problems(write(tmp_path, RECIPE, CATALOG.replace("band: hard", "bandd: hard")))

    assert any("small.yaml:5" in line and "band" in line for line in found)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("scale_reward: none", "is no setting of the installed TRL's GRPOConfig; did you mean `scale_rewards`?"),
        ("temperature: 0.7", "`temperature` cannot be set: the catalog's `probe` decides it"),
        ("output_dir: here", "`output_dir` cannot be set: the run directory decides it"),
        ("beta: 0.1", "`beta` is a key of the stage itself: move it out of `trl`"),
    ],
)
def test_what_passes_through_to_trl_is_checked_against_the_installed_trl(
    tmp_path: Path, setting: str, message: str
) -> None:
    text = RECIPE.replace("    rewards:", f"    trl:\n      {setting}\n    rewards:")

    (found,) = problems(write(tmp_path, text))

    assert found.startswith(f"{tmp_path}/recipe.yaml:17:") and message in found


def test_a_setting_that_trl_has_passes_through(tmp_path: Path) -> None:
    text = RECIPE.replace("    rewards:", "    trl: {scale_rewards: none, dataloader_num_workers: 2}\n    rewards:")

    recipe, _ = load_recipe(write(tmp_path, text))

    assert recipe.stages[1].trl == {"scale_rewards": "none", "dataloader_num_workers": 2}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("num_generations: 5", "16 completions an update"),
        ("generation_batch_size: 24", "24 must be divisible by the 16 completions an update"),
        ("generation_batch_size: 64\n    save_steps: 6", "6 must be a multiple of the 4 steps"),
    ],
)
def test_batches_that_do_not_divide_are_refused_at_load(tmp_path: Path, extra: str, message: str) -> None:
    text = RECIPE.replace("    rewards:", f"    {extra}\n    rewards:")

    assert any(message in line for line in problems(write(tmp_path, text)))


def test_a_group_sampled_at_temperature_0_is_refused_and_a_warm_up_alone_is_not(tmp_path: Path) -> None:
    catalog = CATALOG.replace("mixtures:", "probe: {temperature: 0}\nmixtures:")

    (found,) = problems(write(tmp_path, RECIPE, catalog))

    assert found.startswith(f"{tmp_path}/recipe.yaml:12: `grpo` cannot learn: at `probe.temperature: 0` in ")
    load_recipe(write(tmp_path, RECIPE[: RECIPE.index("  - name: perception")], catalog))


def test_similarity_without_an_encoder_is_refused(tmp_path: Path) -> None:
    (found,) = problems(write(tmp_path, RECIPE.replace("reward_models: {clip: pebr-tiny-clip}\n", "")))

    assert "`similarity` needs `reward_models.clip`" in found


def test_a_stage_has_one_origin_of_its_data(tmp_path: Path) -> None:
    (neither,) = problems(write(tmp_path, RECIPE.replace("    mixture: warmup\n", "")))
    (both,) = problems(write(tmp_path, RECIPE.replace("    mixture: warmup\n", "    mixture: warmup\n    shards: x\n")))

    assert "a stage needs either `mixture`" in neither and "a stage needs either `mixture`" in both


def test_directories_are_relative_to_the_recipe_and_hub_ids_are_left_alone(tmp_path: Path) -> None:
    model = tmp_path / "models" / "mine"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}", encoding="utf-8")
    recipe, _ = load_recipe(write(tmp_path))

    assert recipe.model_reference("models/mine") == str(model)
    assert recipe.model_reference("../elsewhere") == str((tmp_path / "../elsewhere").resolve())
    assert recipe.model_reference("Qwen/Qwen2.5-VL-7B-Instruct") == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert recipe.model_reference("pebr-tiny") == "pebr-tiny"


@pytest.mark.parametrize(
    "name", sorted(path.name for path in RECIPES.glob("*.yaml") if not path.name.startswith("pretrain"))
)
def test_every_shipped_recipe_is_valid(name: str) -> None:
    load_recipe(RECIPES / name)


def test_paths_beside_the_recipe_are_told_plainly_unless_a_link_is_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "catalogs").mkdir()
    write(tmp_path / "catalogs")
    path = write(tmp_path / "recipes", RECIPE.replace("small.yaml", "../catalogs/small.yaml"))
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "linked").symlink_to(tmp_path / "recipes")

    plain, config = load_recipe(path)
    linked, _ = load_recipe(tmp_path / "deep" / "er" / "linked" / "recipe.yaml")

    assert plain.catalog_path == config.path == tmp_path / "catalogs" / "small.yaml"
    assert linked.catalog_path == tmp_path / "deep" / "er" / "linked" / ".." / "catalogs" / "small.yaml"
