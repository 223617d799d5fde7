"""Which model a name means, and when two are the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pebr_data.errors import UnavailableError
from pebr_data.models import resolve_model


def make(directory: Path, weights: bytes = b"weights") -> Path:
    directory.mkdir(parents=True)
    (directory / "config.json").write_text("{}")
    (directory / "model.safetensors").write_bytes(weights)
    return directory


def test_a_directory_is_named_by_its_own_name_and_revised_by_its_content(tmp_path: Path) -> None:
    model = resolve_model(make(tmp_path / "warmed"))
    assert (model.name, model.location, model.is_local) == ("warmed", str(tmp_path / "warmed"), True)
    assert len(model.revision) == 16
    shutil.copytree(tmp_path / "warmed", tmp_path / "elsewhere" / "warmed")
    moved = resolve_model(tmp_path / "elsewhere" / "warmed")
    assert (moved.name, moved.revision) == (model.name, model.revision)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "chat_template.jinja", "tokenizer.json"])
def test_whatever_changes_answers_changes_the_revision(tmp_path: Path, name: str) -> None:
    before = resolve_model(make(tmp_path / "model")).revision
    (tmp_path / "model" / name).write_bytes(b'{"changed": true}')
    assert resolve_model(tmp_path / "model").revision != before


def test_what_training_leaves_beside_the_model_does_not_change_it(tmp_path: Path) -> None:
    before = resolve_model(make(tmp_path / "model")).revision
    for name in ("trainer_state.json", "training_args.bin", "README.md", "optimizer.pt"):
        (tmp_path / "model" / name).write_text("x")
    assert resolve_model(tmp_path / "model").revision == before


def test_a_directory_without_a_config_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"no config\.json"):
        resolve_model(tmp_path)


def test_a_mistyped_name_is_told_the_right_one() -> None:
    with pytest.raises(UnavailableError) as caught:
        resolve_model("pebr-tyni")
    assert "did you mean pebr-tiny" in str(caught.value.help)


def test_a_missing_directory_is_not_taken_for_a_hub_id() -> None:
    with pytest.raises(UnavailableError, match=r"no model '\./runs/nothing'"):
        resolve_model("./runs/nothing")


def test_a_commit_needs_no_look_at_the_hub() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    model = resolve_model(f"org/name@{commit}")
    assert (model.name, model.location, model.revision, model.is_local) == ("org/name", "org/name", commit, False)
    assert model.hub_revision == commit


def test_offline_a_branch_is_what_the_local_copy_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi, constants

    def refuse(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(HfApi, "model_info", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "a" * 40
    copy = tmp_path / "models--org--name"
    make(copy / "snapshots" / commit)
    (copy / "refs").mkdir()
    (copy / "refs" / "main").write_text(commit)

    assert resolve_model("org/name").revision == commit
    with pytest.raises(UnavailableError, match="no copy of the model here"):
        resolve_model("org/other")


def test_a_trained_model_is_called_by_run_and_stage_wherever_the_run_lies(tmp_path: Path) -> None:
    final = make(tmp_path / "runs" / "quickstart" / "warmup" / "final")
    moved = make(tmp_path / "elsewhere" / "quickstart" / "warmup" / "final")
    assert resolve_model(final).name == resolve_model(moved).name == "quickstart/warmup"
    assert resolve_model(final).revision == resolve_model(moved).revision
