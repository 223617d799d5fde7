"""`build --dry-run`: what each field of the first rows became, and what looks wrong; it writes nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pebr_data.cli import main
from pebr_data.config import load_catalog_config
from pebr_data.sources.preview import FieldView, SourcePreview, preview

YAML = "name: mine\nsources:\n  - {type: jsonl, name: mine, file: rows.jsonl, "


def png(width: int = 40, height: int = 30) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, format="PNG")
    return buffer.getvalue()


def rows(count: int = 4, **values: Any) -> list[dict[str, Any]]:
    """Rows that differ, and look right, but for `values`."""
    return [
        {"question": f"<image>\nWhat is {n}?", "answer": str(n), "images": ["a.png"], **values} for n in range(count)
    ]


def look(place: Path, made: list[dict[str, Any]], source: str = "", num_shown: int = 3) -> SourcePreview:
    (place / "a.png").write_bytes(png())
    (place / "tiny.png").write_bytes(png(8, 8))
    (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made), "utf-8")
    (place / "mine.yaml").write_text(f"{YAML}{source}}}\n", "utf-8")
    config = load_catalog_config(place / "mine.yaml")
    return preview(config.sources[0], config.base_dir, num_shown=num_shown)


def test_each_field_shows_its_column_what_it_holds_and_what_it_became(tmp_path: Path) -> None:
    view = look(tmp_path, rows(5, level=2), "fields: {metadata: [level]}", num_shown=2)
    assert (view.num_looked_at, view.num_candidates, view.rejects, view.warnings) == (5, 5, {}, ())
    assert [row.where for row in view.rows] == ["rows.jsonl:1", "rows.jsonl:2"]
    assert view.rows[1].fields == (
        FieldView("question", ("question",), "<image>\nWhat is 1?", "What is 1?"),
        FieldView("answer", ("answer",), "1", "1"),
        FieldView("images", ("images",), ["a.png"], [f"40x30 PNG, {len(png())} bytes"]),
        FieldView("split", (), None, "train"),
        FieldView("metadata", ("level",), 2, {"level": 2}),
    )


def test_shipped_pass_rates_show_those_that_are_kept(tmp_path: Path) -> None:
    made = rows(1, small=0.25, large=-1)
    (row,) = look(tmp_path, made, "fields: {pass_rates: [small, large]}").rows
    kept = {"small": 0.25}
    assert row.fields[-2:] == (
        FieldView("pass_rates", ("small", "large"), {"small": 0.25, "large": -1}, kept),
        FieldView("metadata", (), None, {"pass_rates": kept}),
    )


def test_a_rejected_row_is_shown_with_its_reason_and_counted(tmp_path: Path) -> None:
    made = [
        *rows(2), rows(images=["no.png"])[0], rows(images=["tiny.png"])[0], rows(question="<image><image>?")[0],
        rows(level=1)[3],
    ]  # fmt: skip
    view = look(tmp_path, made, "keep_if: [{column: level, present: false}]", num_shown=6)
    assert view.num_candidates == 2
    assert view.rejects == {
        "there is no such file": 1,
        "a side of the image has fewer than 28 pixels": 1,
        "the question has 2 <image> placeholders, but the row has 1 images": 1,
        "filtered: `level` is there": 1,
    }
    assert view.rows[2].reason == "there is no such file"
    assert [one.value for one in view.rows[2].fields] == [None] * 3


@pytest.mark.parametrize(
    ("made", "source", "warning"),
    [
        (rows(answer="7"), "", "all golds are equal: '7'"),
        (rows(question="<image>Find x."), "", "all questions are equal: 'Find x.'"),
        (rows(2) + rows(2), "", "2 rows repeat an earlier one"),
        (rows(answer="so " * 90), "", "4 golds are longer than 200 characters; is this the answer's column?"),
        (rows(answer="\\boxed{3}"), "", "4 golds hold \\boxed{}; set `answer_in: boxed`"),
        (rows(answer="<answer>3</answer>"), "", "4 golds hold an <answer> tag; set `answer_in: answer_tag`"),
        (
            rows(o=["a", "b"], answer="C"),
            "fields: {options: o}",
            "4 golds cannot be graded against: the gold answer … names",
        ),
        (rows(o=["left", "right"], answer="A"), "fields: {options: o}", "4 questions do not show their options"),
        (rows(images=[], question="What?"), "", "4 of 4 samples have no image"),
        (rows(question="What?"), "fields: {images: null}", "`images` is null, but the column `images` may hold images"),
        (rows(question="<image>See <img1>: what?"), "", "4 questions still hold '<img1>', which a policy would read"),
        (
            rows(words=["a"]),
            "fields: {keywords: word}",
            "the column `word` is in none of these rows; did you mean `words`?",
        ),
        (rows(words=None), "fields: {keywords: words}", "the column `words` is null in all of these rows"),
        (rows(images=["no.png"]), "", "not one of these rows becomes a sample"),
    ],
)
def test_what_looks_wrong_is_a_warning(tmp_path: Path, made: list[dict[str, Any]], source: str, warning: str) -> None:
    warnings = look(tmp_path, made, source).warnings
    assert any(warning in one for one in warnings), warnings


def test_a_column_that_looks_like_a_better_answer_is_named(tmp_path: Path) -> None:
    made = [{**row, "solution": f"First, we see that it is {row['answer']}. " * 3} for row in rows()]
    assert "the column `answer` looks like a better answer than `solution`, e.g. '0'" in (
        look(tmp_path, made, "fields: {answer: solution}").warnings
    )
    assert look(tmp_path, made).warnings == ()


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(["build", *argv])
    return code, *capsys.readouterr()


def test_the_dry_run_prints_a_table_or_json_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    look(tmp_path, [*rows(4, answer="7"), rows(images=["no.png"])[0]])
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = run(capsys, "mine.yaml", "--dry-run", "--rows", "1")
    assert code == 0
    assert "the first 5 rows: 4 samples\n  1 rejected: there is no such file" in out
    assert "question  question  <image>\\nWhat is 0?  What is 0?" in out
    assert "warning: all golds are equal: '7'" in out
    assert "What is 1?" not in out
    code, out, _ = run(capsys, "mine.yaml", "--dry-run", "--json")
    (source,) = json.loads(out)["sources"]
    assert (source["source"], source["owed"], source["num_candidates"], len(source["rows"])) == ("mine", True, 4, 3)
    assert source["rows"][0]["fields"][0] == {
        "field": "question", "columns": ["question"], "raw": "<image>\nWhat is 0?", "value": "What is 0?"
    }  # fmt: skip
    assert sorted(tmp_path.rglob("*")) == before


def test_a_source_that_cannot_be_read_ends_the_dry_run_after_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table({"question": ["q"], "answer": ["a"]}), tmp_path / "x.parquet")
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nsources:\n  - {type: parquet, name: gone, files: y.parquet}\n"
        "  - {type: parquet, name: here, files: x.parquet, fields: {images: null}}\n"
    )
    code, out, err = run(capsys, str(tmp_path / "mine.yaml"), "--dry-run", "--json", "--store", str(tmp_path / "store"))
    assert code == 65
    assert "error: there is no such file" in err
    gone, here = json.loads(out)["sources"]
    assert gone["problem"].startswith("there is no such file")
    assert (here["num_rows"], here["num_candidates"]) == (1, 1)
    assert not (tmp_path / "store").exists()
