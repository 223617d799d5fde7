from __future__ import annotations

import re
from collections.abc import Iterable

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pebr_data.hashing import digest
from pebr_data.select.draw import draw
from pebr_data.select.policies import (
    POLICIES,
    POOL,
    Choice,
    Terms,
    choose_all,
    choose_pebr,
    choose_random,
    choose_signal,
)
from pebr_data.types import Band, Diagnosis

WORTH = {Band.EASY: 0.3, Band.MEDIUM: 0.9, Band.HARD: 0.1, Band.UNPROBED: None}


def pooled(rows: Iterable[tuple[str, Band]]) -> pl.DataFrame:
    """A pool of the sources `even` and `odd` in turn; signal goes by the band, half of the hard ones are diagnosed."""
    told = [
        (
            *(sample_id, ("even", "odd")[n % 2], None, str(band), "unprobed" if band is Band.UNPROBED else None),
            *(WORTH[band], str(Diagnosis.HARD) if band is Band.HARD and n % 2 else None),
        )
        for n, (sample_id, band) in enumerate(rows)
    ]
    return pl.DataFrame(told, schema=POOL, orient="row")


def reasons(choice: Choice) -> dict[str, str]:
    return dict(choice.drops.iter_rows())


pools = st.lists(
    st.tuples(st.text("abcdef", min_size=1, max_size=6), st.sampled_from(Band)), unique_by=lambda t: t[0]
).map(pooled)
sizes = st.one_of(st.none(), st.integers(1, 6))


@settings(deadline=None)
@given(pools, sizes, st.sampled_from([Band.EASY, Band.MEDIUM, Band.HARD]), st.sampled_from(sorted(POLICIES)))
def test_every_sample_is_either_kept_or_dropped_with_a_reason(
    pool: pl.DataFrame, size: int | None, band: Band, policy: str
) -> None:
    choice = POLICIES[policy](pool, Terms("s", size=size, band=band))

    assert set(choice.kept) | set(reasons(choice)) == set(pool["sample_id"])
    assert len(choice.kept) + len(choice.drops) == len(pool)
    assert all(reasons(choice).values())
    assert size is None or len(choice.kept) <= size


@settings(deadline=None)
@given(pools, sizes)
def test_the_order_of_the_pool_does_not_matter(pool: pl.DataFrame, size: int | None) -> None:
    for policy in POLICIES.values():
        forward = policy(pool, Terms("s", size=size, band=Band.MEDIUM))
        backward = policy(pool[::-1], Terms("s", size=size, band=Band.MEDIUM))
        assert list(forward.kept) == list(backward.kept)
        assert reasons(forward) == reasons(backward)


def test_pebr_takes_exactly_its_band() -> None:
    pool = pooled((f"{band}{n}", band) for band in Band for n in range(3))

    choice = choose_pebr(pool, Terms("s", band=Band.HARD))

    assert sorted(choice.kept) == ["hard0", "hard1", "hard2"]
    assert reasons(choice)["easy0"] == "band-easy"
    assert reasons(choice)["medium1"] == "band-medium"
    assert reasons(choice)["unprobed2"] == "unprobed"


def test_pebr_with_a_limit_keeps_a_prefix_of_what_it_keeps_without() -> None:
    pool = pooled((f"{n}", Band.EASY) for n in range(50))

    whole = choose_pebr(pool, Terms("s", band=Band.EASY))
    part = choose_pebr(pool, Terms("s", size=20, band=Band.EASY))

    assert list(part.kept) == list(whole.kept[:20])
    assert set(reasons(part).values()) == {"over-limit"}


def test_random_draws_from_every_band_but_never_an_unprobed_sample() -> None:
    pool = pooled((f"{band}{n}", band) for band in Band for n in range(100))

    choice = choose_random(pool, Terms("s", size=60))

    drawn = pool.filter(pl.col("sample_id").is_in(choice.kept.implode()))["band"]
    assert {Band.EASY, Band.MEDIUM, Band.HARD} == set(drawn)
    assert choice.reasons() == {"not-drawn": 240, "unprobed": 100}


def test_another_salt_gives_another_order() -> None:
    pool = pooled((f"{n}", Band.EASY) for n in range(50))

    one = choose_random(pool, Terms("1"))
    two = choose_random(pool, Terms("2"))

    assert sorted(one.kept) == sorted(two.kept)
    assert list(one.kept) != list(two.kept)


def test_all_takes_the_whole_split_probed_or_not() -> None:
    pool = pooled((f"{band}{n}", band) for band in Band for n in range(3))

    choice = choose_all(pool, Terms("s"))

    assert sorted(choice.kept) == sorted(pool["sample_id"])
    assert not reasons(choice)


def test_signal_takes_the_highest_first_and_shows_them_in_the_draw_s_order() -> None:
    pool = pooled((f"{band}{n}", band) for n in range(20) for band in Band)

    choice = choose_signal(pool, Terms("s", size=30, threshold=0.2))

    assert [sum(one.startswith(band) for one in choice.kept) for band in Band] == [10, 20, 0, 0]
    assert choice.reasons() == {"below-threshold": 20, "over-limit": 10, "unprobed": 20}
    assert choice.kept.to_list() == [one for one in choose_all(pool, Terms("s")).kept if one in set(choice.kept)]


def test_quotas_give_as_many_of_each_source() -> None:
    pool = pooled((f"{n}", Band.EASY) for n in range(100))

    choice = choose_random(pool, Terms("s", quotas={"even": 7, "odd": 2}))

    assert sorted(int(one) % 2 for one in choice.kept) == [0] * 7 + [1] * 2
    assert choice.reasons() == {"not-drawn": 91}


@pytest.mark.parametrize("policy", ["pebr", "signal", "random", "all"])
def test_no_cap_is_exceeded_and_what_one_holds_back_says_so(policy: str) -> None:
    pool = pooled((f"{n}", Band.MEDIUM) for n in range(40))

    choice = POLICIES[policy](pool, Terms("s", band=Band.MEDIUM, caps={"source": 3}))

    assert sorted(int(one) % 2 for one in choice.kept) == [0] * 3 + [1] * 3
    assert choice.reasons() == {"source-cap": 34}


ids = st.one_of(st.text("0123456789abcdef", min_size=16, max_size=16), st.text(max_size=4))


def place_of(sample_id: str, salt: str) -> int:
    """What a draw goes by, in Python's own integers."""
    value = int(sample_id if re.fullmatch("[0-9a-f]{16}", sample_id) else digest(sample_id)[:16], 16)
    keys = digest(["draw", salt])
    return scrambled(scrambled(value ^ int(keys[:16], 16)) + int(keys[16:32], 16))


def scrambled(value: int) -> int:
    """SplitMix64's finalizer."""
    value %= 2**64
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
    return value ^ value >> 31


@given(st.lists(ids, unique=True), st.text(max_size=3))
def test_a_draw_goes_by_a_scrambled_number_of_each_sample(ids: list[str], salt: str) -> None:
    drawn = [ids[place] for place in draw(pl.Series("sample_id", ids, dtype=pl.String), salt)]

    assert drawn == sorted(ids, key=lambda sample_id: place_of(sample_id, salt))


def test_a_draw_is_the_same_in_every_version() -> None:
    ids = [digest(number)[:16] for number in range(8)]

    assert draw(pl.Series("sample_id", ids), "toys/reasoning/0").tolist() == [5, 7, 0, 4, 2, 3, 6, 1]
