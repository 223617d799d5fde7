"""The report of a run: everything it promises is on the page, it needs no network, and a browser is content with it.

The store is real; the rollouts are written from the reference responses with seeded mistakes, so that no model runs.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pebr_data.catalog.ingest import build
from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig, ProbeConfig, ShapesSourceConfig
from pebr_data.grading import Grader, grade
from pebr_data.types import Condition, Fingerprint, Generation, Rollout, RolloutKey, Sample
from pebr_train.done import Done, FinalFile, write_done
from pebr_train.evaluate import greedy_of, measure
from pebr_train.evaluation import METRICS, load_evaluation, save_evaluation
from pebr_train.first_pass import Figure, FirstPass, GivenReward, Span, Trained
from pebr_train.report import write_report
from pebr_train.report.svg import percent
from pebr_train.rundir import RunDir, StageDir

STAGES = ("warmup", "perception", "reasoning")
SKILLS = {"base": 0.38, "warmup": 0.45, "perception": 0.5, "reasoning": 0.66}
"""Share of answers that come out right, by model."""
FIRST_PASS = FirstPass(
    probed="warmup",
    started_from="perception",
    spans=(
        Span(
            name="first pass",
            num_groups=592,
            zero_variance=Figure(foreseen=0.129, low=0.101, high=0.154, seen=0.213, within=False),
            mean_reward=Figure(foreseen=0.561, low=0.542, high=0.577, seen=0.571, within=True),
            squared_advantage=Figure(foreseen=0.7524, low=0.7291, high=0.7776, seen=0.7512, within=True),
            tokens_per_update=Figure(foreseen=4800.6, low=4784.9, high=4816.3, seen=4892.0, within=False),
            given_reward=GivenReward(
                num_blocks=37,
                shift=0.366,
                shift_low=0.279,
                shift_high=0.448,
                zero_variance=Figure(foreseen=0.173, low=0.145, high=0.201, seen=0.213, within=False),
            ),
            trained=Trained(
                learnt_from="perception",
                zero_variance=Figure(foreseen=0.228, low=0.137, high=0.361, seen=0.213, within=True),
                mean_reward=Figure(foreseen=0.675, low=0.569, high=0.761, seen=0.571, within=True),
                squared_advantage=Figure(foreseen=0.675, low=0.559, high=0.755, seen=0.7512, within=True),
            ),
        ),
    ),
    scale_rewards="group",
)
HOSTILE = '<script>alert(1)</script> & "quotes" ]]> </details>'


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
            if index == 0 and fingerprint.temperature:
                text += f"\n### Note: {HOSTILE}"
            generation = Generation(text, len(text.split()), "stop", 40, 9)
            rollouts.append(Rollout(key, generation, grade(text, sample, Grader())))
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
            dead = min(1.0, max(0.0, 0.08 + 0.3 * progress + rng.gauss(0, 0.06)))
            record[f"rewards/{name}/zero_variance_share"] = dead
        if rewards:
            record |= {"reward": 0.45 + 0.2 * progress + rng.gauss(0, 0.03), "reward_std": 0.3}
            record |= {"reward/zero_variance_share": 0.05, "kl": 0.002 * step}
            record |= {"completions/mean_length": 55 + 5 * progress}
        lines.append(json.dumps(record))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + '\n{"step": 3, "torn', "utf-8")


def finish(directory: StageDir, stage: str, steps: int, probe_id: str) -> None:
    directory.final.mkdir()
    (directory.final / "model.safetensors").write_text("x")
    done = Done(
        stage=stage,
        identity={},
        identity_digest="",
        optimizer_steps=steps,
        num_samples=24,
        mixture_id="ab" * 8,
        probe_id=probe_id,
        seconds=steps * 2.5,
        files={"model.safetensors": FinalFile(num_bytes=1, sha256="0" * 64)},
        first_pass=FIRST_PASS if stage == "reasoning" else None,
    )
    write_done(directory, done)


@dataclass(frozen=True)
class World:
    """A finished run: its directory, its store, its catalog and its probes."""

    run: Path
    store: Path
    config: CatalogConfig
    probes: dict[str, str]


def make_world(root: Path, num_train: int, num_test: int) -> World:
    store, run = root / "store", RunDir(root / "quickstart")
    source = ShapesSourceConfig(type="shapes", name="shapes", seed=3, splits={"train": num_train, "test": num_test})
    config = CatalogConfig(
        name="shapes", sources=(source,), probe=ProbeConfig(template="question"), path=root / "shapes.yaml"
    )
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
    write_metrics(run.stage("perception").metrics, ("similarity", "keyword", "format", "length", "accuracy"), 60)
    write_metrics(run.stage("reasoning").metrics, ("accuracy", "format"), 80)
    rewards = [{"name": "accuracy", "weight": 0.0}, {"name": "keyword", "weight": 0.4}]
    recipe = {
        "name": "quickstart",
        "seed": 0,
        "stages": [{"name": "warmup"}, {"name": "perception", "rewards": rewards}],
    }
    run.recipe.write_text(json.dumps(recipe), "utf-8")
    for steps, stage in zip((40, 60, 80), STAGES, strict=True):
        finish(run.stage(stage), stage, steps, probes["base"])
    return World(run.path, store, config, probes)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("report"), 24, 32)


@pytest.fixture(scope="module")
def page(world: World) -> Path:
    return write_report(world.run, store=world.store, config=world.config, probes=world.probes, stages=STAGES)


class Page(HTMLParser):
    """What a page refers to and holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def read(page: Path) -> Page:
    return Page(page.read_text("utf-8"))


