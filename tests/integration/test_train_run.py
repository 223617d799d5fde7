"""`pebr-train run` from nothing to a report, killed and run again, on a real, tiny Idefics3."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pebr_train import metrics
from pebr_train.checkpoints import newest_complete
from pebr_train.rundir import RunDir
from tests.tiny_vlm import save_idefics3

pytest.importorskip("trl")
pytestmark = pytest.mark.slow

CATALOG = """\
name: trial
sources:
  - {name: shapes, type: shapes, seed: 0, splits: {train: 24, test: 6}}
probe: {template: question, max_completion_length: 12, rollouts: 4}
mixtures:
  warmup: {policy: pebr, band: hard}
  perception: {policy: random, limit: 12}
  reasoning: {policy: random, limit: 12, seed: 1}
"""
RECIPE = """\
name: trial
model: ./model
catalog: trial.yaml
stages:
  - name: warmup
    kind: sft
    mixture: warmup
    freeze: [vision_tower, projector]
    learning_rate: 1.0e-3
    max_steps: 3
    per_device_train_batch_size: 4
    gradient_checkpointing: false
  - name: perception
    kind: grpo
    mixture: perception
    learning_rate: 1.0e-3
    max_steps: 3
    per_device_train_batch_size: 8
    num_generations: 4
    gradient_checkpointing: false
    rewards: [{name: length, weight: 1, params: {max_tokens: 6}}, {name: accuracy, weight: 0}]
  - name: reasoning
    kind: grpo
    mixture: reasoning
    learning_rate: 1.0e-3
    max_steps: 12
    per_device_train_batch_size: 8
    num_generations: 4
    gradient_checkpointing: false
    save_steps: 2
    rewards: [{name: length, weight: 0.9, params: {max_tokens: 6}}, {name: accuracy, weight: 0.1}]
evaluation: {split: test, num_samples: 2, at: [base, reasoning]}
"""
REASONING_STEPS = 12

# `pebr-train`, which in its last stage goes no further than the eighth step before a file is there.
HELD = """
import sys, time
from pathlib import Path
from pebr_train import metrics
from pebr_train.cli import main
append, gate = metrics.append, Path(sys.argv.pop(1))
def held(path, step, values):
    append(path, step, values)
    while path.parent.name == "reasoning" and step == 8 and not gate.exists():
        time.sleep(0.01)
