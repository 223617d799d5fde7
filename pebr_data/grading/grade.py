"""The one verdict: the probe, the accuracy reward and the evaluation all call this.

    grade(completion, sample, Grader(extractors=template.extractors)).outcome

What can be decided by reading is decided here, in microseconds. What only algebra can tell is asked of worker processes
that nothing can hang (`pebr_data.grading.workers.symbolic`), for a whole batch at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from pebr_data.errors import ConfigError, DataError
from pebr_data.grading.answers import find_answer
from pebr_data.grading.equivalence import compare, gold_problem
from pebr_data.grading.normalize import printable
from pebr_data.grading.rules import DEFAULT_RULES, GradingRules, read_rules
from pebr_data.grading.sections import Extraction
from pebr_data.grading.verdict import Verdict
from pebr_data.grading.workers.guard import refusal
from pebr_data.grading.workers.paper import paper_answer, paper_equal_many
from pebr_data.grading.workers.symbolic import SymbolicVerdict, symbolic_equal_many
from pebr_data.types import FinishReason, Grade, Outcome, Sample

GRADER_VERSION = "pebr-2"
"""Names the default profile's rules; any change that can change a verdict changes it, so grades are never mixed."""


@dataclass(frozen=True, slots=True)
class Gold:
    """What a completion is compared with: the gold answer, its type (None: inferred), its options, and its rules."""

    answer: str
    answer_type: str | None = None
    options: tuple[str, ...] = ()
    rules: GradingRules = DEFAULT_RULES


# The completions of one sample come together and give few different answers.
_MAX_REMEMBERED = 256


@lru_cache(maxsize=512)
def _problem(gold: Gold) -> str | None:
    return gold_problem(gold.answer, gold.answer_type, gold.options, gold.rules)


@lru_cache(maxsize=4096)
def _compared(answer: str, gold: Gold) -> Verdict:
    return compare(answer, gold.answer, gold.answer_type, gold.options, gold.rules)


def forget() -> None:
    """Forget the verdicts that are remembered for answers that come again, as a benchmark has to."""
    _problem.cache_clear()
    _compared.cache_clear()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A completion to be graded: its text, what it is compared with, and how its generation ended."""

    completion: str
    gold: Gold
    finish_reason: FinishReason = "stop"


@dataclass(frozen=True, slots=True)
class Grader:
    """Who judges, and where it looks.

    Attributes:
        profile: A name in `PROFILES`.
        extractors: Where the answer may stand, as the prompt template says; the profile `paper` looks where it always
            does.

    Raises:
        ConfigError: There is no such profile.
    """

    profile: str = "pebr"
    extractors: tuple[str, ...] = ("section",)

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise ConfigError(f"there is no grader {self.profile!r}", help=f"use one of: {', '.join(PROFILES)}")

    @property
    def version(self) -> str:
        """Names the profile's rules in every grade."""
        return PROFILES[self.profile].version


class Profile(Protocol):
    """One way to judge: how the answer is found, compared, and, where reading cannot tell, asked of a worker."""

    version: str

    def find(self, completion: str, extractors: Sequence[str]) -> Extraction | None:
        """The answer of a completion, or None."""

    def problem(self, gold: Gold) -> str | None:
        """Why the gold cannot be used, or None."""

    def compare(self, answer: str, gold: Gold) -> Verdict:
        """Whether the answer says what the gold says; `equal` None to have `ask` decide."""

    def ask(self, pairs: Sequence[tuple[str, str]]) -> Sequence[SymbolicVerdict]:
        """The verdicts on (answer, gold) pairs that reading could not decide."""


class PebrProfile:
    """The default: every answer type by its own rule, and a doubtful answer is wrong."""

    version = GRADER_VERSION

    def find(self, completion: str, extractors: Sequence[str]) -> Extraction | None:
        """Where the prompt template told the policy to answer."""
        return find_answer(completion, extractors)

    def problem(self, gold: Gold) -> str | None:
        """As `equivalence.gold_problem`."""
        return _problem(gold)

    def compare(self, answer: str, gold: Gold) -> Verdict:
        """As `equivalence.compare`."""
        is_short = len(answer) <= _MAX_REMEMBERED
        return _compared(answer, gold) if is_short else _compared.__wrapped__(answer, gold)

    def ask(self, pairs: Sequence[tuple[str, str]]) -> Sequence[SymbolicVerdict]:
        """By math-verify in a worker process."""
        return symbolic_equal_many(pairs)


class PaperProfile:
    """The released scripts' rule: the answer line, else the whole response, compared by mathruler 0.1.0.

    It is there to reproduce the paper's bands; `pebr_data.grading.workers.paper` lists what it gets wrong. Types,
    options and rules are not looked at, and nothing is ever `unparsed`.
    """

    version = "paper-1"

    def find(self, completion: str, extractors: Sequence[str]) -> Extraction | None:
        """The rest of the marker's line, or everything."""
        return Extraction(paper_answer(completion), closed=True)

    def problem(self, gold: Gold) -> str | None:
        """Only a gold without content cannot be used."""
        return None if gold.answer.strip() else "the gold answer is empty"

    def compare(self, answer: str, gold: Gold) -> Verdict:
        """Always asked: mathruler runs where it cannot hang anything."""
        return Verdict(None, "")

    def ask(self, pairs: Sequence[tuple[str, str]]) -> Sequence[SymbolicVerdict]:
        """By mathruler in a worker process."""
        return paper_equal_many(pairs)


