from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pebr_data.config import CatalogConfig, FieldsConfig, FileSourceConfig, SourceConfig, load_catalog_config
from pebr_data.errors import DataError
from pebr_data.sources.base import SOURCES, Reject, open_source, source_stamp
from pebr_data.sources.fields import place_images, to_candidate
from pebr_data.types import Candidate

REPOSITORY = Path(__file__).parents[2]


def png(color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 30), color).save(buffer, format="PNG")
    return buffer.getvalue()


def source(**values: Any) -> FileSourceConfig:
    return FileSourceConfig.model_validate({"type": "jsonl", "name": "mine", "file": "rows.jsonl", **values})


def write_rows(folder: Path, *rows: Mapping[str, Any] | str) -> None:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def row(**values: Any) -> dict[str, Any]:
    return {"question": "What is it?", "answer": "red", "images": ["a.png"], **values}


def read(config: FileSourceConfig, base_dir: Path) -> tuple[list[Candidate], list[Reject]]:
    items = list(open_source(config, base_dir).candidates())
    return [i for i in items if isinstance(i, Candidate)], [i for i in items if isinstance(i, Reject)]


def reason(folder: Path, *rows: Mapping[str, Any] | str, **values: Any) -> str:
    """The reason the last of the rows is rejected, beside a good one."""
    (folder / "a.png").write_bytes(png())
    write_rows(folder, row(), *rows)
    candidates, rejects = read(source(**values), folder)
    assert len(candidates) == 1
    return rejects[-1].reason


@pytest.fixture
def released(tmp_path: Path) -> CatalogConfig:
    """The catalog of the released PeBR-R1 data, over a dozen rows in its layout."""
    (tmp_path / "catalogs").mkdir()
    shutil.copy(REPOSITORY / "catalogs" / "pebr_r1.yaml", tmp_path / "catalogs")
    shutil.copytree(REPOSITORY / "tests" / "fixtures" / "pebr_r1", tmp_path / "data" / "pebr_r1")
    return load_catalog_config(tmp_path / "catalogs" / "pebr_r1.yaml")


def test_the_released_grpo_rows_are_read_from_json_and_tar(released: CatalogConfig) -> None:
    items = list(open_source(released.sources[0], released.base_dir).candidates())
    assert len(items) == 8
    first = items[0]
    assert isinstance(first, Candidate)
    assert (first.question, first.answer, first.split) == ("How many bars are there?", "3", "train")
    assert (first.keywords, first.metadata) == (("bars",), {"qid": 0})
    assert Image.open(io.BytesIO(first.images[0])).size == (64, 64)


def test_the_released_demonstrations_lose_their_instruction_and_rethinking_rows(released: CatalogConfig) -> None:
    items = list(open_source(released.sources[1], released.base_dir).candidates())
    kept = [item for item in items if isinstance(item, Candidate)]
    assert {item.question for item in kept} == {"Question: How tall is the tallest bar?"}
    assert {(item.answer, item.split) for item in kept} == {("5", "demonstrations")}
    assert all((item.response or "").startswith("### Image Description:") for item in kept)
    assert [item for item in items if isinstance(item, Reject)] == [
        Reject("pebr-sft", "../data/pebr_r1/sft/pebr_sft.json[2]", "the response holds 'let me rethink it'")
    ]


def test_an_unpacked_archive_gives_the_same_candidates(released: CatalogConfig) -> None:
    packed = list(open_source(released.sources[0], released.base_dir).candidates())
    folder = released.base_dir / "../data/pebr_r1/grpo"
    with tarfile.open(folder / "pebr_grpo_images.tar") as tar:
        tar.extractall(folder, filter="data")
    config = released.sources[0].model_copy(update={"image_root": Path("../data/pebr_r1/grpo")})
    assert list(open_source(config, released.base_dir).candidates()) == packed


