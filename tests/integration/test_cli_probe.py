"""`pebr-data probe` around a scripted generation source: what the command says, keeps and does again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.cli import main
from pebr_data.engines.base import ENGINES, Request, Sampling
from pebr_data.probe import keep, rounds
from pebr_data.probe.progress import read_progress
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
    """Answers with `7000`, or as `answer` says; `before` is called before each rollout and may fail or signal."""

    name = "transformers"

    def __init__(self, before: Callable[[int], None] = lambda number: None) -> None:
        self.before = before
        self.answer: Callable[[RolloutKey, str], str] = lambda key, gold: "### The final answer is: 7000"
        self.golds: dict[str, str] = {}
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
                text = self.answer(key, self.golds.get(key.sample_id, ""))
                yield key, Generation(text, num_tokens=9, finish_reason="stop", num_prompt_tokens=30)


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

    by_second, *_ = run_json(capsys, "select", "small.yaml")
    run_json(capsys, "probe", "small.yaml", "--model", "policy")
    by_first, *_ = run_json(capsys, "select", "small.yaml")

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


def test_stopping_early_spares_rollouts_and_a_later_run_makes_them(
    place: Path, engine: Scripted, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "CAPACITY", 1)
    outcomes = ["7000", "### The final answer is: {}"]
    engine.answer = lambda key, gold: outcomes[key.index % 2].format(gold)
    with Catalog.open(place / "store", read_only=True) as catalog:
        engine.golds = {one.sample_id: one.answer for one in catalog.samples("small")}

    early = run_json(capsys, "probe", "small.yaml", "--model", "policy", "--stop", "exact", "--rollouts", "8")
    bands = run_json(capsys, "stats")["bands"]
    rest = run_json(capsys, "probe", "small.yaml", "--model", "policy", "--rollouts", "8", "--stop", "none")

    assert (early["num_generated"], early["num_spared"], early["num_owed"]) == (12, 36, 0)
    assert sum(row["medium"] for row in bands) == 6
    assert (rest["num_generated"], rest["num_spared"]) == (36, 0)


def test_the_posterior_decides_who_gets_more(place: Path, engine: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["probe", "small.yaml", "--model", "policy", "--stop", "posterior", "--confidence", "0.6"]
    plan = run_json(capsys, *asked, "--max-rollouts", "6", "--dry-run", "--pilot", "1")
    told = run_json(capsys, *asked, "--max-rollouts", "6")
    again = run_json(capsys, *asked, "--max-rollouts", "6")

    assert (plan["num_rollouts"], plan["num_kept"], plan["estimate"]["num_measured"]) == (6, 4, 1)
    assert (told["num_rollouts"], told["num_owed"], again["num_generated"]) == (6, 0, 0)
    assert told["num_generated"] + told["num_kept"] + told["num_spared"] == 36
    assert plan["estimate"]["rollouts"]["low"] <= told["num_generated"] <= plan["estimate"]["rollouts"]["high"]
    for wrong in (
        ["--confidence", "0.2"],
        ["--max-rollouts", "3"],
        ["--rollouts", "2"],
        ["--stop", "exact"],
        ["--pilot", "2"],
    ):
        assert main([*asked, *wrong]) == 2


def test_parts_of_a_split_are_named(place: Path, engine: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["probe", "small.yaml", "--model", "policy", "--dry-run"]
    assert run_json(capsys, *asked, "--where", "source=made", "--limit", "5")["num_samples"] == 5
    assert run_json(capsys, *asked, "--since", "2020-01-01")["num_samples"] == 6
    assert main([*asked, "--since", "2999-01-01"]) == 65
    assert main([*asked, "--mixture", "warmup"]) == 77
    assert main([*asked, "--where", "colour=red"]) == 2


def test_the_shards_of_a_split_are_its_whole(place: Path, engine: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    told = [run_json(capsys, "probe", "small.yaml", "--model", "policy", "--shard", shard) for shard in ("1/2", "2/2")]
    assert sum(one["num_samples"] for one in told) == 6
    assert run_json(capsys, "probe", "small.yaml", "--model", "policy", "--dry-run")["num_owed"] == 0
    assert main(["probe", "small.yaml", "--model", "policy", "--shard", "3/2"]) == 2
    assert "--shard 3/2" in capsys.readouterr().err


def test_changed_settings_need_a_word(place: Path, engine: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    run_json(capsys, "probe", "small.yaml", "--model", "policy")
    (place / "small.yaml").write_text(CATALOG.replace("rollouts: 4", "rollouts: 4, temperature: 0.7"), encoding="utf-8")

    for dry in ([], ["--dry-run"]):
        assert main(["probe", "small.yaml", "--model", "policy", *dry]) == 77
        assert "temperature 1.2 -> 0.7" in capsys.readouterr().err
    assert run_json(capsys, "probe", "small.yaml", "--model", "policy", "--new")["num_generated"] == 24
    assert run_json(capsys, "probe", "small.yaml", "--model", "policy")["num_kept"] == 24


def test_the_status_of_a_probe_is_told_while_it_runs_and_after(
    place: Path, engine: Scripted, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep, "SYNC_EVERY", 4)
    seen = []

    def look(made: int) -> None:
        if made == 9:
            # What was made is kept by another thread.
            while [run.num_done for path in place.glob("store/probes/*") for run in read_progress(path)] != [8]:
                time.sleep(0.01)
            code = "from pebr_data.cli import main; main(['probe', 'status', 'small.yaml', '--json'])"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True)
            seen.extend(json.loads(done.stdout))

    engine.before = look
    run_json(capsys, "probe", "small.yaml", "--model", "policy")

    (begun,), (ended,) = seen, run_json(capsys, "probe", "status", "small.yaml")
    (run,) = begun["runs"]
    assert (run["state"], run["num_done"], run["num_wanted"], run["outcomes"]) == ("running", 8, 24, {"wrong": 8})
    assert run["process"].startswith(f"{os.getpid()} on ")
    assert run["rate"] > 0
    assert run["seconds_left"] > 0
    assert (ended["outcomes"], ended["num_rollouts"], ended["num_tokens"]) == ({"wrong": 24}, 24, 24 * 9)
    assert (ended["runs"][0]["state"], ended["runs"][0]["seconds_left"]) == ("finished", None)
    assert ended["num_prompt_tokens"] == 24 * 30
    assert main(["probe", "status", "small.yaml"]) == 0
    out = capsys.readouterr().out
    assert [line.split("  ") for line in re.sub("  +", "  ", out).splitlines()[:2]] == [
        ["probe", "model", "condition", "temperature", "rollouts", "wrong", "tokens", "prompt tokens"],
        [ended["probe_id"], "policy", "image", "1.200", "24", "24", "216", "720"],
    ]
    assert "finished" in out
