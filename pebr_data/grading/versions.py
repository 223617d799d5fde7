"""Which grading a grade is from: the grader's rules, and the golds it compared with.

`pebr-2` is the default profile with the golds that the sources give; `pebr-2+golds-1a2b3c4d` is the same with the set
of corrected golds of that name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pebr_data.grading.grade import PROFILES, Grader, grade_samples
from pebr_data.types import FinishReason, Grade, Sample

SOURCE_GOLDS = ""
"""Stands for no set of corrected golds: every sample has the gold that its source gives."""

_MARK = "+golds-"


@dataclass(frozen=True, slots=True)
class Grading:
    """A grader together with the golds it goes by.

    Attributes:
        grader: Who judges, and where it looks.
        golds: The set of corrected golds that the samples it is given were read with.
    """

    grader: Grader
    golds: str = SOURCE_GOLDS

    @property
    def version(self) -> str:
        """Names both in every grade."""
        return f"{self.grader.version}{_MARK}{self.golds}" if self.golds else self.grader.version

    def grade(self, completions: Sequence[tuple[str, Sample, FinishReason]]) -> list[Grade]:
        """The verdicts on completions of samples, in order, as `grade_samples` gives them, under this version."""
        verdicts = grade_samples(completions, self.grader)
        if self.version == self.grader.version:
            return verdicts
        return [replace(verdict, grader_version=self.version) for verdict in verdicts]


def golds_of(version: str) -> str:
    """The set of corrected golds that a grader version names, or `SOURCE_GOLDS`."""
    return version.partition(_MARK)[2]


def profile_of(version: str) -> str | None:
    """The profile in `PROFILES` whose rules a grader version names; None when this pebr has them no longer."""
    rules = version.partition(_MARK)[0]
    return next((name for name, profile in PROFILES.items() if profile.version == rules), None)
