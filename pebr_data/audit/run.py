"""The audit: every trial of every sample through the grader, counted by answer type and check.

    report = audit(samples, Grader(extractors=("section",)))

The same samples always get the same trials. Golds of which nobody here knows whether they are equal (`1/2` and `0.5`)
are no mistakes when they are accepted: they are counted apart, to be looked at.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from pebr_data.audit.differ import strict_key
from pebr_data.audit.trials import CHECKS, Expected, Trial, itself, right_option, trials
from pebr_data.grading import ANSWER_TYPES, Grader, grade_samples, infer_answer_type
from pebr_data.hashing import seed_from
from pebr_data.types import Grade, Outcome, Sample

BATCH_SIZE = 4096
"""Trials that are graded at a time."""

NUM_EXAMPLES = 3
"""Mistakes, and pairs to look at, that each check of a type shows."""

Progress = Callable[[int], None]
"""Called with the number of answers graded."""


@dataclass(frozen=True, slots=True)
class Example:
    """An answer and what the grader said of it."""

    sample_id: str
    gold: str
    answer: str
    grade: Grade


@dataclass(slots=True)
class Finding:
    """What one check found on the samples of one answer type.

    Attributes:
        num_tried: Answers graded.
        num_accepted: Those held for correct though they are wrong.
        num_rejected: Those not held for correct though they are right.
        num_unknown: Those held for correct of which it is not known whether they are.
        num_errors: Those that the grader came to no verdict on.
        mistakes: The first few that were wrongly accepted or rejected.
        doubtful: The first few to look at.
    """

    num_tried: int = 0
    num_accepted: int = 0
    num_rejected: int = 0
    num_unknown: int = 0
    num_errors: int = 0
    mistakes: list[Example] = field(default_factory=list)
    doubtful: list[Example] = field(default_factory=list)

    def note(self, trial: Trial, verdict: Grade) -> None:
        """Count one answer."""
        is_accepted = verdict.outcome is Outcome.CORRECT
        self.num_tried += 1
        self.num_errors += verdict.outcome is Outcome.ERROR
        example = Example(trial.sample.sample_id, trial.sample.answer, trial.answer, verdict)
        if is_accepted and trial.expected is Expected.UNKNOWN:
            self.num_unknown += 1
            _keep(self.doubtful, example)
        elif is_accepted and trial.expected is Expected.WRONG:
            self.num_accepted += 1
            _keep(self.mistakes, example)
        elif not is_accepted and trial.expected is Expected.RIGHT:
            self.num_rejected += 1
            _keep(self.mistakes, example)


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found.

    Attributes:
        grader_version: Who was audited.
        num_samples: Samples of each answer type.
        findings: By answer type and check, in that order.
    """

    grader_version: str
    num_samples: Mapping[str, int]
    findings: Mapping[tuple[str, str], Finding]

    @property
    def num_unfit(self) -> int:
        """Golds that are not correct against themselves."""
        return sum(found.num_rejected for (_, check), found in self.findings.items() if check == "itself")


def audit(
    samples: Sequence[Sample],
    grader: Grader,
    *,
    pool: Sequence[Sample] | None = None,
    progress: Progress | None = None,
) -> Report:
    """What the grader accepts that it should not and rejects that it should not.

    Args:
        samples: Whose golds are tried.
        grader: Who is audited.
        pool: Where other samples' golds come from; the samples themselves by default.
        progress: Called after each batch.
    """
    types = {id(sample): _rule(sample) for sample in samples}
    golds = _golds(samples if pool is None else pool)
    findings: defaultdict[tuple[str, str], Finding] = defaultdict(Finding)
    num_samples: defaultdict[str, int] = defaultdict(int)
    num_graded = 0
    usable: list[Sample] = []

    def run(chosen: Iterable[Trial]) -> Iterator[tuple[Trial, Grade]]:
        nonlocal num_graded
        stream = iter(chosen)
        while batch := list(islice(stream, BATCH_SIZE)):
            grades = grade_samples([(as_completion(one.answer, grader), one.sample, "stop") for one in batch], grader)
            yield from zip(batch, grades, strict=True)
            num_graded += len(batch)
            if progress is not None:
                progress(num_graded)

    for trial, verdict in run(itself(sample) for sample in samples):
        answer_type = types[id(trial.sample)]
        num_samples[answer_type] += 1
        findings[answer_type, trial.check].note(trial, verdict)
        if verdict.outcome is not Outcome.UNGRADABLE:
            usable.append(trial.sample)
    others = (
        trial
        for sample in usable
        for trial in trials(
            sample, types[id(sample)], golds[types[id(sample)]], random.Random(seed_from("audit", sample.sample_id))
        )
    )
    for trial, verdict in run(others):
        findings[types[id(trial.sample)], trial.check].note(trial, verdict)
    checks = list(CHECKS)
    ordered = sorted(findings, key=lambda key: (key[0], checks.index(key[1])))
    return Report(grader.version, dict(sorted(num_samples.items())), {key: findings[key] for key in ordered})


def as_completion(answer: str, grader: Grader) -> str:
    """A completion that gives this answer where the prompt template asks for it."""
    # Where a bare last line counts the template asks for the answer alone.
    place = "section" if grader.profile == "paper" else grader.extractors[0]
    if grader.profile != "paper" and "last_line" in grader.extractors:
        place = "last_line"
    return _PLACES[place].replace("{}", answer)


_PLACES = {
    "section": "### Step 1: Look.\n### The final answer is: {}",
    "boxed": "Look.\n\\boxed{{}}",
    "tag": "<think>Look.</think>\n<answer>{}</answer>",
    "phrase": "Look.\nThe answer is: {}",
    "last_line": "{}",
}
"""How a completion looks that answers there; a name of each of `pebr_data.grading.EXTRACTORS`."""


def _rule(sample: Sample) -> str:
    """The rule that a sample's gold is compared by: `choice` wherever it names an option, whatever was declared."""
    if right_option(sample) is not None:
        return "choice"
    rule = ANSWER_TYPES.get(sample.answer_type or "")
    if rule is None:
        rule = ANSWER_TYPES[infer_answer_type(sample.answer, sample.options, sample.question).answer_type]
    return rule


def _golds(samples: Iterable[Sample]) -> dict[str, list[str]]:
    """The different golds of each answer type."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for sample in samples:
        if sample.answer.strip():
            found[_rule(sample)].setdefault(strict_key(sample.answer), sample.answer)
    return defaultdict(list, {rule: list(by_key.values()) for rule, by_key in found.items()})


def _keep(examples: list[Example], example: Example) -> None:
    if len(examples) < NUM_EXAMPLES and all(
        (one.gold, one.answer) != (example.gold, example.answer) for one in examples
    ):
        examples.append(example)
