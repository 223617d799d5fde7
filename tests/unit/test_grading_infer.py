from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_data.grading import ANSWER_TYPES, infer_answer_type


@pytest.mark.parametrize(
    ("gold", "answer_type"),
    [
        ("B", "choice"),
        ("(C)", "choice"),
        ("yes", "yes_no"),
        ("False", "yes_no"),
        ("12", "integer"),
        ("-3", "integer"),
        ("1,234", "integer"),
        ("3.50", "decimal"),
        ("45%", "integer"),
        ("3/4", "number"),
        ("\\frac{3}{4}", "number"),
        ("30°", "integer"),
        ("12 cm", "integer"),
        ("2\\sqrt{3}", "expression"),
        ("\\frac{5\\pi}{3}", "expression"),
        ("2x+1", "expression"),
        ("a^2+b^2", "expression"),
        ("y=2x+1", "equation"),
        ("(2, -3)", "tuple"),
        ("\\{1, 3\\}", "set"),
        ("[1, 2)", "interval"),
        ("[1,+\\infty)", "interval"),
        ("x > 3", "interval"),
        ("3:4", "ratio"),
        ("10:30", "text"),
        ("1, 2, 3", "list"),
        ("red", "text"),
        ("a red bus", "text"),
        ("Route 66", "text"),
        ("Paris, France", "text"),
    ],
)
def test_the_type_is_read_off_the_gold(gold: str, answer_type: str) -> None:
    assert infer_answer_type(gold).answer_type == answer_type


def test_a_gold_that_names_an_option_is_a_choice_and_says_which() -> None:
    inferred = infer_answer_type("30°", ("20°", "30°"))
    assert (inferred.answer_type, "option 2 of 2" in inferred.reason) == ("choice", True)


def test_the_question_tells_a_count_from_another_whole_number() -> None:
    assert infer_answer_type("3", (), "How many dogs are there?").answer_type == "count"
    assert infer_answer_type("3", (), "What is x?").answer_type == "integer"


@given(st.text(max_size=300), st.lists(st.text(max_size=20), max_size=4))
def test_every_text_has_a_type_and_a_reason(gold: str, options: list[str]) -> None:
    inferred = infer_answer_type(gold, options)
    assert inferred.answer_type in ANSWER_TYPES
    assert inferred.reason
