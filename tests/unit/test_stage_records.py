from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pebr_data.errors import BusyError, DataError, RefusedError
from pebr_data.hashing import digest, digest_bytes
from pebr_data.manifest import Manifest, Shard
from pebr_train import metrics
from pebr_train.checkpoints import mark_complete
from pebr_train.done import Done, check_files, check_identity, final_files, read_done, write_done
from pebr_train.rollouts import RolloutLog
from pebr_train.rundir import RunDir, StageDir
from pebr_train.started import check_content, check_started, read_started, write_started

IDENTITY = {"learning_rate": 1e-5, "seed": 0, "data": {"mixture": "hard"}}


def manifest(mixture_id: str, rows: bytes) -> Manifest:
    shard = Shard(file="shard-00000.parquet", sha256=digest_bytes(rows), num_rows=1, num_bytes=len(rows))
    return Manifest(
        format="trl", catalog="small", mixture="hard", mixture_id=mixture_id, policy="pebr", band="hard",
        probe_id="p", fingerprint={"template": "question"}, num_samples=1, columns=("prompt",), shards=(shard,),
        code_version="now",
    )  # fmt: skip


def half_trained(path: Path, on: Manifest) -> StageDir:
    directory = StageDir(path)
    write_started(directory, IDENTITY, on)
    checkpoint = directory.checkpoints / "checkpoint-2"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text("{}", encoding="utf-8")
    mark_complete(checkpoint)
    return directory


def finished(directory: StageDir) -> Done:
    directory.final.mkdir(parents=True)
    (directory.final / "model.safetensors").write_bytes(b"weights")
    done = Done(
        stage="warmup",
        identity=IDENTITY,
        identity_digest=digest(IDENTITY),
        optimizer_steps=3,
        num_samples=8,
        mixture_id="m",
        probe_id="p",
        seconds=1.0,
        files=final_files(directory.final),
    )
    write_done(directory, done)
    return done


def test_a_finished_stage_reads_back_and_an_unfinished_one_is_none(tmp_path: Path) -> None:
    done = finished(StageDir(tmp_path / "warmup"))

    assert read_done(StageDir(tmp_path / "warmup")) == done
    assert read_done(StageDir(tmp_path / "perception")) is None


def test_a_model_cut_short_or_altered_is_never_built_on(tmp_path: Path) -> None:
    directory = StageDir(tmp_path)
    done = finished(directory)
    (directory.final / "model.safetensors").write_bytes(b"weightx")
    with pytest.raises(DataError, match="differs from its checksum"):
        check_files(directory, done)
    (directory.final / "model.safetensors").write_bytes(b"w")
    with pytest.raises(DataError, match="cut short"):
        read_done(directory)


def test_a_stage_trained_otherwise_is_refused_by_the_names_of_the_keys_that_differ(tmp_path: Path) -> None:
    directory = StageDir(tmp_path)
    done = finished(directory)

    check_identity(directory, done, IDENTITY)
    with pytest.raises(RefusedError) as caught:
        check_identity(directory, done, {**IDENTITY, "seed": 1, "data": {"mixture": "easy"}})

    assert 'seed (0 -> 1), data.mixture ("hard" -> "easy")' in str(caught.value)


def test_checkpoints_of_other_settings_are_not_continued(tmp_path: Path) -> None:
    directory = half_trained(tmp_path, manifest("m", b"rows"))
    started = read_started(directory)
    assert started is not None

    check_started(directory, started, IDENTITY)
    with pytest.raises(RefusedError, match="half trained with other settings: learning_rate"):
        check_started(directory, started, {**IDENTITY, "learning_rate": 1e-4})


def test_without_a_whole_checkpoint_a_stage_may_be_begun_again_with_mended_settings(tmp_path: Path) -> None:
    directory = StageDir(tmp_path)
    write_started(directory, IDENTITY, manifest("m", b"rows"))
    (directory.checkpoints / "checkpoint-2").mkdir(parents=True)

    assert read_started(directory) is None


def test_checkpoints_that_say_not_what_they_are_of_are_not_continued(tmp_path: Path) -> None:
    directory = half_trained(tmp_path, manifest("m", b"rows"))
    directory.started.write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="cannot read what the stage is half trained on"):
        read_started(directory)
    directory.started.unlink()
    with pytest.raises(DataError, match="cannot read what the stage is half trained on"):
        read_started(directory)


def test_a_half_trained_stage_goes_on_with_its_very_samples_or_not_at_all(tmp_path: Path) -> None:
    kept = manifest("m", b"rows").at(tmp_path)
    directory = half_trained(tmp_path, kept)
    started = read_started(directory)
    assert started is not None

    check_content(directory, started, kept.model_copy(update={"code_version": "later"}))
    with pytest.raises(RefusedError, match="samples that have changed since: content"):
        check_content(directory, started, manifest("m", b"other rows").at(tmp_path))
    with pytest.raises(RefusedError, match='mixture_id \\("m" -> "n"\\)'):
        check_content(directory, started, manifest("n", b"rows").at(tmp_path))


def test_a_run_is_held_by_one_process_which_the_next_one_names(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    code = (
        "import sys; from pathlib import Path; from pebr_train.rundir import RunDir\n"
        "from pebr_data.errors import BusyError\n"
        "try:\n  with RunDir(Path(sys.argv[1])).locked(): pass\n"
        "except BusyError as error: print(error); sys.exit(75)"
    )
    with run.locked():
        second = subprocess.run(
            [sys.executable, "-c", code, str(run.path)], capture_output=True, text=True, check=False
        )
        assert second.returncode == 75
        assert f"process {os.getpid()} is running this" in second.stdout
    third = subprocess.run([sys.executable, "-c", code, str(run.path)], capture_output=True, text=True, check=False)
    assert third.returncode == 0


def test_the_lock_goes_with_the_block_even_within_a_process(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    with run.locked(), pytest.raises(BusyError), RunDir(tmp_path).locked():
        pass
    with run.locked():
        pass


def test_every_attempt_gets_a_log_of_its_own(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    first = run.new_log()
    first.touch()

    assert (first.name, run.new_log().name) == ("attempt_001.log", "attempt_002.log")


def test_metrics_after_the_resumed_step_are_forgotten_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2, 3):
        metrics.append(path, step, {"loss": step / 10})
    with path.open("a", encoding="utf-8") as handle:
        handle.write('{"step": 4, "lo')

    metrics.forget_after(path, 2)

    assert list(metrics.read(path)) == [{"step": 1, "loss": 0.1}, {"step": 2, "loss": 0.2}]


def test_rollouts_of_a_repeated_step_replace_the_earlier_ones(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    log = RolloutLog(tmp_path / "rollouts")
    for step in (0, 1, 2):
        log.write(step, 0, {"step": [step], "completion": ["first"]})

    log.forget_from(1)
    log.write(1, 0, {"step": [1], "completion": ["second"]})

    frame = polars.read_parquet(tmp_path / "rollouts" / "*.parquet").sort("step")
    assert frame.rows() == [(0, "first"), (1, "second")]
