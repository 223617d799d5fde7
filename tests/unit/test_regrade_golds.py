"""Files of corrected golds: what is understood, and that every mistake is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_data.catalog.golds import GoldFix, golds_name
from pebr_data.errors import ConfigError
from pebr_data.grading import Grader
from pebr_data.regrade.golds import corrections, read_gold_file, reviews, with_fix
from pebr_data.types import Sample

DECLARED = "declared by the source"


def sample(sample_id: str, answer: str, answer_type: str = "count", reason: str = DECLARED) -> Sample:
    return Sample(sample_id, "made", "train", "How many?", answer, answer_type=answer_type, answer_type_reason=reason)


SAMPLES = {one.sample_id: one for one in (sample("aa", "1"), sample("bb", "2"), sample("cc", "x", "text", "words"))}


def fixes(path: Path) -> dict[str, GoldFix]:
    return {fix.sample_id: fix for fix in corrections(read_gold_file(path), SAMPLES, "small", Grader())}


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        fixes(path)
    return tuple(problem.removeprefix(f"{path}:") for problem in caught.value.problems)


def test_json_lines_and_csv_say_the_same(tmp_path: Path) -> None:
    lines, table = tmp_path / "golds.jsonl", tmp_path / "golds.csv"
    lines.write_text('{"sample_id": "aa", "answer": 7, "reason": "seven"}\n\n{"sample_id": "bb", "answer": "0.50"}\n')
    table.write_text("sample_id,answer,reason\naa,7,seven\n\nbb,0.50\n")
    with pytest.raises(ConfigError, match="1 correction cannot be used"):
        fixes(lines)
    for path in (lines, table):
        path.write_text(path.read_text().replace("0.50", "5"))
    assert fixes(lines) == fixes(table)
    assert fixes(lines)["aa"] == GoldFix("aa", "7", None, None, "seven")


def test_every_mistake_of_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "golds.jsonl"
    path.write_text(
        '{"sample_id": "aa", "answer": "5"}\nnot json\n[1]\n{"sample_id": "zz", "answer": "5"}\n'
        '{"sample_id": "bb", "answer": "three and a bit"}\n{"sampel_id": "bb", "answer": true}\n'
        '{"sample_id": "aa", "answer": "6"}\n{"sample_id": "cc", "answer": " ", "reason": []}\n'
        '"text"\n{"sample_id": "cc", "answer": "\\ud800"}\n'
    )
    assert problems(path) == (
        "2: this is not JSON: Expecting value",
        "3: this is no JSON object",
        "4: there is no sample zz in the catalog small",
        "5: sample bb: the gold answer 'three and a bit' is not a number",
        "6: `answer` must be text",
        "6: `sample_id` is missing",
        "6: there is no `sampel_id`; did you mean `sample_id`?",
        "7: sample aa is corrected on line 1 already",
        "8: `answer` is empty",
        "8: `reason` must be text",
        "9: this is no JSON object",
        "10: `answer` holds half a character (a lone surrogate)",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,answer\naa,3\n", "1: the first line must name the columns sample_id and answer"),
        ('sample_id,answer\naa,"3\nand more\nbb,4\n', "2: this is not CSV: unexpected end of data"),
        ("sample_id,answer\naa,3,4\n", "2: there are 3 cells under 2 columns; a comma belongs into quotes"),
        ('sample_id,answer,reason\naa,3,"two\nlines"\nzz,4,\n', "4: there is no sample zz in the catalog small"),
        ("sample_id,answer\naa\n", "2: `answer` is missing"),
    ],
)
def test_mistakes_of_a_table(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "golds.csv"
    path.write_text(text)
    assert problems(path) == (expected,)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "golds.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"the golds cannot be read: (No such file|it is not UTF-8).*golds\.csv"):
        read_gold_file(path)


def test_the_sources_own_gold_corrects_nothing(tmp_path: Path) -> None:
    path = tmp_path / "golds.csv"
    path.write_text("sample_id,answer\naa,1\n")
    assert fixes(path) == {}


def test_a_type_that_was_told_from_the_old_gold_is_told_anew_and_a_declared_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "golds.csv"
    path.write_text("sample_id,answer\ncc,yes\naa,5\n")
    found = fixes(path)
    assert found["cc"].answer_type == "yes_no"
    assert found["aa"].answer_type is None
    assert with_fix(SAMPLES["cc"], found["cc"]).answer_type == "yes_no"
    assert with_fix(SAMPLES["aa"], found["aa"]).answer_type == "count"
    assert with_fix(SAMPLES["bb"], None) is SAMPLES["bb"]


@given(st.dictionaries(st.sampled_from(["aa", "bb", "cc", "dd"]), st.text("123", min_size=1, max_size=3)))
def test_a_set_is_named_by_its_samples_and_answers_alone(answers: dict[str, str]) -> None:
    named = golds_name(GoldFix(one, answer, None, None, "because") for one, answer in answers.items())
    again = golds_name(GoldFix(one, answer, "text", "x", "") for one, answer in reversed(list(answers.items())))
    assert named == again
    assert bool(named) == bool(answers)
    assert named != golds_name([GoldFix("ee", "9", None, None, "")])


def test_rows_of_a_review_say_what_they_say_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "review.jsonl"
    path.write_text(
        '{"sample_id": "aa", "question": "?", "suspicion": 0.7, "verdict": "", "answer": "", "reason": ""}\n'
        '{"sample_id": "bb", "verdict": "wrong", "answer": "7"}\n{"sample_id": "cc", "verdict": "drop", "reason": ""}\n'
    )
    file = read_gold_file(path)
    assert file.is_review
    assert [fix.sample_id for fix in corrections(file, SAMPLES, "small", Grader())] == ["bb"]
    assert [(one.sample_id, one.verdict, one.gold) for one in reviews(file, {"aa": "1", "bb": "2", "cc": "x"})] == [
        ("bb", "right", "7"),
        ("cc", "drop", "x"),
    ]


def test_mistakes_of_a_review(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    path.write_text("sample_id,verdict,answer\naa,wrnog,\nbb,wrong,\ncc,right,y\n,drop,\n")
    assert problems(path) == (
        "2: there is no verdict `wrnog`; did you mean `wrong`?",
        "3: the verdict is `wrong`, so `answer` must say what is right",
        "4: the verdict is `right`, so `answer` must stay empty",
        "5: `sample_id` is empty",
    )
