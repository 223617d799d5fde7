"""Suspected golds: wrong ones are found among a real policy's mistakes, and those are not taken for wrong golds."""

from __future__ import annotations

import polars as pl
import pytest

from pebr_data.difficulty.suspicion import SUSPICIOUS, VOTES, suspect
from tests.swapped_golds import Voted, as_votes, read_voted, swap

SWAPS = 10


@pytest.mark.parametrize("kind", ["answer_type", "skill"])
def test_most_swapped_golds_that_the_policy_solves_are_found_and_few_others(kind: str) -> None:
    voted = read_voted()
    found = solved = alarms = others = 0
    for seed in range(SWAPS):
        swapped = swap([(getattr(one, kind), one.gold) for one in voted], 0.05, seed)
        golds = [swapped.get(n, one.gold) for n, one in enumerate(voted)]
        listed = set((suspect(as_votes(voted, golds)) >= SUSPICIOUS).fill_null(False).arg_true())
        could = {n for n in swapped if voted[n].is_solved}
        found, solved = found + len(listed & could), solved + len(could)
        alarms, others = alarms + len(listed - set(swapped)), others + len(voted) - len(swapped)
    assert found >= 0.8 * solved
    assert alarms < 0.02 * others


def counted(gold: int, votes: dict[str, int], skill: str = "count") -> Voted:
    return Voted("count", skill, str(gold), 20.0, votes)


def test_a_mistake_that_the_policy_makes_again_and_again_is_its_own() -> None:
    right = [counted(gold, {str(gold): 7, str(gold + 1): 1}) for gold in range(5) for _ in range(8)]
    one_too_many = [counted(gold, {str(gold + 1): 7, str(gold): 1}) for gold in range(5) for _ in range(4)]
    odd = [counted(1, {"4": 8})]
    voted = [*right, *one_too_many, *odd]
    told = suspect(as_votes(voted, [one.gold for one in voted]))
    assert told[:40].null_count() == 40
    assert max(told[40:60]) < SUSPICIOUS
    assert told[60] > 0.5


def test_answers_that_never_recur_are_judged_by_rates_alone() -> None:
    voted = [Voted("text", "read", f"word {n}", 20.0, {f"word {n}": 8}) for n in range(60)]
    told = suspect(as_votes(voted, ["other", *(one.gold for one in voted[1:])]))
    assert told[0] > 0.5
    assert told[1:].null_count() == 59


def test_without_a_confident_majority_nothing_is_said() -> None:
    divided = counted(3, {"1": 4, "3": 4})
    silent = counted(3, {"1": 5})  # three rollouts of eight gave no answer
    few = pl.DataFrame([("s", "count", "k", "3", "1", 0, 3, 3, 3, 9.0)], schema=VOTES, orient="row")
    assert suspect(as_votes([divided, silent], ["3", "3"])).null_count() == 2
    assert suspect(few).null_count() == 1
    assert len(suspect(few.clear())) == 0