def test_a_data_file_may_lie_in_a_tar_archive(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        for name, data in (("./x/rows.jsonl", json.dumps(row()).encode()), ("./x/a.png", png())):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    candidates, _ = read(source(file="all.tar/x/rows.jsonl"), tmp_path)
    assert candidates[0].images == (png(),)


def test_every_column_finds_its_field(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "a.png").write_bytes(png())
    columns = {
        "q": " Which? ", "gold": 3.5, "pic": {"path": "a.png"}, "kind": "choice", "choices": {"B": "no", "A": "yes"},
        "words": ["red", " red", ""], "caption": "a red square", "cot": "### Image Description: red", "skill": "color",
        "part": "test", "extra": {"level": 2}, "nothing": None,
    }  # fmt: skip
    write_rows(tmp_path, columns)
    fields = {
        "question": "q", "answer": "gold", "images": "pic", "answer_type": "kind", "options": "choices",
        "keywords": "words", "description": "caption", "response": "cot", "skill": "skill", "split": "part",
        "metadata": ["extra.level", "nothing"],
    }  # fmt: skip
    candidates, rejects = read(source(image_root="img", fields=fields), tmp_path)
    assert rejects == []
    assert candidates == [
        Candidate(
            source="mine", split="test", question="Which?", answer="3.5", images=(png(),), answer_type="choice",
            options=("yes", "no"), keywords=("red",), description="a red square",
            response="### Image Description: red", skill="color", metadata={"extra.level": 2},
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("question", "num_images", "expected"),
    [
        ("What?", 3, "What?"),
        ("<image>\nWhat?", 1, "What?"),
        ("What?\n<image>", 1, "What?"),
        ("<image><image> Compare them.", 2, "Compare them."),
        ("In <image>, what is it?", 1, "In image 1, what is it?"),
        ("<image> Compare with <image>.", 2, "Compare with image 2."),
        ("A. <image> B. <image>", 2, "A. image 1 B. image 2"),
        ("Is <image><image> a pair?", 2, "Is image 1 image 2 a pair?"),
        ("Left:\n<image>\nRight:\n<image>\nSame?", 2, "Left:\nimage 1\nRight:\nimage 2\nSame?"),
        ("<image>", 1, ""),
    ],
)
def test_placeholders_go_or_become_references(question: str, num_images: int, expected: str) -> None:
    assert place_images(question, num_images) == expected


@given(st.lists(st.sampled_from(["<image>", "a", " ", "\n", ".", "bc"]), max_size=12))
def test_no_placeholder_is_left_and_no_text_is_lost(pieces: list[str]) -> None:
    question = "".join(pieces)
    placed = place_images(question, question.count("<image>"))
    assert "<image>" not in placed
    letters = [char for char in question.replace("<image>", "") if not char.isspace()]
    rest = placed
    for number in range(1, 13):
        rest = rest.replace(f"image {number}", "", 1)
    assert [char for char in rest if not char.isspace()] == letters


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ("{not json", "not JSON"),
        ("[1]", "the row is not a mapping"),
        ({"answer": "red", "images": []}, "there is no column `question` for the question; the row has `answer`"),
        ({"questoin": "What?", "answer": "red", "images": []}, "did you mean `questoin`?"),
        (row(question="<image>"), "the question is empty"),
        (row(question="<image><image> What?"), "2 <image> placeholders, but the row has 1 images"),
        (row(answer=None), "the answer is null"),
        (row(answer=" "), "the answer is empty"),
        (row(answer=True), "the answer is true or false; text or a number is expected"),
        (row(answer=["a", "b"]), "the answer is a list"),
        (row(images=["b.png"]), "there is no such file"),
        (row(images=[{"bytes": 3}]), "an image is of type int; bytes, a path or base64 is expected"),
        (row(question="a\ud800"), "characters that are no text"),
        ('{"question": "q", "answer": NaN, "images": []}', "the answer is null"),
        ('{"question": "q", "answer": 1e999, "images": []}', "the answer is not finite"),
    ],
)
def test_a_broken_row_is_rejected_with_its_reason(tmp_path: Path, broken: Any, expected: str) -> None:
    assert expected in reason(tmp_path, broken)


