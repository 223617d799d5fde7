"""From rollouts under three conditions to diagnoses, a mixture by diagnosis, and a review that is loaded back."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.cli import main as pebr_data
from pebr_data.config import load_catalog_config
from pebr_data.errors import RefusedError
from pebr_data.grading import Grader
from pebr_data.grading.versions import Grading
from pebr_data.images import ImageStore
from pebr_data.select.mixture import select
from pebr_data.types import Condition, Fingerprint, Generation, Rollout, RolloutKey
from tests.probed_store import YAML, candidate, fill, fingerprint, group, make_config, probe

NUM_SAMPLES = 40
SMALL = (
    YAML.replace("rollouts: 4", "rollouts: 8")
    + "  seeing: {policy: diagnosis, diagnosis: perception-bound, control: true}\n"
    + "  thinking: {policy: diagnosis, diagnosis: [reasoning-bound, hard]}\n"
    + "  steady: {policy: all, where: {pass_rate: [0.2, 0.9], band: [medium]}}\n"
)
RIGHT: Mapping[int, tuple[int, int]] = {
    0: (1, 8), 1: (0, 7), 2: (2, 8),  # perception-bound
    3: (1, 0), 4: (0, 1),  # reasoning-bound
    5: (3, 4),  # hard
    6: (0, 0),  # all eight give another answer: its gold is wrong
}  # fmt: skip
"""How many of eight rollouts are right shown and described; of the other samples all are."""


def answers(gold: str, num_right: int, other: str) -> list[str]:
    """Eight answers, the wrong ones all different unless `other` is given."""
    wrong = [other or str(90 + n) for n in range(8 - num_right)]
    return [f"### The final answer is: {one}" for one in [*[gold] * num_right, *wrong]]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    store = tmp_path_factory.mktemp("diagnosed") / "store"
    made = [candidate(number) for number in range(NUM_SAMPLES)]
    made = [dataclasses.replace(one, images=made[0].images, skill="count") for one in made]
    with Catalog.open(store) as catalog:
        catalog.ingest("small", "digest", iter(made), ImageStore(store / "images"))
        samples = catalog.samples("small")
        for condition in Condition:
            policy = fingerprint(condition=condition)
            catalog.register_probe(policy)
            merged = []
            for number, sample in enumerate(samples):
                shown, described = RIGHT.get(number, (8, 8))
                num_right = {Condition.IMAGE: shown, Condition.BLIND: 0, Condition.DESCRIBED: described}[condition]
                other = "77" if number == 6 else ""
                merged += _rollouts(policy, sample, answers(sample.answer, num_right, other))
            catalog.merge_rollouts(merged)
    return store, [sample.sample_id for sample in samples]


def _rollouts(policy: Fingerprint, sample: Any, completions: list[str]) -> list[Rollout]:
    grades = Grading(Grader()).grade([(text, sample, "stop") for text in completions])
    return [
        Rollout(RolloutKey(policy.probe_id, sample.sample_id, index), Generation(text, 5, "stop"), grade)
        for index, (text, grade) in enumerate(zip(completions, grades, strict=True))
    ]


@pytest.fixture
def place(template: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A directory with `small.yaml` and a copy of the store in it, and the samples' ids."""
    shutil.copytree(template[0], tmp_path / "store")
    make_config(tmp_path, SMALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PEBR_STORE", raising=False)
    return template[1]


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    capsys.readouterr()
    assert pebr_data([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_mixtures_by_diagnosis_and_why_everybody_else_is_not_in_them(place: list[str]) -> None:
    chosen = {one.name: one for one in select(load_catalog_config(Path("small.yaml")), Path("store"))}
    assert sorted(chosen["seeing"].sample_ids) == sorted(place[:3])
    assert sorted(chosen["thinking"].sample_ids) == sorted(place[3:6])
    assert chosen["seeing"].drops == {
        "band-easy": 33, "diagnosis-hard": 1, "diagnosis-reasoning-bound": 2, "diagnosis-suspected-gold": 1,
    }  # fmt: skip
    assert len(chosen["seeing_control"].sample_ids) == 3
    assert sorted(chosen["steady"].sample_ids) == sorted([place[2], place[5]])
    assert chosen["steady"].drops == {"other-band": 36, "other-pass-rate": 2}


def test_stats_counts_diagnoses_and_why_and_show_name_one(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (probe,) = told(capsys, "stats", "--by", "diagnosis")
    counts = {row["diagnosis"]: row["num_samples"] for row in probe["diagnoses"]}
    assert counts == {"easy": 33, "perception-bound": 3, "suspected-gold": 1, "reasoning-bound": 2, "hard": 1}
    assert sum(row["share"] for row in probe["diagnoses"]) == pytest.approx(1)
    assert probe["diagnoses"][1]["pass_rate"] == pytest.approx(1 / 8)

    assert pebr_data(["stats", "--by", "diagnosis"]) == 0
    assert "perception-bound        3  0.075           0.125" in capsys.readouterr().out
    assert pebr_data(["why", place[0]]) == 0
    seen = "diagnosis perception-bound: right in 1 of 8 shown, 8 of 8 described, 0 of 8 blind"
    assert seen in capsys.readouterr().out
    assert pebr_data(["show", place[6]]) == 0
    assert "diagnosis suspected-gold: 8 of 8 rollouts answer 77, 0 the gold" in capsys.readouterr().out
    assert told(capsys, "why", place[6])["probes"][0]["diagnosis"] == "suspected-gold"


def test_another_condition_is_no_place_to_begin(place: list[str]) -> None:
    described = fingerprint(condition=Condition.DESCRIBED).probe_id
    with pytest.raises(RefusedError, match="this probe is described"):
        select(load_catalog_config(Path("small.yaml")), Path("store"), probe_id=described, names=["seeing"])


def test_a_mixture_that_nobody_could_be_in_is_refused_with_the_probe_that_is_missing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    probe(store, {sample_id: group(n) for n, sample_id in enumerate(fill(store, {"train": 5}))})
    config = make_config(tmp_path, YAML + "  seeing: {policy: diagnosis, diagnosis: [hard, perception-bound]}\n")
    with pytest.raises(RefusedError, match="scripted was not probed described") as caught:
        select(config, store, names=["seeing"])
    assert "--condition described" in (caught.value.help or "")


def load(path: Path) -> None:
    assert pebr_data(["regrade", "small.yaml", "--golds", str(path), "--probe", "all", "--use"]) == 0


def say(sample_id: str, **said: str) -> None:
    """A review list of one row, loaded."""
    path = Path("said.jsonl")
    path.write_text(json.dumps({"sample_id": sample_id, "verdict": "", **said}) + "\n", "utf-8")
    load(path)


def test_a_review_is_written_edited_and_loaded_back(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    store, path = Path("store"), Path("review.jsonl")
    assert pebr_data(["review", "small.yaml", "--to", str(path)]) == 0
    (line,) = path.read_text("utf-8").splitlines()
    row = json.loads(line)
    assert (row["sample_id"], row["gold"], row["majority"]) == (place[6], "1", "77")
    load(path)
    with Catalog.open(store, read_only=True) as catalog:
        assert (catalog.golds_in_force(), catalog.gold_reviews()) == ("", [])

    path.write_text(json.dumps({**row, "verdict": "right", "reason": "counted twice"}) + "\n", "utf-8")
    load(path)
    assert pebr_data(["review", "small.yaml", "--to", str(path)]) == 77, "what was edited is not overwritten"
    assert told(capsys, "review", "small.yaml") == []
    assert told(capsys, "why", place[6])["probes"][0]["diagnosis"] == "reasoning-bound"

    say(place[6], verdict="drop")
    for mixture in select(load_catalog_config(Path("small.yaml")), store, names=["warmup", "thinking", "steady"]):
        assert mixture.drops["dropped-in-review"] == 1

    say(place[6], verdict="wrong", answer="77")
    say(place[0], verdict="right")  # another list does not take back what this one corrected
    with Catalog.open(store, read_only=True) as catalog:
        assert catalog.samples(sample_ids=[place[6]])[0].answer == "77"
    assert told(capsys, "why", place[6])["probes"][0]["band"] == "easy"


def test_a_review_can_be_a_table(place: list[str]) -> None:
    path = Path("review.csv")
    assert pebr_data(["review", "small.yaml", "--to", str(path)]) == 0
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(row))
        table.writeheader()
        table.writerow({**row, "answer": row["majority"]})
    load(path)
    with Catalog.open(Path("store"), read_only=True) as catalog:
        assert catalog.samples(sample_ids=[place[6]])[0].answer == "77"


def test_a_frozen_mixture_says_which_code_chose_it(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from pebr_data import __version__

    assert pebr_data(["select", "small.yaml", "--mixture", "seeing"]) == 0
    (decision,) = told(capsys, "why", place[0])["mixtures"]
    assert decision["code_version"] == __version__
