"""`pebr-data probe` around a scripted generation source: what the command says, keeps and does again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pebr_data.cli import main
from pebr_data.engines.base import ENGINES, Request, Sampling
from pebr_data.types import Generation, RolloutKey

CATALOG = """\
name: small
sources:
  - {name: made, type: shapes, splits: {train: 6, test: 2}}
probe: {template: question, max_completion_length: 64, max_pixels: 40000, rollouts: 4}
mixtures:
  warmup: {policy: pebr, band: hard}
"""


class Scripted:
    """Answers every question with `7000`; `before` is called before each rollout and may fail or signal."""

    name = "transformers"

    def __init__(self, before: Callable[[int], None] = lambda number: None) -> None:
        self.before = before
        self.num_made = 0

    def generate(
        self, requests: Iterable[Request], sampling: Sampling, *, stop: Callable[[], object] | None = None
    ) -> Iterator[tuple[RolloutKey, Generation]]:
        for request in requests:
            if stop is not None and stop():
                return
            for key in request.keys:
                self.before(self.num_made)
                self.num_made += 1
                yield key, Generation("### The final answer is: 7000", num_tokens=9, finish_reason="stop")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A directory with a built catalog and a model's directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PEBR_STORE", raising=False)
    (tmp_path / "small.yaml").write_text(CATALOG, encoding="utf-8")
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "config.json").write_text("{}", encoding="utf-8")
    assert main(["build", "small.yaml"]) == 0
    capsys.readouterr()
    return tmp_path


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    scripted = Scripted()
    monkeypatch.setitem(ENGINES, "transformers", lambda model, **options: scripted)
    return scripted


def run_json(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_dry_run_says_what_is_owed_and_generates_nothing(
    place: Path, engine: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = run_json(capsys, "probe", "small.yaml", "--model", "policy", "--dry-run")
    assert (plan["num_samples"], plan["num_kept"], plan["num_owed"], plan["max_tokens"]) == (6, 0, 24, 24 * 64)
    assert engine.num_made == 0


def test_probing_twice_generates_once(place: Path, engine: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    first = run_json(capsys, "probe", "small.yaml", "--model", "policy")
    second = run_json(capsys, "probe", "small.yaml", "--model", "policy")

    assert (first["num_generated"], first["outcomes"]) == (24, {"wrong": 24})
    assert (second["num_generated"], second["num_kept"]) == (0, 24)
    assert engine.num_made == 24


def test_a_part_of_a_split_and_then_another_split(
    place: Path, engine: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    part = run_json(capsys, "probe", "small.yaml", "--model", "policy", "--limit", "2")
    whole = run_json(capsys, "probe", "small.yaml", "--model", "policy")
    other = run_json(capsys, "probe", "small.yaml", "--model", "policy", "--split", "test")
    assert [told["num_generated"] for told in (part, whole, other)] == [8, 16, 8]
    assert len({told["probe_id"] for told in (part, whole, other)}) == 1


def test_select_goes_by_the_probe_that_was_run_last(
    place: Path, engine: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "second").mkdir()
    (place / "second" / "config.json").write_text('{"trained": true}', encoding="utf-8")
    first = run_json(capsys, "probe", "small.yaml", "--model", "policy")
    second = run_json(capsys, "probe", "small.yaml", "--model", "second")
    assert first["probe_id"] != second["probe_id"]

    (by_second,) = run_json(capsys, "select", "small.yaml")
    run_json(capsys, "probe", "small.yaml", "--model", "policy")
    (by_first,) = run_json(capsys, "select", "small.yaml")

    assert (by_second["probe_id"], by_first["probe_id"]) == (second["probe_id"], first["probe_id"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_was_made_and_prints_the_command_to_go_on(
    place: Path, engine: Scripted, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    engine.before = lambda made: os.kill(os.getpid(), number) if made == 9 else None

    code = main(["probe", "small.yaml", "--model", "policy"])

    out, err = capsys.readouterr()
    assert (code, out) == (128 + number, "")
    assert "go on with: pebr-data probe small.yaml --model policy\n" in err
    kept = engine.num_made
    assert 10 <= kept < 24
    again = run_json(capsys, "probe", "small.yaml", "--model", "policy")
    assert (again["num_kept"] + again["num_recovered"], again["num_generated"]) == (kept, 24 - kept)


def test_the_text_names_outcomes_and_the_next_command(
    place: Path, engine: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", "small.yaml", "--model", "policy"]) == 0
    out, err = capsys.readouterr()
    assert "wrong" in out
    assert "policy" in out
    assert err.splitlines()[-1] == "next: pebr-data select small.yaml"


def test_a_missing_model_is_unavailable(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "small.yaml", "--model", "pebr-tinny"]) == 69
    assert "pebr-tiny" in capsys.readouterr().err


def test_an_unbuilt_catalog_is_bad_data(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "small.yaml", "--model", "policy", "--store", "empty"]) == 65
    assert "pebr-data build" in capsys.readouterr().err
    assert not (place / "empty").exists()
