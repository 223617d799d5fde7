"""The README's transcript on the fixtures is what the commands print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pebr_data.cli import main as pebr_data

ROOT = Path(__file__).parents[2]
TRANSCRIPT = re.search(
    r"```text\n(\$ pebr-data build tests/.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL
)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")


def test_the_transcript_on_the_fixtures_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert TRANSCRIPT is not None
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PEBR_STORE", str(tmp_path / "store"))
    said = []
    for line in TRANSCRIPT[1].splitlines():
        if line.startswith("$ pebr-data "):
            assert pebr_data(shlex.split(line)[2:]) == 0
            said.append(f"{line}\n{capsys.readouterr().out.strip()}\n")
    assert TIME.sub("TIME", "\n".join(said)) == TIME.sub("TIME", TRANSCRIPT[1])
