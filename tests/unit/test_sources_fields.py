"""What each column becomes: images in every form, options, golds, conversations, placeholders, filters."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pebr_data.config import FieldsConfig, RowCondition, load_catalog_config
from pebr_data.errors import ConfigError, DataError
from pebr_data.shuffled import with_options
from pebr_data.sources.columns import find
from pebr_data.sources.embedded import read_image
from pebr_data.sources.fields import to_candidate
from pebr_data.sources.filters import filtered_out
from pebr_data.sources.golds import gold_of, last_boxed, last_tag
from pebr_data.sources.options import options_in, options_of
from pebr_data.sources.placeholders import place_images
from pebr_data.types import Candidate


def encoded(form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((40, 40), 50).convert("RGB").save(buffer, format=form)
    return buffer.getvalue()


PNG = encoded()


def candidate(row: dict[str, Any], **fields: Any) -> Candidate:
    row = {"question": "What is it?", "answer": "red", "images": [], **row}
    return to_candidate(
        row, FieldsConfig(**fields), source="mine", split="train", read_path=lambda path: f"file {path}".encode()
    )


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_base64_of_every_image_format_is_told_from_a_path(form: str) -> None:
    data = encoded(form)
    text = base64.b64encode(data).decode()
    for entry in (data, {"bytes": data, "path": "x.png"}, text, {"bytes": text}, f"data:image/png;base64,{text}"):
        assert read_image(entry, lambda path: b"a file") == data
    folded = "\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    assert read_image(folded, lambda path: b"a file") == data


@pytest.mark.parametrize("entry", ["a/b.png", {"path": "a/b.png"}, {"bytes": None, "path": "a/b.png"}])
def test_an_image_without_bytes_is_read_by_its_path(entry: Any) -> None:
    assert read_image(entry, lambda path: path.encode()) == b"a/b.png"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (b"", "an image has no bytes"),
        ({"bytes": None, "path": None}, "an image is null"),
        ({}, "an image is null"),
        (3, "an image is of type int"),
        (["x"], "an image is a list"),
        ("data:image/png,plain", "an image has no bytes"),
        ("data:image/png;base64,@@@@", "the base64 of an image is broken"),
        ("iVBORw0KGgo" + "A" * 70 + "!", "the base64 of an image is broken"),
    ],
)
def test_an_image_that_is_none_is_refused_with_a_reason(entry: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_image(entry, lambda path: b"a file")


def test_images_come_from_several_columns_in_order_and_nulls_have_none() -> None:
    row = {"image_1": PNG, "image_2": None, "image_3": [{"bytes": b"x", "path": None}, "c.png"]}
    assert candidate(row, images=["image_1", "image_2", "image_3"]).images == (PNG, b"x", b"file c.png")
    with pytest.raises(DataError, match="the images is null"):
        candidate({"image_1": None}, images=["image_1"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["3", "4"], ("3", "4")),
        ([3, 4.5], ("3", "4.5")),
        ({"B": "no", "A": "yes"}, ("yes", "no")),
        ({str(n): f"o{n}" for n in (10, 2, 1)}, ("o1", "o2", "o10")),
        ('["3", "4"]', ("3", "4")),
        ("['it''s', \"no\"]", ("its", "no")),
        ("", ()),
        (None, ()),
        (["a", "b", "", None], ("a", "b")),
    ],
)
def test_options_come_from_a_list_a_mapping_or_a_list_written_as_text(value: Any, expected: tuple[str, ...]) -> None:
    assert options_of({"o": value}, "o") == expected


@pytest.mark.parametrize(
    "value", ["A or B", 3, ["", "b"], [None, "b"], list("abcdefghijklmnopqrstuvwxyzz"), "[" * 9999]
)
def test_what_is_no_list_of_options_is_refused(value: Any) -> None:
    with pytest.raises(DataError):
        options_of({"o": value}, "o")


def test_options_come_from_one_column_each() -> None:
    row = {"A": "left", "B": "right", "C": None, "D": ""}
    assert options_of(row, ("A", "B", "C", "D")) == ("left", "right")


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which?\nA. 3\nB. 4", ("3", "4")),
        ("Which?\nA) 3 B) 4 C) 5\nSay why.", ("3", "4", "5")),
        ("Which? (A) the left, one; (B) the right (C) none", ("the left, one", "the right", "none")),
        ("Choices:\nA: 10°\nB: 20°", ("10°", "20°")),
        ("In A. Smith's figure, which?\nA. x\nB. y", ("x", "y")),
        ("Is point A. on B?", ()),
        ("A. alone", ()),
        ("A. 3 C. 4", ()),
        ("A. \nB. 4", ()),
        ("", ()),
    ],
)
def test_options_are_read_out_of_the_question(question: str, expected: tuple[str, ...]) -> None:
    assert options_in(question) == expected


@given(st.lists(st.text("xyz 12°", min_size=1).map(str.strip).filter(bool), min_size=2, max_size=8))
def test_options_written_under_a_question_are_read_back(options: list[str]) -> None:
    assert options_in(with_options("Which one is it?", tuple(options))) == tuple(options)


def test_a_label_that_an_option_has_is_not_written_twice() -> None:
    assert with_options("Q?", ("A. 3", "(B) 4", "5")) == "Q?\nA. 3\n(B) 4\nC. 5"


def gold(answer: Any, options: tuple[str, ...] = (), **fields: Any) -> str:
    if "answer_is" in fields:
        fields = {"options": "o", **fields}
    return gold_of({"answer": answer}, FieldsConfig(**fields), options)


@pytest.mark.parametrize(
    ("answer", "fields", "options", "expected"),
    [
        ("\\boxed{12}", {"answer_in": "boxed"}, (), "12"),
        ("so \\boxed{1}, no: \\boxed{\\frac{a}{\\{b\\}}}.", {"answer_in": "boxed"}, (), "\\frac{a}{\\{b\\}}"),
        ("<think>an <answer> is due</think><ANSWER> B\n</ANSWER>", {"answer_in": "answer_tag"}, (), "B"),
        ("x\n### The final answer is: 7 cm\nmore", {"answer_after": "answer is:"}, (), "7 cm"),
        ("Answer: \\boxed{4} or so", {"answer_after": "Answer:", "answer_in": "boxed"}, (), "4"),
        ("(b) 30°", {"answer_is": "letter"}, ("20°", "30°"), "B"),
        ("b", {"answer_is": "letter"}, ("20°", "30°"), "B"),
        (0, {"answer_is": "index0"}, ("20°", "30°"), "A"),
        (2, {"answer_is": "index1"}, ("20°", "30°"), "B"),
        ("1.0", {"answer_is": "index0"}, ("20°", "30°"), "B"),
        ("30°", {"answer_is": "option"}, ("20°", "30°"), "30°"),
        ("1.2", {"answer_is": "option"}, (), "1.2"),
        ("B", {"answer_is": "letter"}, ("C", "A", "B"), "A"),  # the options are letters: the second one is A
        (0, {"answer_is": "index0"}, ("B", "A"), "B"),
        (["red"], {}, (), "red"),
        (3.5, {}, (), "3.5"),
    ],
)
def test_the_gold_is_found_in_every_form(
    answer: Any, fields: dict[str, Any], options: tuple[str, ...], expected: str
) -> None:
    assert gold(answer, options, **fields) == expected


@pytest.mark.parametrize(
    ("answer", "fields", "options", "reason"),
    [
        ("12", {"answer_in": "boxed"}, (), "has no \\\\boxed"),
        ("\\boxed{12", {"answer_in": "boxed"}, (), "is not closed"),
        ("\\boxed{ }", {"answer_in": "boxed"}, (), "the answer is empty"),
        ("B</answer>", {"answer_in": "answer_tag"}, (), "no <answer> tag"),
        ("<answer>B", {"answer_in": "answer_tag"}, (), "no <answer> tag"),
        ("C", {"answer_is": "letter"}, ("1", "2"), "letter is that of no option"),
        ("left", {"answer_is": "letter"}, ("1", "2"), "the answer is no letter"),
        (2, {"answer_is": "index0"}, ("1", "2"), "index is that of no option, counting from 0"),
        (0, {"answer_is": "index1"}, ("1", "2"), "index is that of no option, counting from 1"),
        (-1, {"answer_is": "index0"}, ("1", "2"), "index is that of no option"),
        ("B", {"answer_is": "index0"}, ("1", "2"), "the answer is no index"),
        ("7", {"answer_is": "option"}, ("1", "2"), "names none of the options, or several"),
        ("A", {"answer_is": "letter"}, ("same", "same"), None),
        (1, {"answer_is": "index0"}, (), "given by its index, but the row has no options"),
    ],
)
def test_a_gold_that_is_not_there_is_rejected_with_a_reason(
    answer: Any, fields: dict[str, Any], options: tuple[str, ...], reason: str | None
) -> None:
    if reason is None:
        assert gold(answer, options, **fields) == "A"
        return
    with pytest.raises(DataError, match=reason):
        gold(answer, options, **fields)


BRACED = st.recursive(
    st.text("ab \\", max_size=3).filter(lambda text: not text.endswith("\\")),
    lambda inner: st.tuples(inner, inner).map(lambda parts: f"{parts[0]}{{{parts[1]}}}"),
)


@given(BRACED)
def test_a_balanced_box_gives_what_was_put_in(body: str) -> None:
    assert last_boxed(f"so \\boxed{{{body}}} it is") == body


def test_long_hostile_answers_take_linear_time() -> None:
    for text in ("\\boxed{" * 60_000, "<answer>" * 60_000):
        with pytest.raises(DataError):
            last_boxed(text) if "boxed" in text else last_tag(text)


CHAT = [
    {"role": "system", "content": "Be good."},
    {"role": "user", "content": "<image>What?"},
    {"role": "assistant", "content": "Red."},
]


def test_a_conversation_is_read_by_who_speaks() -> None:
    sharegpt = [{"from": "human", "value": "<image>What?"}, {"from": "gpt", "value": "Red."}]
    parts = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}, CHAT[2]]
    for turns in (CHAT, sharegpt, parts):
        assert find({"messages": turns}, "messages.user") == "<image>What?"
        assert find({"messages": turns}, "messages.assistant") == "Red."
    assert find({"messages": CHAT}, "messages.1.content") == "<image>What?"
    with pytest.raises(DataError, match="more than one turn"):
        find({"messages": [*CHAT, CHAT[1]]}, "messages.user")


@pytest.mark.parametrize(
    ("question", "num_images", "expected"),
    [
        ("<image 1> <image 2> Compare.", 2, "Compare."),
        ("Is <image 2> like <image1>?", 2, "Is image 2 like image 1?"),
        ("See <image 1>. In <image 1>, what is red?", 3, "See image 1. In image 1, what is red?"),
    ],
)
def test_numbered_placeholders_mean_the_image_of_that_number(question: str, num_images: int, expected: str) -> None:
    assert place_images(question, num_images) == expected


@pytest.mark.parametrize("question", ["<image 3> What?", "<image 1> and <image>", "<image 999>"])
def test_a_numbered_placeholder_without_its_image_is_rejected(question: str) -> None:
    with pytest.raises(DataError, match="placeholder"):
        place_images(question, 2)


def test_options_are_shown_where_asked_and_golds_fit_them() -> None:
    row = {"choices": ["left", "right"], "answer": 1, "question": "Which?"}
    made = candidate(row, options="choices", show_options=True, answer_is="index0")
    assert (made.question, made.options, made.answer) == ("Which?\nA. left\nB. right", ("left", "right"), "B")


def test_shipped_pass_rates_are_kept_where_they_are_rates() -> None:
    row = {"p7": 0.25, "p32": 1, "bad": -1, "none": None, "text": "0.5", "true": True}
    made = candidate(row, pass_rates=list(row), metadata=["p32"])
    assert made.metadata == {"p32": 1, "pass_rates": {"p7": 0.25, "p32": 1.0}}


@pytest.mark.parametrize(
    ("condition", "value", "kept"),
    [
        ({"equals": 3}, 3.0, True),
        ({"equals": 3}, "3", True),
        ({"equals": "a"}, "b", False),
        ({"equals": True}, 1, False),
        ({"in": ["a", "b"]}, "b", True),
        ({"in": ["a", "b"]}, None, False),
        ({"not_in": ["a", "b"]}, None, True),
        ({"not_in": ["a", "b"]}, "a", False),
        ({"min": 0.1, "max": 0.9}, 0.5, True),
        ({"min": 0.1, "max": 0.9}, "0.95", False),
        ({"max": 0.9}, None, False),
        ({"max": 0.9}, float("nan"), False),
        ({"matches": "^geo"}, "geometry", True),
        ({"matches": "^geo"}, 3, False),
        ({"present": True}, " ", False),
        ({"present": True}, [], False),
        ({"present": False}, None, True),
        ({"present": True}, 0, True),
    ],
)
def test_a_row_is_kept_when_it_meets_every_condition(condition: dict[str, Any], value: Any, kept: bool) -> None:
    asked = RowCondition.model_validate({"column": "meta.x", **condition})
    reason = filtered_out({"meta": {"x": value}}, [asked])
    assert (reason is None) is kept
    assert reason is None or reason.startswith("filtered: `meta.x` ")


def test_a_pattern_of_a_filter_takes_linear_time() -> None:
    asked = RowCondition(column="x", matches="(a+)+b")
    assert filtered_out({"x": "a" * 100_000}, [asked]) is not None


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("keep_if: [{column: a}]", "a condition needs one of equals, in, not_in, min, max, matches, present"),
        ("keep_if: [{column: a, matches: '(?=b)'}]", "no RE2 pattern"),
        ("keep_if: [{column: a, inn: [b]}]", "did you mean `in`?"),
        ("fields: {show_options: true}", "`show_options` needs `options`"),
        ("fields: {answer_is: letter}", "`answer_is` needs `options` or `options_in_question`"),
        ("fields: {options: a, options_in_question: true}", "two answers to one question"),
    ],
)
def test_a_wrong_mapping_is_a_mistake_with_its_line(tmp_path: Path, keys: str, problem: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"name: x\nsources:\n  - type: jsonl\n    name: a\n    file: a.jsonl\n    {keys}\n", "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_catalog_config(path)
    assert problem in caught.value.problems[0]
    assert f"{path}:6" in caught.value.problems[0]


def test_every_field_of_a_row_is_bounded() -> None:
    with pytest.raises(DataError, match="the question is longer than"):
        candidate({"question": "x" * 1_000_001})
    with pytest.raises(DataError, match="more than 64 images"):
        candidate({"images": [PNG] * 65})
    with pytest.raises(DataError, match="the metadata is longer than"):
        candidate({"m": "x" * 1_000_001}, metadata=["m"])
    with pytest.raises(DataError, match="cannot be stored as JSON"):
        candidate({"m": b"x"}, metadata=["m"])
    assert json.dumps(dict(candidate({"m": {"a": [1]}}, metadata=["m"]).metadata)) == '{"m": {"a": [1]}}'
