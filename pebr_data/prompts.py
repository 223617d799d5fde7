"""What a policy is asked: prompt templates, and the messages they make.

A template is part of the fingerprint by its *name*, so a published template never changes: a new wording gets a new
name. The engine takes `messages` (image parts explicit); TRL takes `text_prompt` as a plain user message plus an
`images` column and puts the images in front itself. Both render to the same prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pebr_data.errors import ConfigError, DataError
from pebr_data.types import Condition


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """How a question is put, and where its answer is then looked for.

    Attributes:
        name: The name recipes, catalogs and fingerprints use.
        instruction: Text set before the question; empty for a model that already answers in sections.
        extractors: Names in `pebr_data.grading.answers.EXTRACTORS`, tried in this order on a completion.
    """

    name: str
    instruction: str
    extractors: tuple[str, ...]


_SECTIONS = """\
Answer the question about the image. Write these sections, in this order, each under its heading:

### Image Description: Describe what the image shows, with every detail that matters for the question.
### Rationales: Say which facts, rules or formulas lead from what is shown to the answer, and why.
### Let's think step by step.
### Step 1: Work the question out, one numbered step under a heading of its own at a time, with as many steps as needed.
### The final answer is: Give the answer alone, on this line; for a multiple-choice question, the option's letter.

Question: """

_BOXED = """\
Answer the question about the image. Reason step by step, then put the answer alone into \\boxed{}; for a
multiple-choice question, the option's letter.

Question: """

_TAGGED = """\
Answer the question about the image. Reason between <think> and </think>, then give the answer alone between <answer>
and </answer>; for a multiple-choice question, the option's letter.

Question: """

_DIRECT = """\
Answer the question about the image with the answer alone: a word, a number, a formula, or an option's letter.

Question: """

TEMPLATES: dict[str, PromptTemplate] = {
    "sections": PromptTemplate("sections", _SECTIONS, ("section",)),
    "question": PromptTemplate("question", "", ("section",)),
    "boxed": PromptTemplate("boxed", _BOXED, ("boxed", "phrase")),
    "tagged": PromptTemplate("tagged", _TAGGED, ("tag",)),
    "direct": PromptTemplate("direct", _DIRECT, ("tag", "boxed", "phrase", "last_line")),
}
"""`sections` asks for the paper's five sections (own wording); `question` is the question alone, for a policy that
has already been trained to answer in sections; `boxed`, `tagged` and `direct` are for policies trained on other
formats, and look for the answer where they ask for it."""


def open_template(name: str) -> PromptTemplate:
    """The template of that name.

    Raises:
        ConfigError: There is no such template.
    """
    try:
        return TEMPLATES[name]
    except KeyError:
        known = ", ".join(TEMPLATES)
        raise ConfigError(f"unknown prompt template {name!r}", help=f"set `template` to one of: {known}") from None


def text_prompt(
    template: str | PromptTemplate,
    question: str,
    condition: Condition = Condition.IMAGE,
    description: str | None = None,
) -> str:
    """The text of the one user message.

    Args:
        template: A template, or the name of one.
        question: The question, without `<image>` placeholders.
        condition: What the policy is shown. Under `described` the reference description stands before the question.
        description: The sample's reference description; used under `described` only.

    Raises:
        ConfigError: There is no such template.
        DataError: The condition is `described` and there is no description.
    """
    chosen = open_template(template) if isinstance(template, str) else template
    if condition is Condition.DESCRIBED:
        if not description or not description.strip():
            raise DataError(
                "the condition `described` needs a reference description and the sample has none",
                where=f"question {question[:60]!r}",
                help="probe under `condition: image`, or give the source a description field",
            )
        question = f"The image is described as follows: {description.strip()}\n\n{question}"
    return chosen.instruction + question


def messages(
    template: str | PromptTemplate,
    question: str,
    num_images: int,
    condition: Condition = Condition.IMAGE,
    description: str | None = None,
) -> list[dict[str, Any]]:
    """One user message in the chat-template format of transformers: image parts first, then the text.

    Args:
        template: A template, or the name of one.
        question: The question, without `<image>` placeholders.
        num_images: How many images the sample has; only the condition `image` shows them.
        condition: What the policy is shown.
        description: The sample's reference description; used under `described` only.

    Raises:
        ConfigError: There is no such template.
        DataError: The condition is `described` and there is no description.
    """
    shown = num_images if condition is Condition.IMAGE else 0
    text = text_prompt(template, question, condition, description)
    content: list[dict[str, str]] = [{"type": "image"} for _ in range(shown)]
    content.append({"type": "text", "text": text})
    return [{"role": "user", "content": content}]
