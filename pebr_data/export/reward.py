"""The reward of the paper's second stage for other frameworks: 0.9 accuracy + 0.1 format, by the probe's own grader.

An export carries in each row what its completions are compared with (`gold_text`). The `reward.py` beside the shards
hands that and the completions to `score_completions`, so a policy is paid there what `pebr_train` would pay it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pebr_data.errors import DataError
from pebr_data.grading import Attempt, Gold, Grader, accuracy_reward, format_reward, grade_batch, read_rules
from pebr_data.types import FinishReason, Json, Sample

ACCURACY_WEIGHT = 0.9
FORMAT_WEIGHT = 0.1

_END_TOKEN = re.compile(r"(?:<\|[^<>|]{1,40}\|>|</s>|<eos>|<turn\|>|<end_of_turn>|<end_of_utterance>)\Z")
"""How the end of a response is written by the tokenizers of today's vision-language models."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one completion is worth.

    Attributes:
        accuracy: 1 or 0; None where nothing is known of the answer (`pebr_data.grading.accuracy_reward`).
        format: 1 or 0.
    """

    accuracy: float | None
    format: float

    @property
    def total(self) -> float:
        """The weighted sum, 0..1. An accuracy that is not known adds nothing, as in TRL."""
        return ACCURACY_WEIGHT * (self.accuracy or 0.0) + FORMAT_WEIGHT * self.format

    def named(self, total: str) -> dict[str, float]:
        """The sum under the name a framework wants, and its parts for the logs; NaN where accuracy is not known."""
        accuracy = float("nan") if self.accuracy is None else self.accuracy
        return {total: self.total, "accuracy": accuracy, "format": self.format}


def gold_text(sample: Sample, extractors: Sequence[str], max_completion_length: int) -> str:
    """What a grader must know of a sample, as the JSON text that an exported row carries.

    Args:
        sample: The sample.
        extractors: Where the prompt template tells the policy to answer.
        max_completion_length: Tokens a completion may have, as in the probe.
    """
    gold = {
        "question": sample.question,
        "answer": sample.answer,
        "answer_type": sample.answer_type,
        "options": list(sample.options),
        "grading": dict(sample.grading),
        "extractors": list(extractors),
        "max_completion_length": max_completion_length,
    }
    return json.dumps(gold, ensure_ascii=False, sort_keys=True)


def score_completions(
    completions: Sequence[str],
    golds: Sequence[str],
    *,
    truncated: Sequence[bool] | None = None,
    num_tokens: Sequence[int] | None = None,
) -> list[Score]:
    """The scores of completions, in order.

    Args:
        completions: N decoded texts, special tokens removed.
        golds: N texts as `gold_text` writes them.
        truncated: Whether each ran out of length; none did when neither this nor `num_tokens` is given.
        num_tokens: Their lengths; one that has all its gold allows ran out of length.

    Raises:
        DataError: A gold is not such a text, or holds a grading rule that does not exist.
    """
    read = [_read(text) for text in golds]
    if truncated is None:
        lengths = [0] * len(read) if num_tokens is None else num_tokens
        truncated = [length >= gold["max_completion_length"] for length, gold in zip(lengths, read, strict=True)]
    scores: dict[int, Score] = {}
    for extractors in {tuple(gold["extractors"]) for gold in read}:
        places = [place for place, gold in enumerate(read) if tuple(gold["extractors"]) == extractors]
        attempts = [_attempt(completions[place], read[place], truncated[place]) for place in places]
        grades = grade_batch(attempts, Grader(extractors=extractors))
        for place, grade in zip(places, grades, strict=True):
            scores[place] = Score(accuracy_reward(grade), format_reward(completions[place]))
    return [scores[place] for place in range(len(completions))]


def score_queries(queries: Sequence[str], prompts: Sequence[str], golds: Sequence[str]) -> list[Score]:
    """The scores of responses that are still behind their prompts and carry their special tokens.

    Image tokens may be expanded in a query and not in its prompt, so the response is what follows the question and
    the rest of the prompt. A response that no end token closes ran out of length.

    Args:
        queries: N decoded prompts with their responses, special tokens included.
        prompts: The N prompts.
        golds: N texts as `gold_text` writes them.

    Raises:
        DataError: As for `score_completions`; or a query does not hold its prompt's question.
    """
    responses = [_response(*row) for row in zip(queries, prompts, golds, strict=True)]
    completions = [_without_end(response) for response in responses]
    truncated = [completion == response for completion, response in zip(completions, responses, strict=True)]
    return score_completions(completions, golds, truncated=truncated)


def _read(text: str) -> dict[str, Json]:
    try:
        gold = json.loads(text)
        if isinstance(gold, dict) and {"answer", "extractors", "max_completion_length"} <= gold.keys():
            return gold
    except ValueError:
        pass
    raise DataError(
        "the reward was not given what pebr exported for it",
        where=f"{text[:60]!r}",
        help="name the column that the export's README.md names",
    )


def _attempt(completion: str, gold: dict[str, Json], truncated: bool) -> Attempt:
    finish_reason: FinishReason = "length" if truncated else "stop"
    rules = read_rules(gold["grading"])
    return Attempt(completion, Gold(gold["answer"], gold["answer_type"], tuple(gold["options"]), rules), finish_reason)


def _response(query: str, prompt: str, gold: str) -> str:
    question = _read(gold)["question"].strip()
    start = prompt.rfind(question)
    _, found, response = query.partition(prompt[start:]) if start >= 0 else ("", "", "")
    if not found:
        raise DataError("a query does not hold the question it answers", where=f"question {question[:60]!r}")
    return str(response)


def _without_end(response: str) -> str:
    """The response up to its end tokens; as it is without any."""
    text = response
    while end := _END_TOKEN.search(text.rstrip()[-64:]):
        text = text.rstrip()[: -len(end[0])]
    return text
