from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pebr_data.select.policies import POLICIES, Pooled, choose_all, choose_pebr, choose_random
from pebr_data.types import Band

pools = st.lists(
    st.tuples(st.text("abcdef", min_size=1, max_size=6), st.sampled_from(Band)), unique_by=lambda t: t[0]
).map(lambda rows: [Pooled(sample_id, band) for sample_id, band in rows])
sizes = st.one_of(st.none(), st.integers(1, 6))


@given(pools, sizes, st.sampled_from([Band.EASY, Band.MEDIUM, Band.HARD]), st.sampled_from(sorted(POLICIES)))
def test_every_sample_is_either_kept_or_dropped_with_a_reason(
    pool: list[Pooled], size: int | None, band: Band, policy: str
) -> None:
    choice = POLICIES[policy](pool, band=band, size=size, salt="s")

    assert set(choice.kept) | set(choice.drops) == {sample.sample_id for sample in pool}
    assert len(choice.kept) + len(choice.drops) == len(pool)
    assert all(choice.drops.values())
    assert size is None or len(choice.kept) <= size


@given(pools, sizes)
def test_the_order_of_the_pool_does_not_matter(pool: list[Pooled], size: int | None) -> None:
    for policy in POLICIES.values():
        forward = policy(pool, band=Band.MEDIUM, size=size, salt="s")
        backward = policy(pool[::-1], band=Band.MEDIUM, size=size, salt="s")
        assert forward.kept == backward.kept
        assert dict(forward.drops) == dict(backward.drops)


def test_pebr_takes_exactly_its_band() -> None:
    pool = [Pooled(f"{band}{n}", band) for band in Band for n in range(3)]

    choice = choose_pebr(pool, band=Band.HARD, size=None, salt="s")

    assert sorted(choice.kept) == ["hard0", "hard1", "hard2"]
    assert choice.drops["easy0"] == "band-easy"
    assert choice.drops["medium1"] == "band-medium"
    assert choice.drops["unprobed2"] == "unprobed"


def test_pebr_with_a_limit_keeps_a_prefix_of_what_it_keeps_without() -> None:
    pool = [Pooled(f"{n}", Band.EASY) for n in range(50)]

    whole = choose_pebr(pool, band=Band.EASY, size=None, salt="s")
    part = choose_pebr(pool, band=Band.EASY, size=20, salt="s")

    assert part.kept == whole.kept[:20]
    assert set(part.drops.values()) == {"over-limit"}


def test_random_draws_from_every_band_but_never_an_unprobed_sample() -> None:
    pool = [Pooled(f"{band}{n}", band) for band in Band for n in range(100)]

    choice = choose_random(pool, band=None, size=60, salt="s")

    drawn = [next(s.band for s in pool if s.sample_id == kept) for kept in choice.kept]
    assert {Band.EASY, Band.MEDIUM, Band.HARD} == set(drawn)
    assert sum(reason == "unprobed" for reason in choice.drops.values()) == 100
    assert sum(reason == "not-drawn" for reason in choice.drops.values()) == 240


def test_another_salt_gives_another_order() -> None:
    pool = [Pooled(f"{n}", Band.EASY) for n in range(50)]

    one = choose_random(pool, band=None, size=None, salt="1")
    two = choose_random(pool, band=None, size=None, salt="2")

    assert sorted(one.kept) == sorted(two.kept)
    assert one.kept != two.kept


def test_all_takes_the_whole_split_probed_or_not() -> None:
    pool = [Pooled(f"{band}{n}", band) for band in Band for n in range(3)]

    choice = choose_all(pool, band=None, size=None, salt="s")

    assert sorted(choice.kept) == sorted(sample.sample_id for sample in pool)
    assert not choice.drops
