"""Ingesting: identity, rejects, rebuilding, what a second build does."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pebr_data.catalog.connection import connect
from pebr_data.catalog.image_facts import complete_image_facts
from pebr_data.catalog.ingest import BATCH_SIZE, BuildResult, IngestCounts, build
from pebr_data.catalog.ingest import ingest as ingest_stream
from pebr_data.catalog.pending import pending
from pebr_data.catalog.store import Catalog
from pebr_data.config import load_catalog_config
from pebr_data.errors import DataError, RefusedError, StorageError
from pebr_data.images import ImageStore
from pebr_data.images.facts import examine
from pebr_data.sources.base import Reject
from pebr_data.types import Candidate, sample_id_of

NUMBERS = itertools.count()


def png(shade: int, side: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (shade % 256, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def candidate(number: int, **changes: object) -> Candidate:
    made = Candidate(
        source="toy",
        split="train",
        question=f"How many of {number}?",
        answer=str(number),
        images=(png(number),),
        answer_type="count",
        options=("1", "2"),
        keywords=("red circle",),
        description="a red square",
        response="### The final answer is: 1",
        skill="count",
        metadata={"level": number, "objects": [{"size": "large"}]},
    )
    return dataclasses.replace(made, **changes)


def ingest(store: Path, *items: Candidate | Reject, catalog: str = "toys") -> IngestCounts:
    with Catalog.open(store) as opened:
        return opened.ingest(catalog, "digest", iter(items), ImageStore(store / "images"))


def reject_rows(store: Path) -> list[tuple[str, str, int]]:
    with Catalog.open(store, read_only=True) as catalog:
        return catalog.stats().rejects.select("source", "reason", "num_rejects").rows()


def test_a_sample_comes_back_as_it_was_yielded(tmp_path: Path) -> None:
    given_candidate = candidate(3, images=(png(1), png(2), png(1)))
    counts = ingest(tmp_path, given_candidate)
    assert counts == IngestCounts(samples={"train": 1}, num_new=1, num_existing=0, rejects={})
    with Catalog.open(tmp_path, read_only=True) as catalog:
        [sample] = catalog.samples()
    for name in ("source", "split", "question", "answer", "answer_type", "options", "keywords", "description",
                 "response", "skill", "metadata"):  # fmt: skip
        assert getattr(sample, name) == getattr(given_candidate, name)
    assert sample.sample_id == sample_id_of("toy", sample.question, "3", sample.image_hashes)
    images = ImageStore(tmp_path / "images")
    assert tuple(images.get(image_hash) for image_hash in sample.image_hashes) == given_candidate.images


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip),
    metadata=st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers(-(2**53), 2**53) | st.none()),
)
def test_any_text_comes_back_as_it_was_yielded(tmp_path: Path, text: str, metadata: dict[str, int | None]) -> None:
    name = f"example{next(NUMBERS)}"
    made = candidate(0, question=text, answer=text, keywords=(text,), metadata=metadata, images=())
    with Catalog.open(tmp_path) as catalog:
        catalog.ingest(name, "digest", [made], ImageStore(tmp_path / "images"))
        [sample] = catalog.samples(name)
    assert (sample.question, sample.answer, sample.keywords, sample.metadata) == (text, text, (text,), metadata)


def test_ingesting_twice_changes_nothing(tmp_path: Path) -> None:
    items = [candidate(number) for number in range(5)]
    ingest(tmp_path, *items)
    with Catalog.open(tmp_path, read_only=True) as catalog:
        before = catalog.samples("toys")
    assert ingest(tmp_path, *items) == IngestCounts({"train": 5}, num_new=0, num_existing=5, rejects={})
    with Catalog.open(tmp_path, read_only=True) as catalog:
        assert catalog.samples("toys") == before


def test_more_than_a_batch_is_kept_in_the_sources_order(tmp_path: Path) -> None:
    count = BATCH_SIZE + 3
    counts = ingest(tmp_path, *(candidate(number, images=()) for number in range(count)))
    assert counts.samples == {"train": count}
    with Catalog.open(tmp_path, read_only=True) as catalog:
        assert [sample.answer for sample in catalog.samples("toys")] == [str(number) for number in range(count)]


def test_samples_are_found_by_catalog_split_and_id(tmp_path: Path) -> None:
    ingest(tmp_path, candidate(0), candidate(1, split="test"), candidate(2))
    ingest(tmp_path, candidate(1, split="test"), catalog="other")
    with Catalog.open(tmp_path, read_only=True) as catalog:
        zero, one, two = catalog.samples("toys")
        assert catalog.names() == ["other", "toys"]
        assert catalog.samples("toys", "train") == [zero, two]
        assert catalog.samples("other") == [one]
        assert catalog.samples(sample_ids=[two.sample_id, zero.sample_id]) == [two, zero]
        assert catalog.samples("other", sample_ids=[two.sample_id]) == []
        assert catalog.samples(sample_ids=[]) == []
        with pytest.raises(DataError, match="no sample feed"):
            catalog.samples(sample_ids=[zero.sample_id, "feed"])
        with pytest.raises(DataError, match="no catalog named toyz; it has other, toys"):
            catalog.samples("toyz")


def test_a_sample_is_not_moved_to_another_split_under_another_catalog(tmp_path: Path) -> None:
    ingest(tmp_path, candidate(0))
    with pytest.raises(RefusedError, match="into the split 'test' that the catalog 'toys' has in 'train'"):
        ingest(tmp_path, candidate(1), candidate(0, split="test"), catalog="other")
    with Catalog.open(tmp_path, read_only=True) as catalog:
        assert [sample.split for sample in catalog.samples("toys")] == ["train"]
        assert catalog.samples("other") == []
    ingest(tmp_path, candidate(0, source="mine", split="test"), catalog="other")
    with Catalog.open(tmp_path, read_only=True) as catalog:
        assert [sample.split for sample in catalog.samples("other")] == ["test"]


def test_what_cannot_be_used_is_a_reject_with_a_reason(tmp_path: Path) -> None:
    counts = ingest(
        tmp_path,
        candidate(0),
        Reject("toy", "toy.json:2", "no answer"),
        candidate(1, images=(b"no image",)),
        candidate(2, images=(png(2, side=8),)),
        candidate(3, images=(png(3), b"no image")),
        candidate(4, question=" \n"),
        candidate(5, metadata={"level": float("nan")}),
        candidate(6, metadata={"level": object()}),
        Reject("toy", "odd\udcff.json", "odd\udcff name"),
        candidate(7, question="half a surrogate \ud800"),
    )
    assert counts.samples == {"train": 1}
    assert sum(counts.rejects.values()) == 9
    assert {"no answer", "the question is empty"} < counts.rejects.keys()
    assert any(reason.startswith("image 2: ") for reason in counts.rejects)
    assert any("lone surrogate" in reason for reason in counts.rejects)
    assert {(reason, number) for _, reason, number in reject_rows(tmp_path)} == set(counts.rejects.items())


def test_a_disk_that_refuses_an_image_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("in the way")
    with pytest.raises(StorageError, match="an image could not be stored"):
        ingest(tmp_path, candidate(0))


def test_a_repeated_candidate_is_a_reject_and_a_split_never_shares_a_sample(tmp_path: Path) -> None:
    counts = ingest(tmp_path, candidate(0), candidate(0), candidate(0, split="test"))
    assert counts.samples == {"train": 1}
    assert counts.rejects == {"already in the split train": 1, "duplicate of an earlier candidate": 1}


def test_ingesting_again_replaces_rejects_and_takes_over_what_the_source_now_says(tmp_path: Path) -> None:
    ingest(tmp_path, candidate(0), candidate(1), Reject("toy", "line 3", "no answer"))
    changed = candidate(0, keywords=("blue",), split="test", metadata={}, description=None)
    counts = ingest(tmp_path, changed)
    assert counts == IngestCounts({"test": 1}, num_new=0, num_existing=1, rejects={})
    assert reject_rows(tmp_path) == []
    with Catalog.open(tmp_path, read_only=True) as catalog:
        [sample] = catalog.samples("toys")
        assert (sample.keywords, sample.split, sample.metadata, sample.description) == (("blue",), "test", {}, None)
        assert len(catalog.samples()) == 2  # rollouts and mixtures may still refer to the other one


def write_catalog(folder: Path, rows: list[dict[str, object]], *, sources: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "a.png").write_bytes(png(9))
    (folder / "rows.json").write_text(json.dumps(rows))
    path = folder / "toys.yaml"
    path.write_text(
        "name: toys\n"
        "sources:\n"
        "  - {type: json, name: toy, file: rows.json, fields: {question: problem, answer: answer, images: images}}\n"
        + sources
    )
    return path


ROWS: list[dict[str, object]] = [
    {"problem": "How many?", "answer": "1", "images": ["a.png"]},
    {"problem": "Which?", "answer": "red", "images": ["a.png"]},
    {"problem": "Where?", "answer": "left", "images": ["missing.png"]},
]


def test_a_second_build_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_catalog_config(write_catalog(tmp_path / "yaml", ROWS))
    seen: list[tuple[str, int]] = []
    first = build(config, tmp_path / "store", progress=lambda source, done: seen.append((source, done)))
    assert (first.built, first.skipped, first.num_new) == (("toy",), (), 2)
    assert first.samples == {"train": 2}
    assert sum(first.rejects.values()) == 1
    assert seen == [("toy", 3)]

    def never(self: object) -> Iterator[Candidate]:
        raise AssertionError("the source was read again")

    monkeypatch.setattr("pebr_data.sources.rows.RowSource.candidates", never)
    second = build(config, tmp_path / "store")
    assert second == BuildResult("toys", (), ("toy",), first.samples, 0, 2, first.rejects)


def test_an_image_that_was_lost_is_stored_again(tmp_path: Path) -> None:
    config = load_catalog_config(write_catalog(tmp_path / "yaml", ROWS))
    build(config, tmp_path / "store")
    lost, *_ = (path for path in (tmp_path / "store" / "images").rglob("*") if path.is_file())
    lost.unlink()

    assert pending(config, tmp_path / "store") == ("toy",)
    result = build(config, tmp_path / "store")

    assert (result.built, result.num_new, result.num_existing) == (("toy",), 0, 2)
    assert lost.is_file()
    assert pending(config, tmp_path / "store") == ()


def test_a_build_that_stopped_half_way_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_catalog_config(write_catalog(tmp_path / "yaml", ROWS))
    monkeypatch.setattr("pebr_data.catalog.ingest.BATCH_SIZE", 1)

    def stop(source: str, done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(config, tmp_path / "store", progress=stop)
    with Catalog.open(tmp_path / "store", read_only=True) as catalog:
        assert len(catalog.samples("toys")) == 1
    result = build(config, tmp_path / "store")
    assert (result.built, result.num_new, result.num_existing) == (("toy",), 1, 1)
    assert result.samples == {"train": 2}


def test_changed_rows_and_removed_sources_change_what_the_catalog_holds(tmp_path: Path) -> None:
    second = "  - {type: json, name: more, file: rows.json, fields: {question: problem, answer: answer}}\n"
    path = write_catalog(tmp_path / "yaml", ROWS[:2], sources=second)
    result = build(load_catalog_config(path), tmp_path / "store")
    assert (result.built, result.samples) == (("toy", "more"), {"train": 4})

    path = write_catalog(tmp_path / "yaml", [*ROWS[:1], {"problem": "New?", "answer": "yes", "images": []}])
    result = build(load_catalog_config(path), tmp_path / "store")
    assert (result.built, result.num_new, result.num_existing) == (("toy",), 1, 1)
    with Catalog.open(tmp_path / "store", read_only=True) as catalog:
        assert [sample.question for sample in catalog.samples("toys")] == ["How many?", "New?"]


def image_rows(store: Path) -> list[tuple[object, ...]]:
    with connect(store, read_only=True, wait_seconds=5) as connection:
        return connection.execute("SELECT image_hash, format, width, flags, phash FROM images ORDER BY ALL").fetchall()


def test_the_facts_of_every_usable_image_are_in_the_catalog_once(tmp_path: Path) -> None:
    shown = [candidate(0), candidate(1, images=(png(0), png(1))), candidate(2, images=(b"no image",))]
    ingest(tmp_path, *shown)
    ingest(tmp_path, *shown)
    facts = sorted((examine(png(number)) for number in range(2)), key=lambda one: one.image_hash)
    assert image_rows(tmp_path) == [(one.image_hash, "PNG", 32, ["one-colour"], one.phash) for one in facts]


def test_images_of_an_older_catalog_get_their_facts_when_asked_for_or_built_again(tmp_path: Path) -> None:
    ingest(tmp_path, candidate(0), candidate(1))
    rows = image_rows(tmp_path)

    def forget() -> None:
        with connect(tmp_path, read_only=False, wait_seconds=5) as connection:
            connection.execute("DELETE FROM images")

    forget()
    assert complete_image_facts(tmp_path, "toys") == {}
    assert image_rows(tmp_path) == rows
    forget()
    ingest(tmp_path, candidate(0), candidate(1))
    assert image_rows(tmp_path) == rows


def test_an_image_that_is_gone_has_no_facts_and_is_named(tmp_path: Path) -> None:
    ingest(tmp_path, candidate(0))
    images = ImageStore(tmp_path / "images")
    [lost] = (path for path in images.root.rglob("*.png"))
    lost.unlink()
    with connect(tmp_path, read_only=False, wait_seconds=5) as connection:
        connection.execute("DELETE FROM images")
    problems = complete_image_facts(tmp_path, "toys")
    assert list(problems) == [lost.stem]
    assert "there is no image" in problems[lost.stem]
    assert image_rows(tmp_path) == []


def test_a_batch_ends_before_its_images_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pebr_data.catalog.gathering.MAX_BATCH_BYTES", 2 * len(png(0)))
    done: list[int] = []
    with Catalog.open(tmp_path / "other") as opened:
        counts = ingest_stream(
            lambda: nullcontext(opened._connection), "toys", "digest", [candidate(n) for n in range(5)],
            ImageStore(tmp_path / "images"), progress=lambda source, number: done.append(number),
        )  # fmt: skip
    assert counts.samples == {"train": 5}
    assert done == [2, 4, 5]
