"""Every catalog in `catalogs/`, built from end to end on rows of our own in the columns of the dataset it names."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from pebr_data.catalog.ingest import BuildResult, build
from pebr_data.catalog.store import Catalog
from pebr_data.config import load_catalog_config
from pebr_data.errors import ConfigError
from pebr_data.grading.equivalence import gold_problem
from pebr_data.images import ImageStore
from pebr_data.sources.base import open_source
from pebr_data.types import Sample
from tests.fixtures.make_datasets import HERE, picture
from tests.fixtures.pebr_r1.make import bars

ROOT = Path(__file__).parents[2]
CATALOGS = ROOT / "catalogs"
ON_THE_HUB = [path for path in CATALOGS.rglob("*.yaml") if "type: hub" in path.read_text("utf-8")]


@dataclass(frozen=True)
class Row:
    """What one row of a dataset must become; `bars` are the numbers of its pictures."""

    question: str
    answer: str
    bars: tuple[int, ...] = ()
    options: tuple[str, ...] = ()
    split: str = "train"
    skill: str | None = None
    answer_type: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    grading: dict[str, Any] = field(default_factory=dict)


MATHVISTA = {"category": "made", "context": "bar chart", "grade": "none", "language": "english", "task": "figure"}
TALLER = "Which is taller?\nA. left\nB. right"

EXPECTED: dict[str, tuple[list[Row], dict[str, int]]] = {
    "geometry3k": (
        [
            Row("Find $x$ in figure 0.", "58", (1,)),
            Row("Find $x$ in figure 1.", "2 \\sqrt { 221 }", (2,)),
            Row("Find $x$ in figure 2.", "\\frac { 3 } { 2 }", (3,)),
            Row("Find $x$ in figure 3.", "7", (4,), split="validation"),
            Row("Find $x$ in figure 4.", "12.5", (5,), split="test"),
            Row("Find $x$ in figure 5.", "x", (6,), split="test"),
        ],
        {},
    ),
    "mmk12": (
        [
            Row("As shown, how many bars are there?", "2", (2,), skill="math", metadata={"id": "m-0"}),
            Row("How high is bar 3?", "$\\sqrt{3}$", (3,), skill="math", metadata={"id": "m-1"}),
            Row("Which bar moves?\nA. the first\nB. the second", "B", (4,), split="test", skill="physics",
                metadata={"id": "p-0"}),
        ],
        {},
    ),
    "virl39k": (
        [
            Row(TALLER, "B", (1,), skill="charts", metadata={
                "qid": "v-0", "source": "made", "pass_rates": {"PassRate_32BTrained": 0.75, "PassRate_7BBase": 0.25}}),
            Row("What do the bars sum to?", "\\frac{5}{2}", (2, 1), skill="arithmetic", metadata={
                "qid": "v-1", "source": "made", "pass_rates": {"PassRate_32BTrained": 1.0}}),
        ],
        {"the answer's column has no \\boxed{}": 1},
    ),
    "mmr1_rl": (
        [
            Row("How many bars are shown?", "3", (3,)),
            Row("Compare with image 2. Which has more bars?\nA. image 1\nB. image 2", "B", (1, 5)),
        ],
        {},
    ),
    "multimodal_open_r1_8k": (
        [Row("How many bars are there?", "2", (2,)), Row(TALLER, "B", (3,))],
        {"the answer's column has no <answer> tag": 1},
    ),
    "clevr_cogent": ([Row("How many items are there?", "4", (2,)), Row("Count.", "7", (3,))], {}),
    "geoqa_r1v": ([Row("As shown, angle 1 is", "60°", (2,)), Row("Find AB.", "2√{3}", (3,))], {}),
    "mulberry_sft": (
        [Row("Question: How many bars are there?", str(number), (number,)) for number in (1, 2)],
        {"the response holds 'let me rethink it'": 1},
    ),
    "mathvista": (
        [
            Row("Which bar is taller?\nA. left\nB. right", "right", (2,), ("left", "right"), "test", "figure", "text",
                {"pid": "1", "question_type": "multi_choice", "metadata": MATHVISTA}),
            Row("How tall is it?", "1.2", (3,), (), "test", "figure", "float",
                {"pid": "2", "question_type": "free_form", "metadata": MATHVISTA}, {"unit": "m", "decimals": 1.0}),
        ],
        {"the answer names none of the options, or several": 1},
    ),
}  # fmt: skip


def built(name: str, place: Path) -> tuple[list[Sample], BuildResult]:
    """The catalog's samples by position, read from the fixture: only where the data lies is changed."""
    written = next(CATALOGS.rglob(f"{name}.yaml"))
    content = yaml.safe_load(written.read_text("utf-8"))
    for source in content["sources"]:
        if source["type"] == "hub":
            source |= {"dataset": f"./{name}"}
            source |= {"image_root": f"./{name}"} if "image_root" in source else {}
        else:
            source |= {"file": f"./{name}/{name}.json", "image_root": f"./{name}/images"}
    shutil.copytree(HERE / name, place / name)
    (place / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    config = load_catalog_config(place / f"{name}.yaml")
    result = build(config, place / "store")
    with Catalog.open(place / "store", read_only=True) as catalog:
        return catalog.samples(config.name), result


@pytest.mark.parametrize("name", EXPECTED)
def test_each_row_of_the_dataset_becomes_what_it_should(name: str, tmp_path: Path) -> None:
    samples, result = built(name, tmp_path)
    expected, rejects = EXPECTED[name]
    assert dict(result.rejects) == rejects
    form = "JPEG" if name == "mulberry_sft" else "PNG"
    store = ImageStore(tmp_path / "store" / "images")
    assert len(samples) == len(expected)
    for sample, row in zip(samples, expected, strict=True):
        assert (sample.question, sample.answer, sample.split) == (row.question, row.answer, row.split)
        assert sample.options == row.options
        assert sample.skill == row.skill
        assert row.answer_type in (None, sample.answer_type)
        assert sample.grading == row.grading
        assert dict(sample.metadata) == row.metadata
        assert [store.get(image) for image in sample.image_hashes] == [picture(bars, form) for bars in row.bars]
        assert gold_problem(sample.answer, sample.answer_type, sample.options) is None
    if name == "mulberry_sft":
        assert all((sample.response or "").startswith("### Image Description:") for sample in samples)


HOW_MANY, HOW_TALL = ("How many bars are there?", ("bars",)), ("How tall is the tallest bar?", ("bar", "tallest"))
RELEASED = [
    (*HOW_MANY, "3", [1, 4, 7]),
    (*HOW_TALL, "8", [2, 5, 8, 2]),
    (*HOW_MANY, "5", [3, 6, 9, 3, 6]),
    (*HOW_TALL, "7", [4, 7, 1]),
    (*HOW_MANY, "4", [5, 8, 2, 5]),
    (*HOW_TALL, "9", [6, 9, 3, 6, 9]),
    (*HOW_MANY, "3", [7, 1, 4]),
    (*HOW_TALL, "8", [8, 2, 5, 8]),
]
DEMONSTRATED = [[2, 5, 1], [3, 5, 2]]


def test_the_released_data_is_built_from_two_sources_with_their_images_in_tars(tmp_path: Path) -> None:
    (tmp_path / "catalogs").mkdir()
    shutil.copy(CATALOGS / "pebr_r1.yaml", tmp_path / "catalogs")
    shutil.copytree(HERE / "pebr_r1", tmp_path / "data" / "pebr_r1")
    config = load_catalog_config(tmp_path / "catalogs" / "pebr_r1.yaml")
    result = build(config, tmp_path / "store")
    assert (result.built, dict(result.samples)) == (("pebr-grpo", "pebr-sft"), {"train": 8, "demonstrations": 2})
    assert dict(result.rejects) == {
        "the response holds 'let me rethink it'": 1,
        "a side of the image has fewer than 28 pixels": 1,
    }
    with Catalog.open(tmp_path / "store", read_only=True) as catalog:
        prompts, demonstrations = catalog.samples("pebr_r1", "train"), catalog.samples("pebr_r1", "demonstrations")
    images = ImageStore(tmp_path / "store" / "images")
    assert len(prompts) == len(RELEASED)
    for qid, (sample, (question, keywords, answer, heights)) in enumerate(zip(prompts, RELEASED, strict=True)):
        assert (sample.source, sample.question, sample.answer) == ("pebr-grpo", question, answer)
        assert (sample.keywords, dict(sample.metadata), sample.response) == (keywords, {"qid": qid}, None)
        assert [images.get(image) for image in sample.image_hashes] == [bars(heights)]
        assert gold_problem(sample.answer, sample.answer_type, sample.options) is None
    for sample, heights in zip(demonstrations, DEMONSTRATED, strict=True):
        assert (sample.source, sample.question) == ("pebr-sft", "Question: How tall is the tallest bar?")
        assert (sample.answer, sample.keywords, dict(sample.metadata)) == ("5", (), {})
        assert sample.response == (
            f"### Image Description: bars of heights {heights}\n### Rationales: compare the bars\n"
            "### Let's think step by step.\n### Step 1: the middle bar has height 5\n### The final answer is: 5"
        )
        assert [images.get(image) for image in sample.image_hashes] == [bars(heights)]
    assert build(config, tmp_path / "store").skipped == ("pebr-grpo", "pebr-sft")


def test_every_catalog_that_is_shipped_is_tried_somewhere() -> None:
    assert {path.stem for path in CATALOGS.rglob("*.yaml")} == {*EXPECTED, "pebr_r1", "shapes"}


@pytest.mark.parametrize("path", ON_THE_HUB, ids=lambda path: path.stem)
def test_a_catalog_on_the_hub_asks_for_the_revision_and_says_that_it_was_not_checked(path: Path) -> None:
    assert "Nothing here was checked against the hub" in path.read_text("utf-8")
    config = load_catalog_config(path)
    with pytest.raises(ConfigError, match="without the revision to read") as caught:
        open_source(config.sources[0], config.base_dir)
    assert "dataset_info" in str(caught.value.help)


def test_the_fixtures_are_what_their_script_makes(tmp_path: Path) -> None:
    shutil.copy(HERE / "make_datasets.py", tmp_path)
    subprocess.run([sys.executable, tmp_path / "make_datasets.py"], check=True, timeout=240)
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.suffix in (".parquet", ".json")}
    assert len(made) == 13
    for path in made:
        assert (HERE / path).stat().st_size == (tmp_path / path).stat().st_size
