"""`pebr-data` from the outside: what a user types, sees and gets back."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from pebr_data.catalog.store import Catalog
from pebr_data.cli import app, main
from pebr_data.manifest import load_manifest
from pebr_data.types import Outcome
from tests.probed_store import YAML, fill, fingerprint, group, probe

ROOT = Path(__file__).parents[2]
SHAPES = """\
name: small
sources:
  - {name: made, type: shapes, splits: {train: 12, test: 4}}
probe: {template: question, max_completion_length: 64, max_pixels: 4096, rollouts: 4}
mixtures:
  warmup: {policy: pebr, band: hard}
  reasoning: {policy: pebr, band: medium}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in, with a catalog YAML."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PEBR_STORE", raising=False)
    (tmp_path / "small.yaml").write_text(YAML, encoding="utf-8")
    (tmp_path / "shapes.yaml").write_text(SHAPES, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A store with 10 samples, probed with 0..4 of 4 correct in turn, and the sample ids."""
    store = tmp_path_factory.mktemp("template") / "store"
    sample_ids = fill(store, {"train": 10})
    probe(store, {sample_id: group(n % 5) for n, sample_id in enumerate(sample_ids)})
    return store, sample_ids


@pytest.fixture
def probed(template: tuple[Path, list[str]], place: Path) -> list[str]:
    """A copy of that store in the directory; gives the sample ids."""
    shutil.copytree(template[0], place / "store")
    return template[1]


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(argv)
    out, err = capsys.readouterr()
    return code, out, err


def run_json(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    code, out, err = run(capsys, *argv, "--json")
    assert code == 0, err
    return json.loads(out)


def test_building_twice_reads_the_source_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_json(capsys, "build", "shapes.yaml", "--dry-run")["sources"][0]["owed"] is True
    assert not (place / "store").exists()

    first = run_json(capsys, "build", "shapes.yaml")
    planned = run_json(capsys, "build", "shapes.yaml", "--dry-run")
    second = run_json(capsys, "build", "shapes.yaml")

    assert first["samples"] == {"train": 12, "test": 4}
    assert (first["num_new"], first["built"]) == (16, ["made"])
    assert [(one["source"], one["type"], one["owed"]) for one in planned["sources"]] == [("made", "shapes", False)]
    assert (second["num_new"], second["skipped"]) == (0, ["made"])


def test_each_command_names_the_next_one_on_stderr(
    place: Path, probed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = {
        ("build", "shapes.yaml", "--store", "other"): "next: pebr-data probe shapes.yaml --model MODEL --store other",
        ("stats",): "next: pebr-data select CATALOG.yaml",
        ("select", "small.yaml", "--dry-run"): "next: pebr-data select small.yaml",
        ("select", "small.yaml"): "next: pebr-data export small.yaml",
        ("export", "small.yaml"): "next: pebr-train run RECIPE.yaml",
        ("show", probed[0]): "next: pebr-data stats",
    }
    for argv, line in expected.items():
        code, out, err = run(capsys, *argv)
        assert code == 0, err
        assert err.splitlines()[-1] == line
        assert "next:" not in out


def test_select_and_export_give_intact_exports(
    place: Path, probed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    selected = {row["mixture"]: row for row in run_json(capsys, "select", "small.yaml")}
    assert selected["reasoning"]["num_samples"] == 6
    assert selected["reasoning"]["drops"] == {"band-easy": 2, "band-hard": 2}

    exported = run_json(capsys, "export", "small.yaml", "--to", "out")

    # Each selection has its control beside it, which is exported where it is asked for.
    assert list(selected) == ["warmup", "warmup_control", "perception", "perception_control", "reasoning", "control"]
    wanted = ["warmup", "perception", "reasoning", "control"]
    assert [Path(manifest["directory"]) for manifest in exported] == [Path("out") / name for name in wanted]
    for name in wanted:
        row = selected[name]
        manifest = load_manifest(place / "out" / name)
        assert (manifest.mixture_id, manifest.num_samples) == (row["mixture_id"], row["num_samples"])
    again = run_json(capsys, "export", "small.yaml", "--to", "out")
    assert again == exported


def test_export_into_the_store_by_default_and_only_what_is_asked(
    place: Path, probed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (selected,) = run_json(capsys, "select", "small.yaml", "--mixture", "warmup")
    (planned,) = run_json(capsys, "export", "small.yaml", "--mixture", "warmup", "--dry-run")
    directory = Path("store/exports/small") / f"warmup-{selected['mixture_id'][:8]}"
    assert planned == {"mixture": "warmup", "num_samples": 2, "directory": str(directory)}
    assert not directory.exists()

    run_json(capsys, "export", "small.yaml", "--mixture", "warmup")
    assert load_manifest(directory).num_samples == 2


def test_export_for_another_framework_ends_by_naming_its_card(
    place: Path, probed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["select", "small.yaml"]) == 0
    argv = ("export", "small.yaml", "--mixture", "warmup", "--to", "out", "--format", "verl")

    code, _, err = run(capsys, *argv, "--images", "beside")
    assert (code, err.splitlines()[-1]) == (0, "next: cat out/warmup/README.md")
    assert "$PWD/data/shard-00000.parquet" in (place / "out/warmup/README.md").read_text("utf-8")

    code, _, err = run(capsys, *argv)
    assert code == 77
    assert "(images: beside), not 'verl' (images: embed)" in err


@pytest.mark.parametrize("wrong", [["--format", "nemo"], ["--images", "beside"], ["--images", "elsewhere"]])
def test_a_format_that_does_not_exist_is_a_wrong_command_line(
    place: Path, probed: list[str], capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    code, out, _ = run(capsys, "export", "small.yaml", *wrong, "--dry-run")
    assert (code, out) == (2, "")


def test_an_empty_mixture_is_left_out_of_an_export_with_a_note(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample_ids = fill(place / "store", {"train": 3})
    probe(place / "store", {sample_id: group(2) for sample_id in sample_ids})
    assert main(["select", "small.yaml"]) == 0

    code, _, err = run(capsys, "export", "small.yaml", "--to", "out")
    assert code == 0
    assert "note: the mixture warmup is empty" in err
    assert sorted(path.name for path in (place / "out").iterdir()) == ["control", "reasoning"]

    code, _, err = run(capsys, "export", "small.yaml", "--to", "out", "--mixture", "warmup")
    assert code == 65
    assert "empty" in err


def test_exporting_before_selecting_is_refused(
    place: Path, probed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "export", "small.yaml", "--to", "out")
    assert (code, out) == (77, "")
    assert "help: pebr-data select small.yaml" in err
    assert not (place / "out").exists()


def test_stats_tell_every_policy_apart(place: Path, probed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    second = probe(
        place / "store",
        {probed[0]: [Outcome.CORRECT, Outcome.UNPARSED, Outcome.TRUNCATED, Outcome.WRONG]},
        fingerprint("warmed-up"),
    )

    told = run_json(capsys, "stats", "--rollouts", "4")
    _, text, _ = run(capsys, "stats", "--rollouts", "4")

    assert {p["fingerprint"]["model"]: p["num_rollouts"] for p in told["probes"]} == {"scripted": 40, "warmed-up": 4}
    first = [row for row in told["bands"] if row["probe_id"] != second]
    assert {name: sum(row[name] for row in first) for name in ("easy", "medium", "hard", "unprobed")} == {
        "easy": 2,
        "medium": 6,
        "hard": 2,
        "unprobed": 0,
    }
    assert {row["skill"] for row in first} == {"count", "compare"}
    outcomes = [row for row in told["outcomes"] if row["probe_id"] == second]
    assert sum(row["unparsed"] for row in outcomes) == sum(row["truncated"] for row in outcomes) == 1
    assert "warmed-up, image, temperature 1.2, top_p 0.99, 4 rollouts" in text


def test_stats_give_evaluations_a_line_each_and_no_bands(
    place: Path, probed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    greedy = fingerprint("warmed-up", temperature=0.0, top_p=1.0)
    probe(place / "store", {sample_id: [Outcome.CORRECT] for sample_id in probed[:4]}, greedy)

    told = run_json(capsys, "stats", "--rollouts", "4")
    _, text, _ = run(capsys, "stats", "--rollouts", "4")

    assert f"probe {greedy.probe_id}:" not in text
    (line,) = [line.split() for line in text.splitlines() if greedy.probe_id in line]
    assert line == ["small", "train", "warmed-up", "image", "greedy", "4", "4", "0", "1.000", greedy.probe_id]
    assert sum(row["unprobed"] for row in told["bands"] if row["probe_id"] == greedy.probe_id) == 10


def test_show_gives_the_sample_its_images_its_mixtures_and_its_rollouts(
    place: Path, probed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run_json(capsys, "select", "small.yaml")

    told = run_json(capsys, "show", probed[2])
    _, text, _ = run(capsys, "show", probed[2])

    assert told["question"] == "How many circles are there in picture 2?"
    assert all(Path(path).is_file() for path in told["images"])
    assert {row["mixture"]: row["decision"] for row in told["mixtures"]}["warmup"] == "band-medium"
    (policy,) = told["probes"]
    assert [rollout["outcome"] for rollout in policy["rollouts"]] == ["correct", "correct", "wrong", "wrong"]
    assert (policy["num_correct"], policy["num_rollouts"]) == (2, 4)
    assert 0 < policy["pass_rate_low"] < 0.5 < policy["pass_rate_high"] < 1
    for part in (
        told["images"][0],
        "4 rollouts, 2 correct",
        "pass rate between 0.",
        "completion 3",
        "warmup",
        "a large red circle",
    ):
        assert part in text


def test_an_unknown_sample_is_bad_data(place: Path, probed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "show", "0" * 16)
    assert (code, out) == (65, "")
    assert err.startswith(f"error: no sample {'0' * 16}")


@pytest.mark.parametrize("command", [["stats"], ["show", "0" * 16], ["select", "small.yaml"], ["export", "small.yaml"]])
def test_without_a_catalog_every_reader_says_how_to_build_one(
    place: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *command)
    assert (code, out) == (65, "")
    assert "pebr-data build" in err
    assert not (place / "store").exists()


@pytest.mark.parametrize("command", ["build", "select", "export", "probe"])
def test_a_wrong_yaml_lists_every_mistake(place: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "bad.yaml").write_text(SHAPES.replace("template", "templat").replace("band: hard", "band: hadr"), "utf-8")
    extra = ["--model", "pebr-tiny"] if command == "probe" else []

    code, out, err = run(capsys, command, "bad.yaml", *extra)

    assert (code, out) == (78, "")
    assert "bad.yaml:4:" in err
    assert "bad.yaml:6:" in err
    assert not (place / "store").exists()


def test_a_missing_yaml_is_a_configuration_error(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "build", "nowhere.yaml")
    assert code == 78
    assert "nowhere.yaml" in err


def test_a_catalog_from_a_newer_pebr_is_refused(
    place: Path, probed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    import duckdb

    with duckdb.connect(str(place / "store/catalog.duckdb")) as connection:
        connection.execute("INSERT INTO migrations VALUES (999, 'm999_future', now()::TIMESTAMP)")
    code, _, err = run(capsys, "stats")
    assert code == 77
    assert "999" in err


def test_the_store_can_come_from_the_environment(
    place: Path, probed: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "store").rename(place / "elsewhere")
    monkeypatch.setenv("PEBR_STORE", str(place / "elsewhere"))
    assert run_json(capsys, "stats")["probes"]


def test_without_arguments_the_commands_are_listed() -> None:
    told = CliRunner().invoke(app, ["--help"])
    assert told.exit_code == 0
    for name in ("build", "probe", "stats", "select", "export", "show"):
        assert name in told.output


def heavy_imports(place: Path, code: str) -> list[str]:
    """What of the heavy packages a fresh process has imported that ran this."""
    code += "\nimport sys; print(sorted({'torch', 'transformers', 'datasets', 'pandas'} & set(sys.modules)))\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: list[str] = ast.literal_eval(done.stdout.splitlines()[-1])
    return found


def test_selecting_and_exporting_never_import_torch_or_pandas(place: Path, probed: list[str]) -> None:
    code = (
        "from pebr_data.cli import main\nassert [main([name, 'small.yaml']) for name in ('select', 'export')] == [0, 0]"
    )
    assert heavy_imports(place, code) == []


def test_building_never_imports_torch_or_pandas(place: Path) -> None:
    rows = [{"question": f"How many {n}?", "answer": str(n), "words": ["a"], "kind": "ab"[n % 2]} for n in range(4)]
    pl.DataFrame(rows).write_parquet(place / "rows.parquet")
    (place / "rows.yaml").write_text(
        "name: rows\nsources:\n"
        "  - {name: made, type: shapes, splits: {train: 4}}\n"
        "  - {name: rows, type: parquet, files: rows.parquet, fields: {images: null, keywords: words},\n"
        "     keep_if: [{column: kind, matches: ^a}]}\n"
    )
    assert heavy_imports(place, "from pebr_data.cli import main\nassert main(['build', 'rows.yaml']) == 0") == []
    with Catalog.open(place / "store", read_only=True) as catalog:
        assert [sample.source for sample in catalog.samples()] == ["made"] * 4 + ["rows"] * 2


def test_merging_rollouts_never_imports_torch_or_pandas(place: Path) -> None:
    code = (
        "from pathlib import Path\nfrom tests.probed_store import fill, group, probe\n"
        "sample_ids = fill(Path('store'), {'train': 4})\n"
        "probe(Path('store'), {sample_id: group(n) for n, sample_id in enumerate(sample_ids)})"
    )
    assert heavy_imports(place, code) == []
    with Catalog.open(place / "store", read_only=True) as catalog:
        assert [probe.num_rollouts for probe in catalog.probes()] == [16]
