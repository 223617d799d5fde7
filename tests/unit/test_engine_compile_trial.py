"""Finding out whether recording the steps pays."""

from __future__ import annotations

import pytest

from pebr_data.engines.compile_trial import COUNTED, WARM_UP, CompileTrial

NUM_BATCHES = len(WARM_UP) + len(COUNTED)


def settled(recorded: float, plain: float, *, warm_up: float = 100.0) -> CompileTrial:
    """After batches of 1,000 tokens that take so many seconds each way, the first of each way `warm_up` more."""
    trial = CompileTrial(None)
    for number in range(NUM_BATCHES):
        assert trial.is_open
        extra = warm_up if number < len(WARM_UP) else 0.0
        trial.note((recorded if trial.compiled else plain) + extra, 1000)
    assert not trial.is_open
    return trial


@pytest.mark.parametrize("compiled", [True, False])
def test_what_is_asked_for_is_done(compiled: bool) -> None:
    trial = CompileTrial(compiled)
    for _ in range(NUM_BATCHES):
        assert not trial.is_open
        assert trial.compiled is compiled
        trial.note(1.0, 1000)
    assert trial.compiled is compiled


def test_the_quicker_way_is_kept() -> None:
    assert settled(recorded=1.0, plain=1.1).compiled
    assert not settled(recorded=1.1, plain=1.0).compiled


def test_both_ways_have_their_turns() -> None:
    assert set(WARM_UP) == {True, False}
    assert COUNTED.count(True) == COUNTED.count(False)
    # Under any steady drift the middle of both is the same.
    places = {kind: [place for place, turn in enumerate(COUNTED) if turn is kind] for kind in (True, False)}
    assert sum(places[True]) == sum(places[False])


def test_batches_of_different_sizes_are_compared_by_the_token() -> None:
    trial = CompileTrial(None)
    while trial.is_open:
        num_tokens = 4000 if trial.compiled else 1000
        trial.note(0.9e-3 * num_tokens if trial.compiled else 1e-3 * num_tokens, num_tokens)
    assert trial.compiled


def test_no_more_are_recorded_after_giving_up() -> None:
    trial = CompileTrial(None)
    trial.note(1.0, 1000)
    assert trial.compiled
    trial.give_up()
    assert not trial.is_open
    assert not trial.compiled