def test_the_page_needs_no_network_and_runs_nothing(page: Path, read: Page) -> None:
    assert all(reference.startswith(("data:", "#")) for reference in read.references)
    assert "script" not in read.tags
    assert "@import" not in page.read_text("utf-8") and "url(" not in page.read_text("utf-8")


def test_links_within_the_page_lead_somewhere(read: Page) -> None:
    assert {reference[1:] for reference in read.references if reference.startswith("#")} <= set(read.ids)


def test_what_a_model_says_is_text_and_nothing_else(page: Path, read: Page) -> None:
    assert HOSTILE in read.text
    assert "<script>" not in page.read_text("utf-8")


def test_every_evaluated_point_has_its_figures(world: World, read: Page) -> None:
    for label in SKILLS:
        found = load_evaluation(RunDir(world.run).evaluation(label))
        for metric in METRICS:
            estimate = found.estimate(metric)
            assert estimate is not None
            assert percent(estimate.mean, 1) in "\N{NO-BREAK SPACE}".join(read.words)
    assert "after reasoning" in read.text


def test_the_parts_are_there(read: Page) -> None:
    assert set(read.ids) >= {"results", "difficulty", "training", "gallery", "provenance"}
    for words in (
        "weighted sum",
        "similarity",
        "groups with zero variance",
        "Bands per skill",
        "Gold:",
        "logged, not rewarded",
        "weight 0.4",
        "2 min 30 s",
    ):
        assert words in read.text
    assert read.tags.count("article") >= 4
    assert sum(reference.startswith("data:image/") for reference in read.references) >= 4


def test_the_forecast_stands_beside_what_the_run_showed(read: Page) -> None:
    told = read.text.replace("\N{NO-BREAK SPACE}", " ")
    for row in (
        "first pass 592 zero variance 12.9 % 10.1 % – 15.4 % 21.3 % no",
        "zero variance, trained as in perception 22.8 % 13.7 % – 36.1 % 21.3 % yes",
        "zero variance, given the mean reward 17.3 % 14.5 % – 20.1 % 21.3 % no",
        "mean reward 56.1 % 54.2 % – 57.7 % 57.1 % yes",
        "squared advantage 0.752 0.729 – 0.778 0.751 yes",
        "completion tokens an update 4,801 4,785 – 4,816 4,892 no",
    ):
        assert row in told
    assert "but as of one that goes on changing as in the stage perception" in told
    assert "that which gives the mean reward seen (over the first pass +0.37, +0.28 to +0.45)" in told
    assert "probed, warmup. The stage starts from perception, another policy" in told


def test_a_run_that_has_only_begun_has_a_page_too(world: World, tmp_path: Path) -> None:
    page = write_report(tmp_path / "run", store=world.store, config=world.config, probes={}, stages=STAGES)
    read = Page(page.read_text("utf-8"))
    assert "Nothing has been evaluated yet" in read.text
    assert {"difficulty", "gallery"} & set(read.ids) == set()


def test_evaluations_of_different_samples_are_shown_and_not_compared(world: World, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    whole = [load_evaluation(RunDir(world.run).evaluation(label)) for label in ("base", "reasoning")]
    save_evaluation(whole[0], run.evaluation("base"))
    save_evaluation(replace(whole[1], results=whole[1].results[1:]), run.evaluation("reasoning"))
    page = write_report(run.path, store=world.store, config=world.config, probes=world.probes, stages=STAGES)
    read = Page(page.read_text("utf-8"))
    assert "Not compared: base and reasoning" in read.text
    assert "points" not in read.text.split("Before and after")[0]


def test_writing_again_replaces_the_page_and_leaves_nothing_beside_it(world: World, page: Path) -> None:
    write_report(world.run, store=world.store, config=world.config, probes=world.probes, stages=STAGES)
    assert [path.name for path in page.parent.iterdir() if "report" in path.name] == ["report.html"]


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FRAME = """<!doctype html><body><iframe id=f width={width} height=4000 src="{page}"></iframe>
<script>f.onload = () => {{ const d = f.contentDocument; document.title = JSON.stringify({{
  across: d.documentElement.scrollWidth, charts: d.querySelectorAll('svg.chart').length,
  empty: [...d.querySelectorAll('svg.chart')]
    .filter(s => !s.closest('details') && s.getBoundingClientRect().height < 40).length,
  broken: [...d.images].filter(i => !i.complete || !i.naturalWidth).length, images: d.images.length }}) }}</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH to render the page")
@pytest.mark.parametrize("width", [360, 1200])
def test_a_real_browser_renders_it_without_complaint(page: Path, tmp_path: Path, width: int) -> None:
    assert CHROMIUM is not None
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=width, page=page.as_uri()), "utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--allow-file-access-from-files",
    ]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run([CHROMIUM, *options, frame.as_uri()], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None, done.stdout
    measured = json.loads(title[1])
    assert measured["across"] <= width, "the page scrolls sideways"
    assert (measured["empty"], measured["broken"]) == (0, 0)
    assert measured["charts"] >= 15 and measured["images"] >= 4
