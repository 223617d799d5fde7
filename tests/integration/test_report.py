"""The report of a run: everything it promises is on the page, it needs no network, and a browser is content with it.

The store is real; the rollouts are written from the reference responses with seeded mistakes, so that no model runs.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pebr_data.catalog.ingest import build
from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig, ProbeConfig, ShapesSourceConfig
from pebr_data.grading import grade
from pebr_data.types import Condition, Fingerprint, Generation, Rollout, RolloutKey, Sample
from pebr_train.evaluate import greedy_of, measure
from pebr_train.evaluation import save_evaluation
from pebr_train.report import write_report
from pebr_train.rundir import RunDir

STAGES = ("warmup", "perception", "reasoning")
SKILLS = {"base": 0.38, "warmup": 0.45, "perception": 0.5, "reasoning": 0.66}
"""Share of answers that come out right, by model."""
NUM_TRAIN, NUM_TEST = int(os.environ.get("PEBR_REPORT_TRAIN", "24")), int(os.environ.get("PEBR_REPORT_TEST", "32"))
HOSTILE = "<script>alert(1)</script> & \"quotes\" ]]> </details>"


def policy(model: str) -> Fingerprint:
    return Fingerprint(model, model * 2, "question", Condition.IMAGE, 1.2, 0.99, 160, 802_816, "transformers")


def answer(sample: Sample, skill: float, rng: random.Random) -> str:
    """The reference response; with mistakes in the description and the answer as often as the skill says."""
    text = sample.response or ""
    for color in ("red", "blue", "green", "yellow"):
        if rng.random() > 0.5 + skill / 2:
            text = text.replace(f"{color} ", "purple ", 1)
    if rng.random() > skill:
        text = re.sub(r"(### The final answer is:).*", r"\1 17", text)
    if rng.random() < 0.04:
        text = text.split("### The final")[0]
    return text


def roll(catalog: Catalog, fingerprint: Fingerprint, samples: list[Sample], count: int, skill: float) -> None:
    catalog.register_probe(fingerprint)
    rollouts = []
    for sample in samples:
        ease = random.Random(sample.sample_id).betavariate(0.9, 0.9)
        for index in range(count):
            key = RolloutKey(fingerprint.probe_id, sample.sample_id, index)
            rng = random.Random(key.seed)
            own = min(1.0, max(0.0, skill + (ease - 0.5)))
            text = answer(sample, own if fingerprint.temperature else float(own > 0.4), rng)
            if sample is samples[0] and index == 0:
                text = f"### Image Description: {HOSTILE}\n{text}"
            generation = Generation(text, len(text.split()), "stop", 40, 9)
            rollouts.append(Rollout(key, generation, grade(text, sample)))
    catalog.merge_rollouts(rollouts)


def write_metrics(path: Path, rewards: tuple[str, ...], steps: int) -> None:
    rng = random.Random(path.parent.name)
    lines = []
    for step in range(1, steps + 1):
        progress = step / steps
        record: dict[str, float] = {"step": step, "loss": 0.6 * (1 - progress) + rng.gauss(0.1, 0.02)}
        for place, name in enumerate(rewards):
            record[f"rewards/{name}/mean"] = 0.4 + 0.1 * place + 0.2 * progress + rng.gauss(0, 0.04)
            record[f"rewards/{name}/std"] = 0.4 - 0.15 * progress
            record[f"rewards/{name}/zero_std"] = min(1.0, max(0.0, 0.08 + 0.3 * progress + rng.gauss(0, 0.06)))
        if rewards:
            record |= {"reward": 0.45 + 0.2 * progress + rng.gauss(0, 0.03), "reward_std": 0.3}
            record |= {"frac_reward_zero_std": 0.05, "kl": 0.002 * step, "completions/mean_length": 55 + 5 * progress}
        lines.append(json.dumps(record))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + '\n{"step": 3, "torn', "utf-8")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, CatalogConfig, dict[str, str]]:
    """(run directory, store, catalog, probes) after a whole run."""
    root = tmp_path_factory.mktemp("report")
    store, run = root / "store", RunDir(root / "quickstart")
    source = ShapesSourceConfig(type="shapes", name="shapes", seed=3, splits={"train": NUM_TRAIN, "test": NUM_TEST})
    config = CatalogConfig(name="shapes", sources=(source,), probe=ProbeConfig(template="question"), path=root / "c.yaml")
    build(config, store)
    probes = {label: policy(label).probe_id for label in ("base", "warmup")}
    with Catalog.open(store) as catalog:
        train, test = (catalog.samples("shapes", split) for split in ("train", "test"))
        for label in probes:
            roll(catalog, policy(label), train, 8, SKILLS[label])
        for label, skill in SKILLS.items():
            roll(catalog, policy(label), test, 4, skill)
            roll(catalog, greedy_of(policy(label)), test, 1, skill)
            save_evaluation(measure(catalog, "shapes", "test", test, policy(label), 4), run.evaluation(label))
    write_metrics(run.stage("warmup").metrics, (), 40)
    write_metrics(run.stage("perception").metrics, ("similarity", "keyword", "format", "length"), 60)
    write_metrics(run.stage("reasoning").metrics, ("accuracy", "format"), 80)
    run.recipe.write_text(json.dumps({"name": "quickstart", "seed": 0, "model": "pebr-tiny"}), "utf-8")
    return run.path, store, config, probes


@pytest.fixture(scope="module")
def page(world: tuple[Path, Path, CatalogConfig, dict[str, str]]) -> Path:
    run, store, config, probes = world
    return write_report(run, store=store, config=config, probes=probes, stages=STAGES)
