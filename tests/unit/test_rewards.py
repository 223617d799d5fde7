from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_train.recipe import RewardConfig
from pebr_train.rewards import REWARDS, RewardContext, open_rewards

EOS = 3
WHOLE = (
    "### Image Description: a large red circle at center\n### Rationales: count them\n### Let's think step by step.\n"
    "### Step 1: one circle\n### The final answer is: 1"
)


def no_encoder() -> Any:
    raise AssertionError("no reward here needs the encoder")


def score(
    name: str, text: str, *, tokens: int = 10, params: dict[str, Any] | None = None, **columns: Any
) -> float | None:
    context = RewardContext(("section",), frozenset({EOS}), no_encoder)
    (reward,) = open_rewards([RewardConfig(name=name, weight=1.0, params=params or {})], context)
    ids = [7] * (tokens - 1) + [columns.pop("last", EOS)]
    row = {
        "answer": "1",
        "answer_type": "count",
        "options": None,
        "grading": "{}",
        "keywords": [],
        "sample_id": "s",
        **columns,
    }
    (value,) = reward(
        [[{"role": "user", "content": "?"}]],
        [[{"role": "assistant", "content": text}]],
        [ids],
        **{column: [value] for column, value in row.items()},
        trainer_state=None,
    )
    return value


def test_accuracy_is_1_for_the_right_answer_and_0_for_anything_else_that_can_be_graded() -> None:
    assert score("accuracy", WHOLE) == 1.0
    assert score("accuracy", WHOLE, answer="2") == 0.0
    assert score("accuracy", "no answer line") == 0.0


def test_accuracy_does_not_apply_where_the_gold_cannot_be_used() -> None:
    assert score("accuracy", WHOLE, answer="") is None


def test_accuracy_of_a_response_cut_off_within_its_answer_is_0() -> None:
    assert score("accuracy", WHOLE, last=7) == 0.0


@pytest.mark.parametrize(
    "heading", ["### Image Description:", "### Rationales:", "### Step 1:", "### The final answer is:"]
)
def test_format_needs_each_of_the_four_headings(heading: str) -> None:
    assert score("format", WHOLE) == 1.0
    assert score("format", WHOLE.replace(heading, "")) == 0.0


def test_format_does_not_need_the_thinking_line() -> None:
    assert score("format", WHOLE.replace("### Let's think step by step.\n", "")) == 1.0


def test_length_is_1_up_to_512_tokens_then_512_over_tokens() -> None:
    assert score("length", "x", tokens=512) == 1.0
    assert score("length", "x", tokens=1024) == 0.5
    assert score("length", "x", tokens=30, params={"max_tokens": 15}) == 0.5


def test_keyword_is_the_share_found_in_the_lower_cased_response() -> None:
    assert score("keyword", WHOLE, keywords=["Red circle", "blue square"]) == 0.5
    assert score("keyword", "A RED CIRCLE", keywords=["red circle"]) == 1.0


def test_keyword_is_0_for_a_sample_without_keywords_as_in_the_paper() -> None:
    assert score("keyword", WHOLE, keywords=[]) == 0.0
    assert score("keyword", WHOLE, keywords=None) == 0.0


@given(text=st.text(max_size=200), tokens=st.integers(1, 5000))
def test_every_reward_stays_between_0_and_1_on_any_text(text: str, tokens: int) -> None:
    for name in REWARDS:
        if name != "similarity":
            value = score(name, text, tokens=tokens, keywords=["a", "b"])
            assert value is None or 0.0 <= value <= 1.0


def test_the_table_names_each_reward_as_it_names_itself() -> None:
    assert {name: kind.name for name, kind in REWARDS.items()} == {name: name for name in REWARDS}
