"""Dedupe and decontaminate on a small store with planted twins."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from pebr_data.catalog.connection import connect
from pebr_data.catalog.store import Catalog
from pebr_data.cli import main as pebr_data
from pebr_data.config import CatalogConfig, load_catalog_config
from pebr_data.errors import UsageError
from pebr_data.images import ImageStore
from pebr_data.select.decontaminate import Overlap, decontaminate
from pebr_data.select.dedupe import dedupe
from pebr_data.select.mixture import select
from pebr_data.sources.base import Reject
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import Candidate
from tests.probed_store import fingerprint, group, probe

YAML = """\
name: {name}
sources:
  - {{name: first, type: shapes, splits: {{train: 1}}}}
  - {{name: second, type: shapes, splits: {{train: 1}}}}
probe: {{rollouts: 4}}
mixtures:
  everything: {{policy: all}}
"""
SETTINGS: dict[str, Any] = {"template": "sections", "max_completion_length": 2048, "max_pixels": 802_816}
SCENES = [
    one for one in ShapesSource(name="x", seed=1, splits={"train": 12}).candidates() if isinstance(one, Candidate)
]
LONG = "In this picture of coloured shapes on a grid, which of the objects lies farthest from the centre?"


def made(number: int, *, source: str = "first", split: str = "train", **changes: object) -> Candidate:
    scene = SCENES[number]
    fresh = Candidate(
        source, split, f"What is at the left of picture {'abcdefghijkl'[number]}?", "circle", scene.images
    )
    return dataclasses.replace(fresh, **changes)


def jpeg(number: int) -> tuple[bytes]:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(SCENES[number].images[0])).convert("RGB").save(buffer, "JPEG", quality=60)
    return (buffer.getvalue(),)


class World:
    """A store with catalogs that are ingested directly; their YAMLs name sources that are never read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"

    def add(self, name: str, candidates: Sequence[Candidate | Reject]) -> CatalogConfig:
        with Catalog.open(self.store) as catalog:
            catalog.ingest(name, "digest", candidates, ImageStore(self.store / "images"))
        path = self.folder / f"{name}.yaml"
        path.write_text(YAML.format(name=name), encoding="utf-8")
        return load_catalog_config(path)

    def ids(self, name: str) -> list[str]:
        """In the order of source and position."""
        with Catalog.open(self.store, read_only=True) as catalog:
            return [sample.sample_id for sample in catalog.samples(name)]

    def marks(self, name: str) -> dict[str, str]:
        with Catalog.open(self.store, read_only=True) as catalog:
            return dict(catalog.marks(name).iter_rows())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_of_each_cluster_the_first_is_kept_and_each_other_says_why_it_is_not(world: World) -> None:
    config = world.add(
        "toys",
        [
            made(0),
            made(0, question="what is at the LEFT of picture a", answer="Circle"),  # the same but for its dress
            made(1),
            made(1, images=jpeg(1)),  # a recompressed picture
            made(2, question=LONG),
            made(2, question=LONG.replace("grid,", "grid -"), images=jpeg(2)),
            made(3),
            made(4, question=made(3).question),  # the same question about another picture
            made(5),
            made(5, question="What is at the right?"),  # another question about the same picture
        ],
    )
    ids = world.ids("toys")
    found = dedupe(config, world.store)
    assert found.duplicates.sort("reason").rows() == [
        (ids[1], ids[0], "exact"), (ids[3], ids[2], "image"), (ids[5], ids[4], "question"),
    ]  # fmt: skip
    assert (found.num_samples, found.num_clusters) == (10, 3)
    assert (found.contradictions, found.look_alikes, dict(found.unknown_images)) == ((), (), {})
    assert world.marks("toys") == dict.fromkeys((ids[1], ids[3], ids[5]), "duplicate")


def test_twins_of_twins_are_one_cluster(world: World) -> None:
    second = made(0, question=made(0).question.upper())
    config = world.add("toys", [made(0, images=jpeg(0)), made(0), second])
    ids = world.ids("toys")
    assert dict(dedupe(config, world.store).duplicates.select("sample_id", "kept_id").iter_rows()) == {
        ids[1]: ids[0], ids[2]: ids[0],
    }  # fmt: skip


def test_a_sample_outside_the_probed_split_is_kept_before_one_to_train_on(world: World) -> None:
    config = world.add("toys", [made(0), made(0, source="second", split="test")])
    train, test = world.ids("toys")
    assert dedupe(config, world.store).duplicates.rows() == [(train, test, "exact")]


def test_golds_that_contradict_inside_a_cluster_are_listed(world: World) -> None:
    config = world.add("toys", [made(0, answer="2"), made(0, answer="two"), made(0, answer="3"), made(1)])
    found = dedupe(config, world.store)
    assert found.reasons() == {"exact": 2, "image": 0, "question": 0}
    [contradiction] = found.contradictions
    assert [gold for _, gold in contradiction.golds] == ["2", "two", "3"]


