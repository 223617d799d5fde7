"""What the project as a whole promises: packaging, exit codes, sizes, what lies where."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from pebr_data import errors
from pebr_data.cli.errors import TRAIN_PACKAGES

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
README = (ROOT / "README.md").read_text("utf-8")
OURS = sorted(p for name in ("pebr_data", "pebr_train") for p in (ROOT / name).rglob("*.py"))
TOP_LEVEL = {
    *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile"),
    *("pebr_data", "pebr_train", "catalogs", "recipes", "tests", ".ci", ".github", ".gitignore"),
}


def tracked_files() -> list[Path]:
    """What a clone holds; an unpacked archive without git has nothing to check."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def test_every_promised_extra_exists() -> None:
    assert set(PROJECT["optional-dependencies"]) >= {"train", "vllm", "ray", "test", "dev"}


def test_the_base_install_has_no_training_framework() -> None:
    names = {re.split(r"[<>=\[ ]", requirement)[0] for requirement in PROJECT["dependencies"]}
    assert not names & {"torch", "transformers", "trl", "accelerate", "vllm", "ray"}


def test_a_missing_package_of_the_train_extra_is_told_as_such() -> None:
    extra = {re.split(r"[<>=\[ ]", requirement)[0] for requirement in PROJECT["optional-dependencies"]["train"]}
    assert extra == TRAIN_PACKAGES


def test_every_dependency_has_a_lower_and_an_upper_bound() -> None:
    extras = PROJECT["optional-dependencies"].values()
    requirements = [*PROJECT["dependencies"], *(requirement for extra in extras for requirement in extra)]
    loose = [r for r in requirements if not r.startswith("pebr[") and not (">=" in r and "<" in r)]
    assert loose == []


@pytest.mark.parametrize("script", ["pebr-data", "pebr-train"])
def test_each_console_script_is_importable(script: str) -> None:
    module, _, function = PROJECT["scripts"][script].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_the_readme_lists_every_exit_code_and_no_other() -> None:
    table = re.search(r"^## Exit codes\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    assert table is not None
    cells = re.findall(r"^\| ([\d, /]+) \|", table[1], re.MULTILINE)
    documented = {int(code) for cell in cells for code in re.findall(r"\d+", cell)}
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.PebrError)]
    assert documented == {0, 1, 143} | {c.exit_code for c in classes}


def test_every_user_facing_error_is_in_the_module_docstring() -> None:
    classes = [n for n, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.PebrError)]
    assert [name for name in classes if name not in (errors.__doc__ or "")] == []


@pytest.mark.parametrize("path", OURS, ids=lambda p: str(p.relative_to(ROOT)))
def test_exported_names_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    if "__all__" not in text:
        return
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert missing == []


def test_files_stay_short_enough_to_read() -> None:
    long = {str(p.relative_to(ROOT)): n for p in OURS if (n := len(p.read_text("utf-8").splitlines())) > 400}
    assert long == {}


def test_nothing_unexpected_lies_at_the_top() -> None:
    assert {p.relative_to(ROOT).parts[0] for p in tracked_files()} <= TOP_LEVEL


def test_no_file_names_a_machine_path_or_a_package_index() -> None:
    # Spelt apart, so that this file does not match itself.
    wrong = re.compile("|".join(["/" + "root/", "/" + "work/", "/" + "tmp/w/", "py" + r"pi\.org", "python" + "hosted"]))
    found = []
    for path in tracked_files():
        if path.suffix in {".png", ".jpg", ".safetensors", ".parquet", ".duckdb", ".tar"}:
            continue
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
            if wrong.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert found == []


def test_the_embedded_models_fit_their_limits() -> None:
    for name, limit_mb in {"pebr-tiny": 10, "pebr-tiny-clip": 4}.items():
        folder = ROOT / "pebr_data/assets" / name
        size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
        assert 0 < size <= limit_mb * 1_000_000, f"{name}: {size} bytes"
        assert (folder / "README.md").is_file(), f"{name} has no model card"