def test_a_reject_names_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    write_rows(tmp_path, row(), "", "[]", row(images=["b.png"]))
    _, rejects = read(source(), tmp_path)
    assert [reject.where for reject in rejects] == ["rows.jsonl:3", "rows.jsonl:4, b.png"]


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../secret.png", "x/../../secret.png", "link.png", "linked/secret.png", "https://a.b/c.png",
     "file:///etc/passwd", "C:\\x.png", "..\\secret.png", "", "a\0b", "loop", "folder"],
)  # fmt: skip
def test_no_path_leaves_the_image_root(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(png())
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "linked").symlink_to(tmp_path, target_is_directory=True)
    (root / "loop").symlink_to(root / "loop")
    assert reason(root, row(images=[path]))


@pytest.mark.parametrize("path", ["/a.png", "../a.png", "link.png", "missing.png"])
def test_no_path_leaves_a_tar_archive(tmp_path: Path, path: str) -> None:
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        member = tarfile.TarInfo("in/a.png")
        member.size = len(png())
        tar.addfile(member, io.BytesIO(png()))
        for name in ("a.png", "../a.png"):
            outside = tarfile.TarInfo(name)
            outside.size = member.size
            tar.addfile(outside, io.BytesIO(png()))
        link = tarfile.TarInfo("in/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert reason(tmp_path, row(images=[path]), image_root="images.tar/in")


def test_no_link_is_followed_even_inside_the_image_root(tmp_path: Path) -> None:
    (tmp_path / "b.png").symlink_to("a.png")
    assert (
        reason(tmp_path, row(images=["b.png"])) == "the path is or goes through a symbolic link, and none is followed"
    )


def test_a_file_without_one_usable_row_is_an_error_with_the_first_reason(tmp_path: Path) -> None:
    write_rows(tmp_path, row(), row())
    with pytest.raises(DataError, match="no row of the source `mine` can be used; the first: there is no such file"):
        read(source(), tmp_path)


@pytest.mark.parametrize(
    ("content", "help"),
    [(b"{}", "wrap the rows"), (b"[1,", "mend the file"), (b'{"a": 1}\n{"a": 2}', "type: jsonl"), (b"\xff", "mend")],
)
def test_a_broken_json_file_is_an_error_with_help(tmp_path: Path, content: bytes, help: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(source(type="json"), tmp_path)
    assert help in str(caught.value.help)


def test_missing_and_compressed_places_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such directory"):
        read(source(file="nowhere/rows.jsonl"), tmp_path)
    with pytest.raises(DataError, match=r"no such file, .*rows\.jsonl") as caught:
        read(source(), tmp_path)
    assert "`file` of the source `mine`" in str(caught.value.help)
    write_rows(tmp_path, row())
    with tarfile.open(tmp_path / "images.tar.gz", "w:gz"):
        pass
    with pytest.raises(DataError, match="not a readable uncompressed tar"):
        read(source(image_root="images.tar.gz"), tmp_path)


def test_reading_twice_gives_the_same(released: CatalogConfig) -> None:
    opened = open_source(released.sources[1], released.base_dir)
    assert list(opened.candidates()) == list(opened.candidates())


def test_the_stamp_of_a_source_changes_with_its_config_and_its_files(released: CatalogConfig) -> None:
    config = released.sources[0]
    before = source_stamp(config, released.base_dir)
    assert source_stamp(config, released.base_dir) == before
    assert source_stamp(config.model_copy(update={"split": "other"}), released.base_dir) != before
    data = released.base_dir / "../data/pebr_r1/grpo/pebr_grpo_dataset.json"
    data.write_text(data.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert source_stamp(config, released.base_dir) != before


def test_every_type_in_the_config_opens_a_source() -> None:
    tags = {
        tag for model in get_args(get_args(SourceConfig)[0]) for tag in get_args(model.model_fields["type"].annotation)
    }
    assert set(SOURCES) == tags


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_any_value_in_any_column_is_a_candidate_or_a_data_error(value: Any) -> None:
    fields = FieldsConfig(keywords="k", options="o", metadata=("m",), response="r")
    for column in ("question", "answer", "images", "k", "o", "m", "r"):
        values = {"question": "q", "answer": "a", "images": []} | {column: value}
        try:
            to_candidate(values, fields, source="s", split="train", read_path=lambda path: b"")
        except DataError as error:
            assert error.what
