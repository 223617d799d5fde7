from __future__ import annotations

from collections.abc import Iterable

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pebr_data.hashing import digest
from pebr_data.select.draw import draw
from pebr_data.select.policies import POLICIES, POOL, Choice, choose_all, choose_pebr, choose_random
from pebr_data.types import Band


def pooled(rows: Iterable[tuple[str, Band]]) -> pl.DataFrame:
    return pl.DataFrame([(sample_id, str(band), "unprobed") for sample_id, band in rows], schema=POOL, orient="row")


def reasons(choice: Choice) -> dict[str, str]:
    return dict(choice.drops.iter_rows())


pools = st.lists(
    st.tuples(st.text("abcdef", min_size=1, max_size=6), st.sampled_from(Band)), unique_by=lambda t: t[0]
).map(pooled)
sizes = st.one_of(st.none(), st.integers(1, 6))


@given(pools, sizes, st.sampled_from([Band.EASY, Band.MEDIUM, Band.HARD]), st.sampled_from(sorted(POLICIES)))
def test_every_sample_is_either_kept_or_dropped_with_a_reason(
    pool: pl.DataFrame, size: int | None, band: Band, policy: str
) -> None:
    choice = POLICIES[policy](pool, band=band, size=size, salt="s")

    assert set(choice.kept) | set(reasons(choice)) == set(pool["sample_id"])
    assert len(choice.kept) + len(choice.drops) == len(pool)
    assert all(reasons(choice).values())
    assert size is None or len(choice.kept) <= size


@given(pools, sizes)
def test_the_order_of_the_pool_does_not_matter(pool: pl.DataFrame, size: int | None) -> None:
    for policy in POLICIES.values():
        forward = policy(pool, band=Band.MEDIUM, size=size, salt="s")
        backward = policy(pool[::-1], band=Band.MEDIUM, size=size, salt="s")
        assert list(forward.kept) == list(backward.kept)
        assert reasons(forward) == reasons(backward)


def test_pebr_takes_exactly_its_band() -> None:
    pool = pooled((f"{band}{n}", band) for band in Band for n in range(3))

    choice = choose_pebr(pool, band=Band.HARD, size=None, salt="s")

    assert sorted(choice.kept) == ["hard0", "hard1", "hard2"]
    assert reasons(choice)["easy0"] == "band-easy"
    assert reasons(choice)["medium1"] == "band-medium"
    assert reasons(choice)["unprobed2"] == "unprobed"


def test_pebr_with_a_limit_keeps_a_prefix_of_what_it_keeps_without() -> None:
    pool = pooled((f"{n}", Band.EASY) for n in range(50))

    whole = choose_pebr(pool, band=Band.EASY, size=None, salt="s")
    part = choose_pebr(pool, band=Band.EASY, size=20, salt="s")

    assert list(part.kept) == list(whole.kept[:20])
    assert set(reasons(part).values()) == {"over-limit"}


def test_random_draws_from_every_band_but_never_an_unprobed_sample() -> None:
    pool = pooled((f"{band}{n}", band) for band in Band for n in range(100))

    choice = choose_random(pool, band=None, size=60, salt="s")

    drawn = pool.filter(pl.col("sample_id").is_in(choice.kept.implode()))["band"]
    assert {Band.EASY, Band.MEDIUM, Band.HARD} == set(drawn)
    assert choice.reasons() == {"not-drawn": 240, "unprobed": 100}


def test_another_salt_gives_another_order() -> None:
    pool = pooled((f"{n}", Band.EASY) for n in range(50))

    one = choose_random(pool, band=None, size=None, salt="1")
    two = choose_random(pool, band=None, size=None, salt="2")

    assert sorted(one.kept) == sorted(two.kept)
    assert list(one.kept) != list(two.kept)


def test_all_takes_the_whole_split_probed_or_not() -> None:
    pool = pooled((f"{band}{n}", band) for band in Band for n in range(3))

    choice = choose_all(pool, band=None, size=None, salt="s")

    assert sorted(choice.kept) == sorted(pool["sample_id"])
    assert not reasons(choice)


@given(st.lists(st.text(max_size=4), unique=True), st.text(max_size=3))
def test_a_draw_orders_by_the_digest_of_salt_and_id(ids: list[str], salt: str) -> None:
    drawn = [ids[place] for place in draw(pl.Series("sample_id", ids, dtype=pl.String), salt)]

    assert drawn == sorted(ids, key=lambda sample_id: digest([salt, sample_id]))
