"""Quotas, shares and caps: who goes first, and that every sample left out says why."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pebr_data.errors import RefusedError
from pebr_data.select.policies import POOL, Choice, Terms, choose_diagnosis, choose_pebr, choose_signal
from pebr_data.types import Band, Diagnosis


def pooled(skills: str) -> pl.DataFrame:
    """A pool with a medium sample for each letter, whose skill it is; the signal falls along it."""
    rows = [(f"{n}", "made", skill, "medium", None, 1.0 - n / 1000, None) for n, skill in enumerate(skills)]
    return pl.DataFrame(rows, schema=POOL, orient="row")


def skills_of(pool: pl.DataFrame, choice: Choice) -> dict[str, int]:
    return dict(choice.kept.to_frame("sample_id").join(pool, on="sample_id").group_by("skill").len().iter_rows())


@settings(deadline=None)
@given(st.text("abcde", min_size=1, max_size=60), st.integers(1, 40))
def test_every_skill_gets_its_share_before_any_gets_more(skills: str, size: int) -> None:
    pool = pooled(skills)
    choice = choose_pebr(pool, Terms("s", size=size, band=Band.MEDIUM, cover="skill"))
    got = skills_of(pool, choice)
    assert sum(got.values()) == min(size, len(skills))
    for skill in set(skills):
        # Who has less than another by more than one has no more to give.
        assert got.get(skill, 0) >= max(got.values()) - 1 or got.get(skill, 0) == skills.count(skill)
    assert list(choice.kept) == list(choose_pebr(pool, Terms("s", size=size, band=Band.MEDIUM, cover="skill")).kept)
    assert len(choice.drops) + len(choice.kept) == len(pool)


def test_quotas_go_first_and_what_is_left_goes_by_the_policy() -> None:
    pool = pooled("a" * 50 + "b" * 3 + "c" * 20)
    choice = choose_signal(pool, Terms("s", size=30, least={"skill": 5}))
    # All three of b, five of c, and the rest by signal, where a is first.
    assert skills_of(pool, choice) == {"a": 22, "b": 3, "c": 5}
    assert choice.reasons() == {"over-limit": 43}


def test_quotas_that_do_not_fit_the_limit_are_refused() -> None:
    with pytest.raises(RefusedError, match="`quotas` ask for 8 samples, its `limit` is 6"):
        choose_signal(pooled("aaaabbbb"), Terms("s", size=6, least={"skill": 4}))


def test_difficulty_can_be_capped() -> None:
    pool = pooled("a" * 9).with_columns(band=pl.Series(["medium", "hard", "easy"] * 3))
    choice = choose_signal(pool, Terms("s", caps={"band": 2}))
    assert choice.reasons() == {"band-cap": 3}


def test_diagnosis_takes_its_own_and_every_other_sample_says_what_it_is() -> None:
    pool = pooled("a" * 6).with_columns(
        band=pl.Series(["medium", "hard", "medium", "easy", "medium", "unprobed"]),
        gap=pl.Series([None] * 5 + ["unprobed"], dtype=pl.String),
        diagnosis=pl.Series(["perception-bound", "reasoning-bound", "hard", None, None, None], dtype=pl.String),
    )
    choice = choose_diagnosis(pool, Terms("s", diagnoses=(Diagnosis.PERCEPTION_BOUND, Diagnosis.REASONING_BOUND)))
    assert sorted(choice.kept) == ["0", "1"]
    assert dict(choice.drops.iter_rows()) == {
        "2": "diagnosis-hard", "3": "band-easy", "4": "not-diagnosed", "5": "unprobed",
    }  # fmt: skip
