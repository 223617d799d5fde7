"""A policy that is trained elsewhere is paid what `pebr_train` would pay it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_data.errors import DataError
from pebr_data.export.reward import gold_text, score_completions, score_queries
from pebr_data.types import Sample
from pebr_train.recipe import RewardConfig
from pebr_train.rewards import RewardContext, open_rewards

EOS = 3
WHOLE = (
    "### Image Description: a large red circle at center\n### Rationales: count them\n### Let's think step by step.\n"
    "### Step 1: one circle\n### The final answer is: {}"
)
SAMPLES = {
    "count": Sample("1", "made", "train", "How many?", "1", answer_type="count"),
    "choice": Sample("2", "made", "train", "Which?", "B", answer_type="choice", options=("a cat", "a dog")),
    "text": Sample("3", "made", "train", "What?", "film", answer_type="text", grading={"synonyms": ["movie"]}),
    "number": Sample("4", "made", "train", "How far?", "2.5", answer_type="number", grading={"tolerance": 0.1}),
    "inferred": Sample("5", "made", "train", "How much?", "1/2"),
    "unusable": Sample("6", "made", "train", "Why?", ""),
}
ANSWERS = ["1", "one", "B", "a dog", "A", "film", "the movie", "2.45", "0.5", "50%", "1/2", "", "1 or 2", "x"]


def paid_by_training(text: str, sample: Sample, extractors: tuple[str, ...], *, ended: bool = True) -> float:
    """What TRL adds up for a completion under the rewards of the paper's second stage: None counts nothing."""
    context = RewardContext(extractors, frozenset({EOS}), lambda: pytest.fail("no reward here needs the encoder"))
    configs = [RewardConfig(name="accuracy", weight=0.9), RewardConfig(name="format", weight=0.1)]
    columns: dict[str, Any] = {
        "answer": [sample.answer],
        "answer_type": [sample.answer_type],
        "options": [list(sample.options)],
        "grading": [json.dumps(dict(sample.grading))],
    }
    values = [
        reward([[]], [[{"role": "assistant", "content": text}]], [[7, EOS if ended else 7]], **columns)[0]
        for reward in open_rewards(configs, context)
    ]
    return sum(config.weight * value for config, value in zip(configs, values, strict=True) if value is not None)


def golds(samples: Sequence[Sample], extractors: Sequence[str] = ("section",)) -> list[str]:
    return [gold_text(sample, extractors, 64) for sample in samples]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("truncated", [False, True])
def test_the_score_is_the_weighted_sum_of_the_training_s_accuracy_and_format(name: str, truncated: bool) -> None:
    sample = SAMPLES[name]
    texts = [form.format(answer) for answer in ANSWERS for form in (WHOLE, WHOLE + "\n", "### The final answer is: {}")]

    scores = score_completions(texts, golds([sample] * len(texts)), truncated=[truncated] * len(texts))

    paid = [paid_by_training(text, sample, ("section",), ended=not truncated) for text in texts]
    assert [score.total for score in scores] == paid
    assert len(set(paid)) > 1


@given(
    text=st.text(max_size=80) | st.sampled_from(ANSWERS).map(WHOLE.format),
    name=st.sampled_from(["count", "choice", "text"]),
)
def test_it_is_so_for_any_text_and_lies_between_0_and_1(text: str, name: str) -> None:
    (score,) = score_completions([text], golds([SAMPLES[name]]))
    assert score.total == paid_by_training(text, SAMPLES[name], ("section",))
    assert 0 <= score.total <= 1


def test_rows_of_different_prompt_templates_may_be_scored_together() -> None:
    sample = SAMPLES["count"]
    texts = ["<answer>1</answer>", WHOLE.format(1), r"\boxed{1}", "<answer>2</answer>"]
    extractors = [("tag",), ("section",), ("boxed", "phrase"), ("tag",)]
    mixed = [gold_text(sample, names, 64) for names in extractors]

    assert [score.accuracy for score in score_completions(texts, mixed)] == [1.0, 1.0, 1.0, 0.0]


def test_a_completion_of_all_tokens_it_may_have_ran_out_of_length() -> None:
    cut, whole = score_completions([WHOLE.format(1)] * 2, golds([SAMPLES["count"]] * 2), num_tokens=[64, 63])
    assert (cut.accuracy, whole.accuracy) == (0.0, 1.0)


def test_an_accuracy_that_is_not_known_is_nan_in_the_logs_and_adds_nothing() -> None:
    (score,) = score_completions([WHOLE.format(1)], golds([SAMPLES["unusable"]]))
    named = score.named("overall")
    assert math.isnan(named["accuracy"])
    assert (named["overall"], named["format"]) == (pytest.approx(0.1), 1.0)


@pytest.mark.parametrize("text", ["1", "B", "", '{"answer": "1"}', "[1]"])
def test_a_column_that_is_no_gold_is_told_as_such_and_never_a_reward_of_0(text: str) -> None:
    with pytest.raises(DataError, match="not given what pebr exported"):
        score_completions([WHOLE.format(1)], [text])


class TestResponsesBehindTheirPrompts:
    PROMPT = "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>{}<|im_end|>\n<|im_start|>assistant\n"

    def query(self, sample: Sample, response: str) -> tuple[str, str]:
        """A prompt that asks for the sections by their headings, as `sections` does, and its query."""
        prompt = self.PROMPT.format(WHOLE.format("what you found") + "\n\nQuestion: " + sample.question)
        return prompt.replace("<|image_pad|>", "<|image_pad|>" * 9) + response, prompt

    @pytest.mark.parametrize("end", ["<|im_end|>", "</s>", "<|im_end|>\n<|endoftext|><|endoftext|>", "<end_of_turn>\n"])
    def test_the_response_alone_is_scored_without_its_end(self, end: str) -> None:
        for sample, answer in ((SAMPLES["count"], "1"), (SAMPLES["count"], "2"), (SAMPLES["choice"], "B")):
            text = WHOLE.format(answer)
            query, prompt = self.query(sample, text + end)
            (score,) = score_queries([query], [prompt], golds([sample]))
            assert score.total == paid_by_training(text, sample, ("section",))

    def test_the_headings_of_the_prompt_earn_nothing(self) -> None:
        query, prompt = self.query(SAMPLES["count"], "I do not know.<|im_end|>")
        (score,) = score_queries([query], [prompt], golds([SAMPLES["count"]]))
        assert (score.accuracy, score.format) == (0.0, 0.0)

    def test_a_response_without_an_end_ran_out_of_length(self) -> None:
        query, prompt = self.query(SAMPLES["count"], WHOLE.format(1))
        (score,) = score_queries([query], [prompt], golds([SAMPLES["count"]]))
        assert score.total == paid_by_training(WHOLE.format(1), SAMPLES["count"], ("section",), ended=False)
        assert score.accuracy == 0.0

    def test_a_query_of_another_question_is_refused(self) -> None:
        query, prompt = self.query(SAMPLES["count"], WHOLE.format(1))
        with pytest.raises(DataError, match="does not hold the question"):
            score_queries([query], [prompt], golds([SAMPLES["choice"]]))
