"""The README is executed: every `sh` block says how it is checked, and this file checks it.

A block stands under a comment `<!-- checked: HOW -->`. `ci`: its commands are in `.ci/run`. `flow`: all such blocks
run here, in order, in one directory, on smaller copies of the catalogs and recipes. `not run: WHY` is for what no test
machine can do, and the README says so in plain words beside it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"<!-- checked: (.*?) -->\n```sh\n(.*?)```", README, re.DOTALL)


def commands(how: str) -> list[str]:
    """The commands of all blocks checked in this way, comments removed, in the README's order."""
    lines = [line.split(" #")[0].strip() for checked, text in BLOCKS if checked == how for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_every_shell_block_says_how_it_is_checked() -> None:
    assert len(BLOCKS) == README.count("```sh") + README.count("```bash") > 0
    assert [how for how, _ in BLOCKS if how not in {"ci", "flow"} and not how.startswith("not run: ")] == []


def test_what_ci_checks_is_in_the_ci_script() -> None:
    script = (ROOT / ".ci/run").read_text("utf-8").splitlines()
    run = {line.split(" |")[0].strip() for line in script}
    assert [command for command in commands("ci") if command not in run] == []


def rewrite(path: Path, change: Callable[[Any], None]) -> None:
    content = yaml.safe_load(path.read_text("utf-8"))
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")


def shrink_catalog(content: dict[str, Any]) -> None:
    """Enough samples that every band holds some."""
    content["sources"][0]["splits"] = {"train": 96, "test": 16}


def shrink_recipe(content: dict[str, Any]) -> None:
    """Two small updates a stage: what is learnt is another test's matter."""
    for stage in content["stages"]:
        stage |= {"max_steps": 2, "gradient_accumulation_steps": 1, "per_device_train_batch_size": 16}
        stage.pop("generation_batch_size", None)
    content["evaluation"] |= {"limit": 8, "num_samples": 2}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with everything a command of the README mentions, on a smaller scale."""
    place = tmp_path_factory.mktemp("readme")
    for name in ("catalogs", "recipes"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests/fixtures/pebr_r1", place / "data/pebr_r1")
    rewrite(place / "catalogs/shapes.yaml", shrink_catalog)
    rewrite(place / "recipes/quickstart.yaml", shrink_recipe)
    # The console scripts, whatever environment the tests run in.
    (place / "bin").mkdir()
    for script, package in {"pebr-data": "pebr_data", "pebr-train": "pebr_train"}.items():
        code = f"import sys; from {package}.cli import main; sys.exit(main())"
        (place / "bin" / script).write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$@"\n', "utf-8")
        (place / "bin" / script).chmod(0o755)
    return place


def sample_id(place: Path) -> str:
    """What a reader would put for SAMPLE_ID."""
    from pebr_data.catalog.store import Catalog

    with Catalog.open(place / "store", read_only=True) as catalog:
        return catalog.samples(catalog="shapes")[0].sample_id


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_commands_of_the_readme_run_in_order(workplace: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{workplace / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
    }
    for line in commands("flow"):
        command = line.replace("SAMPLE_ID", sample_id(workplace)) if "SAMPLE_ID" in line else line
        started = time.monotonic()
        done = subprocess.run(
            command, shell=True, cwd=workplace, env=environment, capture_output=True, text=True, timeout=600
        )
        told = f"$ {command}\nexit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        print(f"{time.monotonic() - started:6.1f} s  {command}")
        assert done.returncode == 0, told
        assert "Traceback" not in done.stderr, told
