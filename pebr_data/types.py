"""The nouns that flow through pebr: candidate, sample, fingerprint, rollout, grade.

Everything here is a frozen value without behaviour beyond its identity, so every layer can hold it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal

from pebr_data.hashing import digest, seed_from

Json = Any

FinishReason = Literal["stop", "length", "error"]

ImagePlacement = Literal["embed", "beside"]
"""Where an export has its images: their bytes in the rows, or files that the rows name."""

ScaleRewards = Literal["group", "batch", "none"]
"""TRL's `scale_rewards`."""


class Outcome(StrEnum):
    """A grader's verdict on one completion."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    TRUNCATED = "truncated"
    UNGRADABLE = "ungradable"
    ERROR = "error"


class Condition(StrEnum):
    """What the policy is shown."""

    IMAGE = "image"
    BLIND = "blind"
    DESCRIBED = "described"


class StopRule(StrEnum):
    """When a probe has made enough rollouts of a sample.

    All G of them; as many as make the band of all G certain; or as many as make its own band sure enough.
    """

    NONE = "none"
    EXACT = "exact"
    POSTERIOR = "posterior"


class Band(StrEnum):
    """Where a sample's complete group of G rollouts falls: G/G, 1..G-1, 0/G correct, or not yet complete."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"
    UNPROBED = "unprobed"


class Diagnosis(StrEnum):
    """Why the policy does not always solve a sample; `pebr_data.difficulty.diagnosis` has the rules."""

    TRUNCATION = "truncation"
    FORMAT = "format"
    GRADER_DISPUTE = "grader-dispute"
    PERCEPTION_BOUND = "perception-bound"
    SUSPECTED_GOLD = "suspected-gold"
    REASONING_BOUND = "reasoning-bound"
    IMAGE_NOT_NEEDED = "image-not-needed"
    GUESSABLE = "guessable"
    HARD = "hard"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One question as a source yields it, before the catalog has stored its images.

    Attributes:
        source: Name of the source in the catalog YAML.
        split: `train`, `test`, or whatever the source calls it.
        question: The question, without `<image>` placeholders.
        answer: The gold answer as text.
        images: Encoded image files (PNG, JPEG, …), in the order the question refers to them.
        answer_type: What the gold is, one of `pebr_data.grading.ANSWER_TYPES`; None leaves it to be inferred.
        options: The options of a multiple-choice question, in order; empty otherwise.
        keywords: Phrases a good response mentions (the paper's `key_words`).
        description: Reference description of the image, or None.
        response: Reference response in the paper's sections, or None.
        skill: What the question needs (`count-color`, `compare`, …), or None.
        grading: What else a grader must know, as keys of `pebr_data.grading.GradingRules`.
        metadata: Anything else that is known of it, JSON-serialisable; difficulty factors live here.
    """

    source: str
    split: str
    question: str
    answer: str
    images: tuple[bytes, ...] = ()
    answer_type: str | None = None
    options: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    description: str | None = None
    response: str | None = None
    skill: str | None = None
    grading: Mapping[str, Json] = field(default_factory=dict)
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """One stored candidate; fields as in `Candidate`, with its images as content hashes (sha256 hex).

    `answer_type_reason` says why the answer type is what it is: declared by the source, or inferred from what.
    """

    sample_id: str
    source: str
    split: str
    question: str
    answer: str
    image_hashes: tuple[str, ...] = ()
    answer_type: str | None = None
    options: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    description: str | None = None
    response: str | None = None
    skill: str | None = None
    grading: Mapping[str, Json] = field(default_factory=dict)
    metadata: Mapping[str, Json] = field(default_factory=dict)
    answer_type_reason: str | None = None


def sample_id_of(source: str, question: str, answer: str, image_hashes: tuple[str, ...]) -> str:
    """The sample's identity: 16 hex digits of the hash of (source, question, answer, image hashes)."""
    return digest([source, question, answer, list(image_hashes)])[:16]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A policy: a model together with everything that shapes its answers.

    `revision` is the model's content digest when the model is a local directory, else the hub revision.
    Batch size and device are not in it: they do not change which answers are likely. With `shuffle_options` each
    rollout is shown a multiple-choice question's options in an order of its own.
    """

    model: str
    revision: str
    template: str
    condition: Condition
    temperature: float
    top_p: float
    max_completion_length: int
    max_pixels: int
    engine: str
    shuffle_options: bool = False

    @property
    def probe_id(self) -> str:
        """16 hex digits naming every probe under this policy."""
        return digest(self.to_json())[:16]

    def to_json(self) -> dict[str, Json]:
        """The fields as JSON-serialisable values, in declaration order."""
        return {
            "model": self.model,
            "revision": self.revision,
            "template": self.template,
            "condition": str(self.condition),
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_completion_length": self.max_completion_length,
            "max_pixels": self.max_pixels,
            "engine": self.engine,
            # Probes from before there was a choice keep their ids.
            **({"shuffle_options": True} if self.shuffle_options else {}),
        }


@lru_cache(maxsize=32768)
def _seed_of(probe_id: str, sample_id: str, index: int) -> int:
    # An engine asks for it, and the catalog again when the rollout is merged, up to `MERGE_EVERY` rollouts later.
    return seed_from(probe_id, sample_id, index)


@dataclass(frozen=True, slots=True)
class RolloutKey:
    """The identity of one rollout. The same key always gets the same seed."""

    probe_id: str
    sample_id: str
    index: int

    @property
    def seed(self) -> int:
        """A seed in 0 .. 2**63-1 derived from the key alone."""
        return _seed_of(self.probe_id, self.sample_id, self.index)


@dataclass(frozen=True, slots=True)
class Grade:
    """A grader's verdict: the outcome, the answer it extracted, and why."""

    outcome: Outcome
    answer: str | None
    reason: str
    grader_version: str


@dataclass(frozen=True, slots=True)
class Generation:
    """What an engine returned for one rollout key.

    Attributes:
        completion: The decoded text, special tokens removed.
        num_tokens: Completion tokens, the end-of-sequence token included.
        finish_reason: `stop` (the model ended it), `length` (cut off) or `error` (the engine failed on it).
        num_prompt_tokens: Prompt tokens with image tokens expanded.
        num_image_tokens: Image tokens among them; 0 only when the prompt shows no image.
        error: The engine's message when `finish_reason` is `error`.
    """

    completion: str
    num_tokens: int
    finish_reason: FinishReason
    num_prompt_tokens: int = 0
    num_image_tokens: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """One completion of one sample by one policy, with its grade.

    `order` says which of the sample's options stood under A, B, …, counted from 0; empty: they stood as they are.
    """

    key: RolloutKey
    generation: Generation
    grade: Grade
    order: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Mixture:
    """A seeded, frozen choice of samples for one stage. It never changes: another choice is another mixture.

    Attributes:
        mixture_id: 16 hex digits of `digest`.
        catalog: Name of the catalog it was chosen from.
        name: Its name in the catalog YAML.
        probe_id: The probe whose pass rates it was chosen by; None when no probe was asked.
        config: The mixture's part of the catalog YAML, JSON-serialisable.
        sample_ids: The chosen samples, in the order training sees them.
        drops: How many samples were left out, per reason.
        digest: SHA-256 of everything above, so that the same choice is the same mixture.
    """

    mixture_id: str
    catalog: str
    name: str
    probe_id: str | None
    config: Mapping[str, Json]
    sample_ids: tuple[str, ...]
    drops: Mapping[str, int]
    digest: str