def test_alike_images_with_the_same_question_and_other_golds_are_both_kept_and_listed(world: World) -> None:
    config = world.add("toys", [made(0, answer="2"), made(0, answer="3", images=jpeg(0))])
    found = dedupe(config, world.store)
    assert found.duplicates.is_empty()
    assert [gold for _, gold in found.look_alikes[0].golds] == ["2", "3"]


def test_several_images_must_all_be_alike(world: World) -> None:
    pair = (*SCENES[0].images, *SCENES[1].images)
    config = world.add(
        "toys",
        [
            made(0, images=pair),
            made(0, images=(*jpeg(0), *SCENES[1].images)),
            made(0, images=(*SCENES[0].images, *SCENES[2].images)),
            made(0),
        ],
    )
    ids = world.ids("toys")
    assert dedupe(config, world.store).duplicates.rows() == [(ids[1], ids[0], "image")]


def test_samples_without_images_are_one_by_question_and_gold(world: World) -> None:
    long = "A train leaves at noon and travels for three hours at a steady pace of 80 kilometres an hour. How far?"
    config = world.add(
        "toys",
        [
            made(0, images=(), question=long, answer="240"),
            made(1, images=(), question=long.replace("a steady", "steady"), answer="240"),
            made(2, images=(), question=long.replace("80", "90"), answer="240"),
        ],
    )
    ids = world.ids("toys")
    assert dedupe(config, world.store).duplicates.rows() == [(ids[1], ids[0], "question")]


def test_pictures_of_one_colour_are_compared_by_their_bytes_alone(world: World) -> None:
    plain = [io.BytesIO(), io.BytesIO()]
    for shade, buffer in enumerate(plain):
        Image.new("RGB", (40, 40), (255, 255, 250 + shade)).save(buffer, "PNG")
    config = world.add("toys", [made(0, images=(one.getvalue(),)) for one in plain])
    assert dedupe(config, world.store).duplicates.is_empty()


def test_a_dry_run_marks_nothing_searching_again_replaces_and_forgetting_takes_the_marks_off(world: World) -> None:
    config = world.add("toys", [made(0), made(0, answer="square")])
    dedupe(config, world.store, dry_run=True)
    assert world.marks("toys") == {}
    dedupe(config, world.store)
    dedupe(config, world.store)
    assert len(world.marks("toys")) == 1
    assert pebr_data(["dedupe", str(config.path), "--forget", "--store", str(world.store)]) == 0
    assert world.marks("toys") == {}


def benchmark_rows(world: World, found: list[Overlap]) -> list[tuple[object, ...]]:
    [overlap] = found
    return overlap.overlaps.rows()


