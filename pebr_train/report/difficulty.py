"""The difficulty part of the page: the pass-rate histogram and the bands per skill, policy by policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pebr_data.types import Band
from pebr_train.report.histogram import Counts

if TYPE_CHECKING:
    import polars as pl

NO_SKILL = "(no skill)"


@dataclass(frozen=True, slots=True)
class BandShares:
    """How the completely probed samples of one skill fall into bands, under one policy."""

    policy: str
    kind: str
    easy: int
    medium: int
    hard: int

    @property
    def total(self) -> int:
        """Samples in a band."""
        return self.easy + self.medium + self.hard

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """(band, samples), from hard to easy, those that have any."""
        named = (("hard", self.hard), ("medium", self.medium), ("easy", self.easy))
        return tuple((name, samples) for name, samples in named if samples)


@dataclass(frozen=True, slots=True)
class SkillBands:
    """One skill's row: its bands under every policy."""

    skill: str
    policies: tuple[BandShares, ...]


def correct_counts(name: str, kind: str, rates: pl.DataFrame, group_size: int) -> Counts:
    """Samples per number of correct rollouts; incomplete groups are left out, those that were stopped early too."""
    complete = rates.filter(rates["pass_rate"].is_not_null())["num_correct"].to_list()
    return Counts(name, kind, tuple(complete.count(correct) for correct in range(group_size + 1)))


def skill_bands(policies: Sequence[tuple[str, str, pl.DataFrame]]) -> list[SkillBands]:
    """A row for all samples, then one per skill; (name, kind, pass rates) for each policy."""
    skills = sorted({skill or NO_SKILL for _, _, rates in policies for skill in rates["skill"].to_list()})
    rows = [SkillBands("all", tuple(_shares(name, kind, rates, None) for name, kind, rates in policies))]
    if skills != [NO_SKILL]:
        rows += [
            SkillBands(skill, tuple(_shares(name, kind, rates, skill) for name, kind, rates in policies))
            for skill in skills
        ]
    return rows


def _shares(name: str, kind: str, rates: pl.DataFrame, skill: str | None) -> BandShares:
    pairs = zip(rates["band"].to_list(), rates["skill"].to_list(), strict=True)
    bands = [band for band, its in pairs if skill is None or (its or NO_SKILL) == skill]
    return BandShares(name, kind, *(bands.count(band) for band in (Band.EASY, Band.MEDIUM, Band.HARD)))
