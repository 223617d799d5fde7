"""What holds of the grader for any text at all, as an answer and as a gold."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pebr_data.grading import ANSWER_TYPES, GradingRules, infer_answer_type
from pebr_data.grading.equivalence import compare, gold_problem

ANY_TEXT = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="0123456789./,-% ^(){}[]\\$:;=<>eabcxyzπ°", max_size=40),
    st.lists(
        st.sampled_from(
            [
                "\\boxed{",
                "\\frac{1}{2}",
                "\\sqrt",
                "}",
                "B",
                "(B)",
                "or",
                "3",
                "three",
                "half",
                "%",
                "yes",
                "no",
                "(1, 2]",
                "x=",
            ]
        ),
        max_size=8,
    ).map(" ".join),
)
RULES = st.builds(
    GradingRules,
    synonyms=st.lists(ANY_TEXT, max_size=2).map(tuple),
    tolerance=st.none() | st.floats(0, 10),
    relative_tolerance=st.none() | st.floats(0, 0.99),
    decimals=st.none() | st.integers(0, 12),
    unit=st.none() | st.sampled_from(["cm", "%", "$", "degrees", ""]),
    ordered=st.booleans(),
    max_distance=st.none() | st.floats(0.1, 100),
    frame=st.sampled_from(["original", "shown", "unit", "thousand"]),
    answer_frame=st.none() | st.sampled_from(["original", "shown", "unit", "thousand"]),
    box_format=st.sampled_from(["xyxy", "xywh", "cxcywh"]),
    original_size=st.none() | st.just((640, 480)),
    shown_size=st.none() | st.just((320, 240)),
)


FEW = settings(max_examples=50, deadline=None)


@FEW
@given(ANY_TEXT, ANY_TEXT, st.sampled_from([None, "caption", *ANSWER_TYPES]), st.lists(ANY_TEXT, max_size=4), RULES)
def test_no_text_type_options_or_rules_make_the_grader_raise(
    answer: str, gold: str, answer_type: str | None, options: list[str], rules: GradingRules
) -> None:
    assert infer_answer_type(gold, options, answer).answer_type in ANSWER_TYPES
    if gold_problem(gold, answer_type, options, rules) is None:
        verdict = compare(answer, gold, answer_type, options, rules)
        assert verdict.equal is None or verdict.reason


@FEW
@given(ANY_TEXT, st.sampled_from([None, *ANSWER_TYPES]), st.lists(ANY_TEXT, max_size=4), RULES)
def test_any_usable_gold_equals_itself(
    gold: str, answer_type: str | None, options: list[str], rules: GradingRules
) -> None:
    if answer_type in ("box", "point"):
        rules = GradingRules(max_distance=1.0)
    assume(gold_problem(gold, answer_type, options, rules) is None)
    assume(not (answer_type == "point" and len([part for part in gold.split(",") if part.strip()]) > 2))
    assert compare(gold, gold, answer_type, options, rules).equal


def test_a_name_without_a_value_is_a_text_like_any_other() -> None:
    assert compare("0", "A=or0", options=["A=or0", "1"]).equal is False
    assert gold_problem("A=or0", None) is None