def mark_as_built(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogs were ingested by hand; their YAMLs' sources are nothing to read."""
    monkeypatch.setattr("pebr_data.select.decontaminate.pending", lambda config, store: ())


def test_a_benchmarks_images_and_specific_questions_are_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mark_as_built(world, monkeypatch)
    config = world.add(
        "toys",
        [
            made(0, question="Something else?"),  # the picture itself
            made(1, images=jpeg(1), question="And another?"),  # a copy of a picture
            made(2, question=LONG + " Say it"),  # a question, nearly word by word
            made(3, question="How many are there?"),  # a question that everybody asks
            made(4),
        ],
    )
    benchmark = world.add(
        "bench",
        [
            made(0, source="bench", split="test"),
            made(1, source="bench", split="test"),
            made(5, source="bench", split="test", question=LONG),
            made(6, source="bench", split="test", question="How many are there?"),
        ],
    )
    ids, its = world.ids("toys"), world.ids("bench")
    [overlap] = decontaminate(config, world.store, [benchmark])
    assert dict(zip(overlap.overlaps["sample_id"], overlap.overlaps.rows(), strict=True)) == {
        ids[0]: (ids[0], its[0], "image"),
        ids[1]: (ids[1], its[1], "near-image"),
        ids[2]: (ids[2], its[2], "question"),
    }
    assert (overlap.num_samples, overlap.num_benchmark_samples, overlap.num_seen) == (5, 4, 3)
    assert world.marks("toys") == dict.fromkeys(ids[:3], "in-benchmark")


def test_a_template_is_no_specific_question(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mark_as_built(world, monkeypatch)
    config = world.add("toys", [made(number, question=LONG) for number in range(4)])
    benchmark = world.add("bench", [made(7, source="bench", question=LONG)])
    assert benchmark_rows(world, decontaminate(config, world.store, [benchmark])) == []


def test_a_catalog_is_not_its_own_benchmark(world: World) -> None:
    config = world.add("toys", [made(0)])
    with pytest.raises(UsageError, match="cannot be its own benchmark"):
        decontaminate(config, world.store, [config])


def test_a_benchmark_that_is_not_built_is_built_unless_nothing_is_to_be_written(world: World) -> None:
    config = world.add("toys", [made(0)])
    path = world.folder / "bench.yaml"
    path.write_text("name: bench\nsources:\n  - {name: x, type: shapes, seed: 1, splits: {train: 3}}\n")
    benchmark = load_catalog_config(path)
    [planned] = decontaminate(config, world.store, [benchmark], dry_run=True)
    assert planned.num_benchmark_samples is None
    with Catalog.open(world.store, read_only=True) as catalog:
        assert catalog.names() == ["toys"]
    [overlap] = decontaminate(config, world.store, [benchmark])
    assert (overlap.num_benchmark_samples, overlap.reasons()["image"]) == (3, 1)


def test_marks_of_searches_before_a_build_are_outdated(world: World) -> None:
    config = world.add("toys", [made(0), made(0, answer="square")])
    with Catalog.open(world.store, read_only=True) as catalog:
        assert not catalog.was_deduplicated("toys")
    dedupe(config, world.store)
    with Catalog.open(world.store, read_only=True) as catalog:
        assert catalog.was_deduplicated("toys")
        assert catalog.outdated_searches("toys") == []
    with connect(world.store, read_only=False, wait_seconds=5) as connection:
        connection.execute("UPDATE builds SET finished = finished + INTERVAL 1 DAY")
    with Catalog.open(world.store, read_only=True) as catalog:
        assert catalog.outdated_searches("toys") == [""]


def test_a_mixture_leaves_marked_samples_out_with_the_reason(world: World) -> None:
    config = world.add("toys", [made(0), made(0, answer="square"), made(1), made(2)])
    ids = world.ids("toys")
    probe(world.store, {sample_id: group(2) for sample_id in ids}, dataclasses.replace(fingerprint(), **SETTINGS))
    [before] = select(config, world.store)
    dedupe(config, world.store)
    with Catalog.open(world.store) as catalog:
        row = pl.DataFrame({"sample_id": [ids[2]], "benchmark_sample_id": ["x"], "reason": ["image"]})
        catalog.mark_overlaps("toys", "bench", row, {})
    [after] = select(config, world.store)
    assert set(before.sample_ids) == set(ids)
    assert set(after.sample_ids) == {ids[0], ids[3]}
    assert after.drops == {"duplicate": 1, "in-benchmark": 1}
    with Catalog.open(world.store) as catalog:
        catalog.forget_duplicates("toys")
        catalog.forget_overlaps("toys")
    assert select(config, world.store) == [before]


def test_the_commands_print_what_was_found_and_name_the_next(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    config = world.add("toys", [made(0, answer="2"), made(0, answer="3")])
    path = world.folder / "bench.yaml"
    path.write_text("name: bench\nsources:\n  - {name: x, type: shapes, seed: 1, splits: {train: 3}}\n")
    store = ["--store", str(world.store)]

    assert pebr_data(["dedupe", str(config.path), *store]) == 0
    said = capsys.readouterr()
    assert "golds contradict inside a cluster: 1" in said.out
    assert "pebr-data select" in said.err
    assert pebr_data(["dedupe", str(config.path), "--json", *store]) == 0
    assert json.loads(capsys.readouterr().out)["duplicates"] == {"exact": 1, "image": 0, "question": 0}

    assert pebr_data(["decontaminate", str(config.path), "--against", str(path), "--json", *store]) == 0
    [benchmark] = json.loads(capsys.readouterr().out)["benchmarks"]
    assert benchmark["overlaps"] == {"image": 2, "near-image": 0, "question": 0}
    assert benchmark["num_seen"] == 1
    assert pebr_data(["decontaminate", str(config.path), "--against", str(path), *store]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["bench", "3", "1", "2", "0", "0", "2"]
    assert pebr_data(["decontaminate", str(config.path), *store]) == 2


def test_why_says_what_was_marked_and_by_which_search(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_as_built(world, monkeypatch)
    mine = world.add(
        "mine", [made(0), made(0, question=made(0).question + " "), made(1), Reject("first", "row 3", "no gold")]
    )
    bench = world.add("bench", [made(1, source="second")])
    dedupe(mine, world.store, radius=6)
    decontaminate(mine, world.store, [bench])
    kept, twin, shared = world.ids("mine")
    [seen] = world.ids("bench")

    def why(asked: str, *options: str) -> str:
        assert pebr_data(["why", asked, *options, "--store", str(world.store)]) == 0
        return capsys.readouterr().out

    assert f"kept in mine as the first of 2; duplicates of it:\n    {twin} (exact); by dedupe with radius 6 at" in why(
        kept
    )
    assert f"duplicate in mine of {kept} (exact): `select` leaves it out; by dedupe with radius 6" in why("first:1")
    assert f"in the benchmark bench as {seen} (image): `select` leaves it out of mine; by decontaminate" in why(shared)
    assert f"benchmark bench: mine has it as {shared} (image)" in why(seen)
    assert json.loads(why(twin, "--json"))["duplicates"][0]["reasons"] == {twin: "exact"}
    assert why("first:3") == "first, candidate 3 (row 3): rejected for the catalog mine\n  no gold\n"
    assert json.loads(why("first:3", "--json"))["rejects"][0]["reason"] == "no gold"
    for unknown in ("first:4", "first:x", "third:0"):
        assert pebr_data(["why", unknown, "--store", str(world.store)]) == 65