PROFILES: Mapping[str, Profile] = {"pebr": PebrProfile(), "paper": PaperProfile()}


def gold_of(sample: Sample) -> Gold:
    """What completions of a sample are compared with.

    Raises:
        DataError: The sample's `grading` holds a rule that does not exist.
    """
    return Gold(sample.answer, sample.answer_type, sample.options, read_rules(sample.grading))


def grade(completion: str, sample: Sample, grader: Grader, *, finish_reason: FinishReason = "stop") -> Grade:
    """The verdict on one completion of one sample; see `grade_batch`.

    Args:
        completion: The decoded text; its last 64 KB are read.
        sample: The sample; its `answer`, `answer_type`, `options` and `grading` are read.
        grader: Who judges.
        finish_reason: How the generation ended.

    Raises:
        ConfigError: An extractor's name is unknown.
    """
    return grade_samples([(completion, sample, finish_reason)], grader)[0]


def grade_samples(completions: Sequence[tuple[str, Sample, FinishReason]], grader: Grader) -> list[Grade]:
    """The verdicts on completions of samples, in order; a sample whose rules cannot be read is `ungradable`.

    Raises:
        ConfigError: An extractor's name is unknown.
    """
    attempts: list[Attempt | Grade] = []
    golds: dict[int, Gold] = {}  # by the sample's id(): most samples come with several completions
    for completion, sample, finish_reason in completions:
        try:
            gold = golds.get(id(sample)) or golds.setdefault(id(sample), gold_of(sample))
        except DataError as error:
            attempts.append(Grade(Outcome.UNGRADABLE, None, error.what, grader.version))
        else:
            attempts.append(Attempt(completion, gold, finish_reason))
    grades = iter(grade_batch([attempt for attempt in attempts if isinstance(attempt, Attempt)], grader))
    return [next(grades) if isinstance(attempt, Attempt) else attempt for attempt in attempts]


def grade_batch(attempts: Sequence[Attempt], grader: Grader) -> list[Grade]:
    """The verdicts on many completions, in order; what needs algebra is asked in one go.

    The outcome is, in this order: `error` when the generation failed; `ungradable` when the gold cannot be used;
    `truncated` when the length ran out before an answer was given, or while it was; `unparsed` when there is no
    answer; else `correct` or `wrong`. It is `error`, too, when the comparison ran out of time or memory twice:
    nothing is known then, and nothing is made up.

    Raises:
        ConfigError: An extractor's name is unknown.
    """
    profile = PROFILES[grader.profile]
    judged = [_judge(attempt, profile, grader) for attempt in attempts]
    open_cases = [case for case in judged if isinstance(case, _Open)]
    answers = iter(profile.ask([(case.answer, case.gold) for case in open_cases]) if open_cases else ())
    return [_close(case, next(answers), grader) if isinstance(case, _Open) else case for case in judged]


@dataclass(frozen=True, slots=True)
class _Open:
    """An answer that reading could not decide, and what reading found."""

    answer: str
    gold: str


def _judge(attempt: Attempt, profile: Profile, grader: Grader) -> Grade | _Open:
    version = grader.version
    if attempt.finish_reason == "error":
        return Grade(Outcome.ERROR, None, "the generation failed", version)
    problem = profile.problem(attempt.gold)
    found = profile.find(attempt.completion, grader.extractors)
    text = None if found is None else found.text
    if problem is not None:
        return Grade(Outcome.UNGRADABLE, text, problem, version)
    if attempt.finish_reason == "length" and (found is None or not found.closed):
        where = "before an answer" if found is None else "within the answer"
        return Grade(Outcome.TRUNCATED, text, f"the length ran out {where}", version)
    if found is None:
        return Grade(Outcome.UNPARSED, None, "no answer found", version)
    verdict = profile.compare(found.text, attempt.gold)
    if verdict.equal is None:
        return _Open(printable(found.text), printable(attempt.gold.answer))
    return Grade(Outcome.CORRECT if verdict.equal else Outcome.WRONG, found.text, verdict.reason, version)


def _close(case: _Open, verdict: SymbolicVerdict, grader: Grader) -> Grade:
    outcome = Outcome.CORRECT if verdict.equal else Outcome.WRONG
    if verdict.equal is None:
        # An answer that no algebra can read does not say what the gold says; a comparison that died says nothing.
        unreadable = verdict.failure in ("refused", "unparsed") and refusal(case.gold) is None
        outcome = Outcome.WRONG if unreadable else Outcome.ERROR
    return Grade(outcome, case.answer, verdict.reason, grader.version)
