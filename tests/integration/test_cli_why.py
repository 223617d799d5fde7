"""`why` says everything that was decided about a sample; `show` draws its image where it can."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pebr_data.cli import main as pebr_data
from pebr_data.export.shards import export
from pebr_data.select.mixture import select
from tests.probed_store import fill, group, make_config, probe


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], Path]:
    directory = tmp_path_factory.mktemp("why")
    store = directory / "store"
    sample_ids = fill(store, {"train": 5})
    probe(store, {sample_id: group(number) for number, sample_id in enumerate(sample_ids)})
    mixtures = {one.name: one for one in select(make_config(directory), store)}
    return store, sample_ids, export(store, mixtures["warmup"]).directory


def test_why_says_where_from_how_sure_and_what_each_mixture_decided(
    probed: tuple[Path, list[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    store, sample_ids, exported = probed
    assert pebr_data(["why", sample_ids[0], "--rollouts", "4", "--store", str(store)]) == 0
    said = capsys.readouterr().out
    assert "from the source made, candidate 0, split train" in said
    assert "in the catalogs small" in said
    assert "answer '0', graded as count: declared by the source" in said
    assert re.search(r"image [0-9a-f]{16}…: 32x32 PNG; one-colour", said)
    assert "4 wrong; grader test-1" in said
    assert "band of a group of 4: hard; pass rate 0.17, with 95 % between 0.01 and 0.52" in said
    assert re.search(r"mixture small/warmup \([0-9a-f]{16}, selected .*\): kept, number 1", said)
    assert re.search(r"mixture small/reasoning .*: left out: band-hard\n    by policy pebr, band medium", said)
    assert f"exported to {exported}" in said


def test_why_is_json_too(probed: tuple[Path, list[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    store, sample_ids, _ = probed
    assert pebr_data(["why", sample_ids[4], "--rollouts", "4", "--json", "--store", str(store)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["probes"][0]["band"] == "easy"
    assert {one["mixture"]: one["decision"] for one in said["mixtures"]}["perception"] == "kept"


def test_an_unknown_sample_is_an_error(probed: tuple[Path, list[str], Path]) -> None:
    assert pebr_data(["why", "feed", "--store", str(probed[0])]) == 65


def test_show_draws_on_a_colour_terminal_only(
    probed: tuple[Path, list[str], Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, sample_ids, _ = probed
    assert pebr_data(["show", sample_ids[0], "--store", str(store)]) == 0
    plain = capsys.readouterr().out
    assert "▀" not in plain
    for name, value in {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert pebr_data(["show", sample_ids[0], "--store", str(store)]) == 0
    drawn = capsys.readouterr().out
    assert drawn.count("▀") == 32 * 16
    assert "38;2;0;0;77" in drawn
    assert drawn.endswith(plain)
