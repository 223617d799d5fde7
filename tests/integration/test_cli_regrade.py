"""`pebr-data regrade`, `show --disputed` and `audit-grader` from the outside, on a store that was probed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.cli import main
from pebr_data.grading import GRADER_VERSION, Grader
from pebr_data.grading.versions import Grading
from pebr_data.regrade import run
from pebr_data.types import Generation, Rollout, RolloutKey
from tests.probed_store import GROUP_SIZE, YAML, fill, fingerprint

ROOT = Path(__file__).parents[2]
PROBE = fingerprint().probe_id
HEAVY = ("torch", "transformers", "trl", "datasets", "accelerate", "pandas")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Ten samples with golds 0 .. 4 in turn, each answered 0, 1, 2 and, without a marker, right; graded by `paper`."""
    store = tmp_path_factory.mktemp("template") / "store"
    ids = fill(store, {"train": 10})
    with Catalog.open(store) as catalog:
        catalog.register_probe(fingerprint())
        paper = Grading(Grader("paper"))
        rollouts = []
        for sample in catalog.samples("small"):
            for index in range(GROUP_SIZE):
                text = f"### The final answer is: {index}" if index < GROUP_SIZE - 1 else sample.answer
                (verdict,) = paper.grade([(text, sample, "stop")])
                key = RolloutKey(PROBE, sample.sample_id, index)
                rollouts.append(Rollout(key, Generation(text, 5, "stop"), verdict))
        catalog.merge_rollouts(rollouts)
    return store, ids


@pytest.fixture
def probed(template: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A copy of that store in the directory to work in; gives the sample ids."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PEBR_STORE", raising=False)
    (tmp_path / "small.yaml").write_text(YAML, encoding="utf-8")
    shutil.copytree(template[0], tmp_path / "store")
    return template[1]


def as_json(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    capsys.readouterr()
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def num_hard(capsys: pytest.CaptureFixture[str]) -> int:
    return sum(row["hard"] for row in as_json(capsys, "stats", "--rollouts", "4")["bands"])


def pebr_data(place: Path, argv: Sequence[str], after: str = "") -> subprocess.CompletedProcess[str]:
    code = f"import sys\nfrom pebr_data.cli import main\ncode = main({list(argv)!r})\n{after}\nsys.exit(code)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=place, env=environment, capture_output=True, text=True, timeout=240
    )


