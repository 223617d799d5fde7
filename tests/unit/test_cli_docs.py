"""No command without help, and none that the README does not mention."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "trl", "datasets", "vllm", "ray", "accelerate", "pandas"}
PROGRAMS = {"pebr-data": "pebr_data.cli", "pebr-train": "pebr_train.cli"}


def commands(program: str) -> dict[str, Any]:
    app = importlib.import_module(PROGRAMS[program]).app
    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_and_each_of_its_options_has_help(program: str) -> None:
    silent = [
        f"{name} {getattr(parameter, 'name', '')}".strip()
        for name, command in commands(program).items()
        for parameter in (command, *command.params)
        if not (getattr(parameter, "help", None) or "").strip()
    ]
    assert silent == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_is_in_the_readme(program: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [name for name in commands(program) if not re.search(rf"\b{program} {name}\b", readme)]
    assert missing == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_command_that_the_readme_mentions_is_missing(program: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    mentioned = set(re.findall(rf"\b{program} ([a-z-]+)\b(?=[^`\n]*[`\n])", readme))
    code = {name for name in mentioned if re.search(rf"^(?:\$ )?{program} {name}\b|`{program} {name}\b", readme, re.M)}
    assert code - set(commands(program)) == set()


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_of_every_command_imports_nothing_heavy(program: str) -> None:
    code = (
        f"import contextlib, io, json, sys\nfrom {PROGRAMS[program]} import main\n"
        f"with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    codes = [main([*name, '--help']) for name in {[[], *[[name] for name in commands(program)]]!r}]\n"
        f"print(json.dumps([codes, sorted({HEAVY!r} & set(sys.modules))]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    codes, heavy = json.loads(done.stdout)
    assert set(codes) == {0}
    assert heavy == []
