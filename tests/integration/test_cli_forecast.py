"""`select`, `forecast`, `stats`, `why` and `simulate` on the command line: pass rates and the first pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.cli import main as pebr_data
from pebr_data.difficulty.populations import draw_population, true_diagnoses
from pebr_data.probe.pace import Pace, write_pace
from tests.drawn_store import SIGNAL, draw_store
from tests.probed_store import make_config


def test_the_commands_say_what_is_foreseen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"
    draw_store(store)
    path, there = str(make_config(tmp_path, SIGNAL).path), ["--store", str(store)]
    assert pebr_data(["select", path, "--json", *there]) == 0
    rows = json.loads(capsys.readouterr().out)
    selected = {row["mixture"]: row["forecast"] for row in rows}
    assert selected["best"]["num_generations"] == 8
    assert selected["best"]["tokens_per_update"]["mean"] == pytest.approx(5 * 1024)
    assert selected["best"]["sampling_seconds_per_update"] is None  # nobody has timed this probe
    probe = store / "probes" / rows[0]["probe_id"]
    probe.mkdir(parents=True)
    write_pace(probe, Pace(num_rollouts=160, num_tokens=800, seconds=4.0))

    what_if = ["forecast", path, "--mixture", "best", "--num-generations", "16", "--scale-rewards", "none"]
    assert pebr_data([*what_if, "--json", *there]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["forecast"]["zero_variance"]["mean"] < selected["best"]["zero_variance"]["mean"]
    assert told["forecast"]["squared_advantage"]["high"] < 0.25
    assert told["forecast"]["sampling_seconds_per_update"]["mean"] == pytest.approx(5 * 1024 * 4.0 / 800)

    assert pebr_data([*what_if, *there]) == 0
    table = capsys.readouterr().out
    assert "zero-variance groups" in table and "25.6 s (25.6 to 25.6)" in table
    assert pebr_data(["stats", "--rollouts", "8", *there]) == 0
    assert "fitted to 160 samples" in capsys.readouterr().out
    with Catalog.open(store, read_only=True) as catalog:
        sample_id = catalog.samples("small")[0].sample_id
    assert pebr_data(["why", sample_id, "--rollouts", "8", *there]) == 0
    assert "(prior fitted to 160 samples)" in capsys.readouterr().out


def test_simulate_shows_that_signal_takes_more_that_teach(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["simulate", "--population", "hard", "--samples", "1500", "--limit", "300"]
    assert pebr_data([*asked, "--json"]) == 0
    by_policy = {row["policy"]: row for row in json.loads(capsys.readouterr().out)}
    assert by_policy["signal"]["precision"] > by_policy["pebr"]["precision"] + 0.05
    assert by_policy["signal"]["num_chosen"] == by_policy["pebr"]["num_chosen"] == 300
    assert pebr_data([*asked, "--stop", "exact", "--policy", "pebr"]) == 0
    assert "hard        exact  pebr" in capsys.readouterr().out


def test_simulate_shows_what_a_diagnosis_finds_and_what_it_costs(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["simulate", "--population", "u_shaped", "--samples", "1500", "--policy", "diagnosis"]
    assert pebr_data([*asked, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["diagnosis"] for row in rows] == ["perception-bound", "reasoning-bound"]
    kinds = true_diagnoses(draw_population("u_shaped", 1500))
    for row in rows:
        assert row["num_rollouts"] == 3 * 8 * 1500
        truly = int((kinds == row["diagnosis"]).sum())
        assert row["recall"] * truly == pytest.approx(row["precision"] * row["num_chosen"])
        assert row["precision"] > 2 * truly / 1500  # of as many by chance it would be half of that
    assert pebr_data([*asked, "--limit", "100"]) == 0
    assert "u_shaped    fixed  perception-bound     100" in capsys.readouterr().out
