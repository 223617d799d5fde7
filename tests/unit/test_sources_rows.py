"""Rows out of Parquet, Arrow, tar shards and folders: every type of source over small real files."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import TypeAdapter

from pebr_data.config import SourceConfig
from pebr_data.errors import DataError
from pebr_data.sources import tables
from pebr_data.sources.base import Reject, open_source, source_stamp
from pebr_data.types import Candidate

CONFIG: TypeAdapter[Any] = TypeAdapter(SourceConfig)
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SCHEMA = pa.schema(
    [("question", pa.string()), ("answer", pa.int64()), ("images", pa.list_(IMAGE)), ("extra", pa.string())]
)


def png(side: int = 30) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(buffer, format="PNG")
    return buffer.getvalue()


def table(*numbers: int) -> pa.Table:
    rows = [
        {
            "question": f"<image>What is {n}?",
            "answer": n,
            "images": [{"bytes": png(30 + n), "path": "x.png"}],
            "extra": "e",
        }
        for n in numbers
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def write_stream(path: Path, made: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, made.schema) as writer:
        writer.write_table(made)


def write_file(path: Path, made: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, made.schema) as writer:
        writer.write_table(made)


def read(place: Path, **values: Any) -> tuple[list[Candidate], list[Reject]]:
    config = CONFIG.validate_python({"name": "mine", **values})
    items = list(open_source(config, place).candidates())
    return [i for i in items if isinstance(i, Candidate)], [i for i in items if isinstance(i, Reject)]


def answers(place: Path, **values: Any) -> list[str]:
    return [candidate.answer for candidate in read(place, **values)[0]]


@pytest.mark.parametrize(
    ("kind", "ending", "write"),
    [
        ("parquet", "parquet", lambda path, made: pq.write_table(made, path, row_group_size=2)),
        ("arrow", "arrow", write_stream),
        ("arrow", "arrow", write_file),
    ],
)
def test_a_table_is_read_from_a_file_a_directory_or_a_pattern(
    kind: str, ending: str, write: Any, tmp_path: Path
) -> None:
    (tmp_path / "d/.cache").mkdir(parents=True)
    write(tmp_path / f"d/part-2.{ending}", table(3, 4, 5))
    write(tmp_path / f"d/part-10.{ending}", table(6))
    write(tmp_path / f"d/.cache/x.{ending}", table(9))
    (tmp_path / "d/README.md").write_text("not rows")
    candidates, rejects = read(tmp_path, type=kind, files=f"d/part-2.{ending}")
    assert rejects == []
    assert candidates[0] == Candidate("mine", "train", "What is 3?", "3", images=(png(33),))
    assert answers(tmp_path, type=kind, files="d") == ["3", "4", "5", "6"]  # part-10 comes after part-2
    assert answers(tmp_path, type=kind, files=f"d/*-1?.{ending}") == ["6"]


def test_a_table_names_its_rows_and_its_columns(tmp_path: Path) -> None:
    pq.write_table(table(1, 2).set_column(1, "anser", pa.array([1, 2])), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="no column `answer` for the answer; did you mean `anser`") as caught:
        read(tmp_path, type="parquet", files="x.parquet")
    assert caught.value.where == "x.parquet[0]"
    with pytest.raises(DataError, match="there is no such file"):
        read(tmp_path, type="parquet", files="y.parquet")
    with pytest.raises(DataError, match=r"no file ending in \.arrow"):
        read(tmp_path, type="arrow", files=".")


def test_only_the_columns_that_are_needed_are_read(tmp_path: Path) -> None:
    pq.write_table(table(1), tmp_path / "x.parquet")
    rows = list(tables.table_rows([(tmp_path / "x.parquet", "train")], ("question", "answer", "images.0.bytes")))
    assert [set(row.columns) for row in rows if not isinstance(row.columns, DataError)] == [
        {"question", "answer", "images"}
    ]


def test_a_large_row_group_is_read_page_by_page(tmp_path: Path) -> None:
    noise = [bytes([n]) * 2**20 for n in range(96)]
    made = pa.table({"question": ["q"] * 96, "answer": ["a"] * 96, "images": noise})
    pq.write_table(made, tmp_path / "x.parquet", compression="none", use_dictionary=False, write_batch_size=4)
    del made, noise
    before = pa.total_allocated_bytes()
    peak = 0
    for _ in tables.table_rows([(tmp_path / "x.parquet", "train")], None):
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert 0 < peak < 64 * 2**20


def test_paths_in_a_table_start_where_the_files_lie_or_at_the_image_root(tmp_path: Path) -> None:
    (tmp_path / "d/img").mkdir(parents=True)
    (tmp_path / "d/img/a.png").write_bytes(png())
    (tmp_path / "secret.png").write_bytes(png())
    rows = [{"question": "q", "answer": "a", "image": path} for path in ("img/a.png", "../secret.png", "/etc/passwd")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d/x.parquet")
    for more in ({}, {"image_root": "d"}):
        candidates, rejects = read(tmp_path, type="parquet", files="d/*.parquet", fields={"images": "image"}, **more)
        assert [candidate.images for candidate in candidates] == [(png(),)]
        assert len(rejects) == 2
    with pytest.raises(DataError, match="no such directory or tar archive"):
        read(tmp_path, type="parquet", files="d", image_root="nowhere", fields={"images": "image"})


def test_constants_are_columns_and_filtered_rows_are_rejects_with_their_reason(tmp_path: Path) -> None:
    pq.write_table(table(1, 2, 3), tmp_path / "x.parquet")
    config = {
        "type": "parquet", "files": "x.parquet", "constants": {"kind": "count", "level": 2},
        "fields": {"answer_type": "kind", "metadata": ["level"]}, "keep_if": [{"column": "answer", "min": 2}],
    }  # fmt: skip
    candidates, rejects = read(tmp_path, **config)
    assert [(one.answer, one.answer_type, one.metadata) for one in candidates] == [
        ("2", "count", {"level": 2}), ("3", "count", {"level": 2})
    ]  # fmt: skip
    assert [(one.where, one.reason) for one in rejects] == [("x.parquet[0]", "filtered: `answer` is not at least 2")]
    with pytest.raises(DataError, match="which `constants` would hide"):
        read(tmp_path, **config | {"constants": {"question": "Why?"}})


def write_shard(path: Path, *members: tuple[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def test_shards_give_one_row_for_each_stem_in_their_order(tmp_path: Path) -> None:
    row = json.dumps({"question": "<image>What?", "answer": "red", "level": 3}).encode()
    write_shard(
        tmp_path / "s-1.tar",
        ("a/1.json", row), ("a/1.png", png()), ("a/1.mp4", b"x" * 999), ("a/2.json", row), ("a/2.png", png(31)),
    )  # fmt: skip
    write_shard(
        tmp_path / "s-0.tar",
        ("3.1.jpg", png(32)),
        ("3.2.jpg", png(33)),
        ("3.txt", b"<image><image>Same?"),
        ("3.cls", b"1\n"),
    )
    candidates, rejects = read(
        tmp_path, type="webdataset", files="s-1.tar", fields={"metadata": ["__key__", "json.level"]}
    )
    assert rejects == []
    assert [one.images for one in candidates] == [(png(),), (png(31),)]
    assert candidates[0].metadata == {"__key__": "a/1", "json.level": 3}
    fields = {"question": "txt", "answer": "cls", "images": ["2.jpg", "1.jpg"]}
    (one,), _ = read(tmp_path, type="webdataset", files="s-0.tar", fields=fields)
    assert (one.question, one.answer, one.images) == ("Same?", "1", (png(33), png(32)))
    seen = read(tmp_path, type="webdataset", files=".")
    assert len(seen[0]) == 2 and [reject.where for reject in seen[1]] == ["s-0.tar, 3"]


def test_a_folder_gives_one_row_an_image_with_its_directory_as_the_label(tmp_path: Path) -> None:
    for name in ("cat/10.png", "cat/9.png", "dog/1.jpg"):
        (tmp_path / "f" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "f" / name).write_bytes(png())
    (tmp_path / "f/notes.txt").write_text("no image")
    candidates, _ = read(
        tmp_path, type="folder", folder="f", constants={"ask": "Which animal?"},
        fields={"question": "ask", "answer": "label", "metadata": ["file_name"]},
    )  # fmt: skip
    assert [(one.answer, one.metadata["file_name"]) for one in candidates] == [
        ("cat", "9.png"), ("cat", "10.png"), ("dog", "1.jpg")
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv"])
def test_a_folder_with_metadata_gives_one_row_a_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "f/train").mkdir(parents=True)
    for image in ("a.png", "b.png"):
        (tmp_path / "f/train" / image).write_bytes(png())
    (tmp_path / "f/unused.png").write_bytes(png())
    (tmp_path / "secret.png").write_bytes(png())
    if name.endswith("csv"):
        text = "file_name,question,answer\na.png,What?,red\n../../secret.png,What?,red\n,What?,red\n"
    else:
        rows: list[dict[str, Any]] = [{"file_names": ["a.png", "b.png"]}, {"file_name": "../../secret.png"}, {}]
        text = "".join(json.dumps({**row, "question": "What?", "answer": "red"}) + "\n" for row in rows)
    (tmp_path / "f/train" / name).write_text(text, "utf-8")
    candidates, rejects = read(tmp_path, type="folder", folder="f")
    assert [len(one.images) for one in candidates] == [1 if name.endswith("csv") else 2]
    assert [reject.reason.split(";")[0] for reject in rejects] == [
        "the path leads out of its directory", "the row has no `file_name`"
    ]  # fmt: skip


def test_a_conversation_in_json_is_read_by_who_speaks(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    turns = [
        {"role": "system", "content": "Be good."}, {"role": "user", "content": "<image>What?"},
        {"role": "assistant", "content": "### Step 1: look\n### The final answer is: red"},
    ]  # fmt: skip
    (tmp_path / "x.json").write_text(json.dumps([{"messages": turns, "images": ["a.png"]}]), "utf-8")
    fields = {
        "question": "messages.user", "answer": "messages.assistant", "answer_after": "answer is:",
        "response": "messages.assistant",
    }  # fmt: skip
    (one,), _ = read(tmp_path, type="json", file="x.json", fields=fields)
    assert (one.question, one.answer, one.response) == ("What?", "red", turns[2]["content"])


@pytest.mark.parametrize("kind", ["parquet", "webdataset", "folder"])
def test_the_stamp_changes_with_a_file_that_is_added(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    key = "folder" if kind == "folder" else "files"
    config = CONFIG.validate_python({"type": kind, "name": "mine", key: "d"})
    stamps = [source_stamp(config, tmp_path)]
    for name in ("a", "b"):
        if kind == "parquet":
            pq.write_table(table(1), folder / f"{name}.parquet")
        elif kind == "webdataset":
            write_shard(folder / f"{name}.tar", ("1.png", png()))
        else:
            (folder / f"{name}.png").write_bytes(png())
        stamps.append(source_stamp(config, tmp_path))
    assert stamps[0] != stamps[1] != stamps[2]
    assert source_stamp(config, tmp_path) == stamps[2]