def test_from_paper_to_the_default_with_the_confusion_and_the_bands_that_would_change(
    probed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    plan = as_json(capsys, "regrade", "small.yaml", "--dry-run")
    assert plan["grader_version"] == GRADER_VERSION
    assert plan["probes"] == [{"probe_id": PROBE, "counts": "paper-1", "num_rollouts": 40, "num_owed": 40}]

    told = as_json(capsys, "regrade", "small.yaml")

    (result,) = told["probes"]
    assert (told["in_force"], result["num_graded"], result["num_changed"]) == (False, 40, 10)
    assert {(row["before"], row["after"], row["num_rollouts"]) for row in result["confusion"]} == {
        ("correct", "correct", 6), ("correct", "unparsed", 10), ("wrong", "wrong", 24)
    }  # fmt: skip
    moved = [probed[n] for n in (3, 4, 8, 9)]
    assert result["bands"] == [{"before": "medium", "after": "hard", "num_samples": 4, "sample_ids": moved}]

    assert main(["regrade", "small.yaml"]) == 0
    out, err = capsys.readouterr()
    assert "paper-1 \\ pebr-2  correct  wrong  unparsed" in out
    assert "10 of 40 rollouts change" in out
    assert "0 of 40 rollouts graded now" in out
    assert moved[0] in out
    assert err.splitlines()[-1] == "next: pebr-data regrade small.yaml --grader pebr --use"
    assert as_json(capsys, "stats", "--rollouts", "4")["probes"][0]["grader_version"] == "paper-1"


def test_used_and_back_again(probed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    as_json(capsys, "regrade", "small.yaml", "--use")
    assert num_hard(capsys) == 4
    assert main(["show", probed[0]]) == 0
    assert f"4 rollouts, 1 correct by {GRADER_VERSION}" in capsys.readouterr().out
    told = as_json(capsys, "regrade", "small.yaml", "--grader", "paper", "--use")
    assert told["probes"][0]["num_graded"] == 0
    assert num_hard(capsys) == 0


def test_a_corrected_gold_is_seen_by_show_once_it_is_used(
    probed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "golds.jsonl").write_text(f'{{"sample_id": "{probed[0]}", "answer": 2, "reason": "miscounted"}}\n')
    told = as_json(capsys, "regrade", "small.yaml", "--golds", "golds.jsonl")
    assert told["num_corrected_golds"] == 1
    assert told["grader_version"].startswith(f"{GRADER_VERSION}+golds-")
    assert as_json(capsys, "show", probed[0])["answer"] == "0"
    as_json(capsys, "regrade", "small.yaml", "--golds", "golds.jsonl", "--use")
    assert as_json(capsys, "show", probed[0])["answer"] == "2"
    assert main(["show", probed[0]]) == 0
    assert "corrected:    the source's answer is 0" in capsys.readouterr().out


def test_golds_that_cannot_be_used_are_all_named_and_nothing_is_graded(
    probed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "golds.csv").write_text(f"sample_id,answer\nffff,1\n{probed[1]},nan\n")
    assert main(["regrade", "small.yaml", "--golds", "golds.csv"]) == 78
    err = capsys.readouterr().err
    assert "golds.csv:2: there is no sample ffff in the catalog small" in err
    assert f"golds.csv:3: sample {probed[1]}: the gold answer is NaN" in err
    assert as_json(capsys, "regrade", "small.yaml", "--dry-run")["probes"][0]["num_owed"] == 40


def test_a_signal_keeps_what_was_graded_and_prints_the_command_to_go_on(
    probed: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "BATCH_SIZE", 15)
    judge = run._judge
    with monkeypatch.context() as patched:
        patched.setattr(run, "_judge", lambda *args: (os.kill(os.getpid(), signal.SIGTERM), judge(*args))[1])
        assert main(["regrade", "small.yaml", "--use"]) == 143
    assert "go on with: pebr-data regrade small.yaml --grader pebr --use\n" in capsys.readouterr().err
    assert as_json(capsys, "regrade", "small.yaml", "--dry-run")["probes"][0]["num_owed"] == 25


def test_disputed_samples_are_listed_with_counts_and_an_example(
    probed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "--disputed"]) == 65
    assert "pebr-data regrade CATALOG.yaml" in capsys.readouterr().err
    as_json(capsys, "regrade", "small.yaml")

    (found,) = as_json(capsys, "show", "--disputed")
    assert (found["probe_id"], found["graders"], len(found["samples"])) == (PROBE, ["paper-1", GRADER_VERSION], 10)
    by_id = {one["sample_id"]: one for one in found["samples"]}
    three = by_id[probed[3]]
    assert (three["answer"], three["num_disputed"], three["num_rollouts"], three["num_correct"]) == ("3", 1, 4, [1, 0])
    assert three["example"]["index"] == 3
    assert [grade["outcome"] for grade in three["example"]["grades"]] == ["correct", "unparsed"]

    assert main(["show", "--disputed", "--graders", "pebr", "paper", "--catalog", "small"]) == 0
    out = capsys.readouterr().out
    assert f"{GRADER_VERSION} and paper-1 dispute 10 rollouts of 10 samples" in out
    assert "unparsed: -" in out


@pytest.mark.parametrize(
    "argv", [["show"], ["show", "abcd", "--disputed"], ["show", "abcd", "--graders", "pebr", "paper"]]
)
def test_show_takes_a_sample_or_disputed(probed: list[str], argv: list[str]) -> None:
    assert main(argv) == 2


def test_an_unknown_grader_and_a_catalog_that_was_not_probed(
    probed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["regrade", "small.yaml", "--grader", "papper"]) == 78
    assert "use one of: pebr, paper" in capsys.readouterr().err
    fill(Path("other"), {"train": 1})
    assert main(["regrade", "small.yaml", "--probe", "all", "--store", "other"]) == 77


def test_the_audit_reads_the_sources_or_the_built_catalog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shapes = (ROOT / "catalogs" / "shapes.yaml").read_text().replace("train: 768", "train: 30").replace("512", "10")
    (tmp_path / "shapes.yaml").write_text(shapes)
    from_sources = as_json(capsys, "audit-grader", "shapes.yaml", "--strict")
    assert sum(from_sources["num_samples"].values()) == 40
    assert from_sources["num_unfit"] == 0
    assert [one for one in from_sources["findings"] if one["mistakes"]] == []
    assert main(["build", "shapes.yaml"]) == 0
    assert as_json(capsys, "audit-grader", "shapes.yaml") == from_sources
    assert sum(as_json(capsys, "audit-grader", "shapes.yaml", "--limit", "7")["num_samples"].values()) == 7


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "fixtures" / "audit").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_default_grader_passes_on_rows_shaped_like_what_people_bring(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = as_json(capsys, "audit-grader", str(path), "--store", str(tmp_path), "--strict")
    assert [one for one in report["findings"] if one["mistakes"]] == []


def test_an_unfit_gold_is_shown_and_fails_only_when_strict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"question": "How many?", "answer": answer} for answer in ("nan", "3", "4")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "rows.yaml").write_text(
        "name: rows\nsources: [{name: rows, type: jsonl, file: rows.jsonl, fields: {images: null}}]\n"
    )
    assert main(["audit-grader", "rows.yaml"]) == 0
    out = capsys.readouterr().out
    assert "the gold answer is NaN" in out
    assert "1 golds not correct against themselves" in out
    assert main(["audit-grader", "rows.yaml", "--strict"]) == 65


def test_no_model_framework_and_no_pandas_is_imported(probed: list[str], tmp_path: Path) -> None:
    after = f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    for argv in (["regrade", "small.yaml", "--use"], ["show", "--disputed"], ["audit-grader", "small.yaml"]):
        done = pebr_data(tmp_path, argv, after)
        assert done.returncode == 0, done.stderr
        assert done.stderr.splitlines()[-1] == "[]"