metrics.append = held
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("world")
    save_idefics3(directory / "model")
    (directory / "trial.yaml").write_text(CATALOG, encoding="utf-8")
    (directory / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return directory


def command(world: Path, runs: str, *extra: str) -> list[str]:
    return [
        sys.executable, "-m", "pebr_train", "run", str(world / "recipe.yaml"),
        "--store", str(world / "store"), "--runs", str(world / runs), *extra,
    ]  # fmt: skip


def environment() -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def train(world: Path, runs: str, *extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(world, runs, *extra), capture_output=True, text=True, check=False, env=environment(), timeout=600
    )


@pytest.fixture(scope="module")
def finished(world: Path) -> RunDir:
    ended = train(world, "whole", "--json")
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert said["trained"] == ["warmup", "perception", "reasoning"]
    assert said["evaluated"] == ["base", "reasoning"]
    return RunDir(world / "whole" / "trial")


def interrupted_at(world: Path, runs: str, when: Callable[[RunDir], bool], number: signal.Signals) -> tuple[int, str]:
    """Start a run, send it a signal once `when` holds, and give its exit code and what it said.

    All before the last stage is that of the finished run. It cannot end before the signal has come, however late.
    """
    run, gate = RunDir(world / runs / "trial"), world / f"{runs} goes on"
    of_the_last = shutil.ignore_patterns("reasoning", "reasoning.json", "report.html")
    shutil.copytree(world / "whole" / "trial", run.path, ignore=of_the_last)
    with subprocess.Popen(
        [sys.executable, "-c", HELD, str(gate), *command(world, runs)[3:]],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(),
    ) as process:  # fmt: skip
        while not when(run) and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(number)
        gate.touch()
        _, said = process.communicate(timeout=600)
        return process.returncode, said


def in_reasoning(run: RunDir) -> bool:
    checkpoint, _ = newest_complete(run.stage("reasoning").checkpoints)
    return checkpoint is not None and checkpoint.step >= 4


def counts(run: RunDir) -> dict[str, Any]:
    import polars as pl

    rollouts = pl.read_parquet(run.stage("reasoning").rollouts / "*.parquet")
    key = ["step", "prompt_index", "generation_index"]
    assert rollouts.height == rollouts.select(key).unique().height
    return {
        "rollouts": rollouts.height,
        "steps": [line["step"] for line in metrics.read(run.stage("reasoning").metrics)],
        "done": json.loads(run.stage("reasoning").done.read_text())["optimizer_steps"],
    }


def test_a_run_ends_with_every_stages_model_its_evaluations_and_a_report(finished: RunDir) -> None:
    for stage in ("warmup", "perception", "reasoning"):
        assert (finished.stage(stage).final / "model.safetensors").is_file()
        assert not finished.stage(stage).checkpoints.exists()
    drawn = finished.report.read_text(encoding="utf-8")
    assert "mean of length" in drawn and "zero-variance share of length" in drawn
    assert "zero-variance share of reward" in drawn
    assert "stage reasoning: 12 steps" in (finished.path / "logs" / "attempt_001.log").read_text()
    assert json.loads(finished.recipe.read_text())["name"] == "trial"
    assert sorted(path.name for path in (finished.path / "evaluations").iterdir()) == ["base.json", "reasoning.json"]
    assert counts(finished) == {"rollouts": 12 * 8, "steps": list(range(1, 13)), "done": 12}


def test_the_rl_mixtures_go_by_the_warmed_up_models_probe_and_the_warm_up_by_the_bases(finished: RunDir) -> None:
    probes = {
        stage: json.loads(finished.stage(stage).done.read_text())["probe_id"]
        for stage in ("warmup", "perception", "reasoning")
    }

    assert probes["warmup"] != probes["perception"] == probes["reasoning"]


def test_the_last_stage_is_foreseen_as_the_one_before_has_changed_pass_rates(finished: RunDir) -> None:
    log = (finished.path / "logs" / "attempt_001.log").read_text()
    assert "stage reasoning, first pass: if pass rates go on changing as in the stage perception" in log
    passes = [
        json.loads(finished.stage(stage).done.read_text())["first_pass"]["spans"][-1]["trained"]
        for stage in ("perception", "reasoning")
    ]
    assert passes[0] is None
    assert passes[1]["learnt_from"] == "perception"


def test_a_second_run_does_nothing_and_loads_no_torch(world: Path, finished: RunDir) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.path.rglob("*") if path.name != "run.lock"}
    code = (
        "import sys; from pebr_train.cli import main; code = main(sys.argv[1:])\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules; sys.exit(code)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code, *command(world, "whole", "--json")[3:]],
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["trained"] == []
    assert {path: path.stat().st_mtime_ns for path in finished.path.rglob("*") if path.name != "run.lock"} == before


def test_kill_9_in_the_middle_of_the_last_stage_and_again_gives_the_same_counts(world: Path, finished: RunDir) -> None:
    code, _ = interrupted_at(world, "killed", in_reasoning, signal.SIGKILL)
    assert code == -signal.SIGKILL
    run = RunDir(world / "killed" / "trial")
    assert not run.stage("reasoning").done.exists()
    # A checkpoint that the kill cut short, had it come a moment later.
    checkpoint, _ = newest_complete(run.stage("reasoning").checkpoints)
    assert checkpoint is not None
    torn = checkpoint.path.with_name(f"checkpoint-{checkpoint.step + 2}")
    torn.mkdir(exist_ok=True)
    (torn / "model.safetensors").write_bytes(b"half")
    (torn / "complete.json").unlink(missing_ok=True)

    again = train(world, "killed", "--json")

    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["trained"] == ["reasoning"]
    assert f"{torn} was cut short while it was written" in again.stderr
    assert f"going on from {checkpoint.path}" in again.stderr
    assert counts(run) == counts(finished)


def test_sigterm_saves_a_checkpoint_and_names_the_command_that_goes_on(world: Path, finished: RunDir) -> None:
    code, said = interrupted_at(world, "stopped", in_reasoning, signal.SIGTERM)

    assert code == 143, said
    assert "help: what was finished is kept; go on with: pebr-train run" in said
    run = RunDir(world / "stopped" / "trial")
    checkpoint, torn = newest_complete(run.stage("reasoning").checkpoints)
    assert checkpoint is not None and 4 <= checkpoint.step < REASONING_STEPS and not torn
    assert checkpoint.step == len(list(metrics.read(run.stage("reasoning").metrics)))

    # Elsewhere the very samples that the checkpoint has seen are not to be had.
    elsewhere = train(world, "stopped", "--store", str(world / "elsewhere"))
    assert elsewhere.returncode == 77, elsewhere.stderr
    assert "the stage reasoning is half trained on the mixture reasoning (" in elsewhere.stderr

    again = train(world, "stopped")

    assert again.returncode == 0, again.stderr
    assert counts(run) == counts(finished)


def test_ctrl_c_in_training_saves_a_checkpoint_and_names_the_command(world: Path, finished: RunDir) -> None:
    code, said = interrupted_at(world, "interrupted", in_reasoning, signal.SIGINT)

    assert code == 130, said
    assert "help: what was finished is kept; go on with: pebr-train run" in said
    stage = RunDir(world / "interrupted" / "trial").stage("reasoning")
    checkpoint, torn = newest_complete(stage.checkpoints)
    assert checkpoint is not None and not torn
    assert checkpoint.step == len(list(metrics.read(stage.metrics))) < REASONING_STEPS


def test_a_changed_recipe_is_refused_for_what_is_trained_and_nothing_is_touched(world: Path, finished: RunDir) -> None:
    changed = world / "changed.yaml"
    text = (world / "recipe.yaml").read_text(encoding="utf-8")
    changed.write_text(text.replace("max_steps: 12", "max_steps: 13"), encoding="utf-8")
    before = finished.recipe.read_text()

    ended = subprocess.run(
        [part if part != str(world / "recipe.yaml") else str(changed) for part in command(world, "whole")],
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip

    assert ended.returncode == 77
    assert "the stage reasoning is finished and was trained with other settings: max_steps (12 -> 13)" in ended.stderr
    assert finished.recipe.read_text() == before


def test_more_evaluations_are_added_to_a_finished_run_without_training(world: Path, finished: RunDir) -> None:
    more = world / "more.yaml"
    text = (world / "recipe.yaml").read_text(encoding="utf-8")
    more.write_text(text.replace("[base, reasoning]", "[base, warmup, reasoning]"), encoding="utf-8")

    ended = subprocess.run(
        [part if part != str(world / "recipe.yaml") else str(more) for part in command(world, "whole", "--json")],
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["trained"] == []
    assert json.loads(ended.stdout)["evaluated"] == ["warmup"]


def test_a_dry_run_says_what_each_update_is_made_of_and_changes_nothing(world: Path) -> None:
    ended = train(world, "dry", "--dry-run", "--json")

    assert ended.returncode == 0, ended.stderr
    plan = json.loads(ended.stdout)
    reasoning = plan["stages"][-1]
    assert (reasoning["prompts_per_update"], reasoning["completions_per_update"]) == (2, 8)
    assert (reasoning["updates"], reasoning["optimizer_steps"]) == (12, 12)
    assert plan["recipe"]["model"] == "./model"
    assert not (world / "dry").exists()


def test_a_missing_model_is_told_before_anything_is_written(world: Path) -> None:
    missing = world / "missing.yaml"
    text = (world / "recipe.yaml").read_text(encoding="utf-8")
    missing.write_text(text.replace("./model", "./nowhere"), encoding="utf-8")

    ended = subprocess.run(
        [part if part != str(world / "recipe.yaml") else str(missing) for part in command(world, "none")],
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip

    assert ended.returncode == 69
    assert ended.stderr.startswith("error: there is no model") and "\nhelp: " in ended.stderr
    assert not (world / "none").exists()


@pytest.mark.parametrize(
    ("before", "after", "code", "said"),
    [
        ("catalog: trial.yaml", "catalog: trial.yaml\nreward_models: {clip: ./no-clip}", 69, "there is no model"),
        ("name: trial\n", "name: trial\nnum_processes: 2\n", 77, "training takes one process so far"),
        ("mixture: reasoning", "shards: exports/reasoning", 78, "no export found"),
        ("catalog: trial.yaml", "catalog: tril.yaml", 78, "tril.yaml"),
    ],
)
def test_what_cannot_end_well_is_told_before_anything_is_trained(
    world: Path, tmp_path: Path, before: str, after: str, code: int, said: str
) -> None:
    recipe = world / f"bad-{tmp_path.name}.yaml"
    recipe.write_text((world / "recipe.yaml").read_text(encoding="utf-8").replace(before, after), encoding="utf-8")

    ended = subprocess.run(
        [
            sys.executable, "-m", "pebr_train", "run", str(recipe),
            "--store", str(tmp_path / "s"), "--runs", str(tmp_path),
        ],
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip

    assert ended.returncode == code, ended.stderr
    assert ended.stderr.startswith("error: ") and said in ended.stderr and "\nhelp: " in ended.stderr
    assert not list(tmp_path.iterdir())


def test_evaluate_reads_what_the_run_has_measured(world: Path, finished: RunDir) -> None:
    ended = subprocess.run(
        [
            sys.executable, "-m", "pebr_train", "evaluate", str(finished.stage("reasoning").final),
            "--catalog", str(world / "trial.yaml"), "--store", str(world / "store"), "--num-samples", "2", "--json",
        ],
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    of_the_run = json.loads(finished.evaluation("reasoning").read_text())
    assert json.loads(ended.stdout)["results"] == of_the_run["results"]
    assert "next: pebr-data stats" in ended.stderr
