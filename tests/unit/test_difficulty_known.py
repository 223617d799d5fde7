"""What is known of a split's samples under priors fitted to their strata."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pebr_data.difficulty.forecast import Expected
from pebr_data.difficulty.known import CELL, LEVEL, learn
from pebr_data.difficulty.lengths import expected_tokens
from pebr_data.difficulty.pass_rate import posterior


def drawn(source: str, a: float, b: float, number: int, answer_type: str = "number", options: int = 0) -> pl.DataFrame:
    """Samples of a stratum whose pass rates are Beta(a, b), with eight rollouts each."""
    rng = np.random.default_rng(number)
    return pl.DataFrame(
        {
            "source": source,
            "answer_type": answer_type,
            "num_options": options,
            "num_correct": rng.binomial(8, rng.beta(a, b, number)),
            "num_rollouts": 8,
        },
        schema_overrides={name: pl.Int64 for name in CELL[2:]},
    )


def test_the_same_counts_mean_more_in_an_easy_source_than_in_a_hard_one() -> None:
    samples = pl.concat([drawn("easy", 6, 2, 400), drawn("hard", 1, 6, 300)])

    seen = learn(samples).join(samples, 8).filter(num_correct=4)

    mean = dict(seen.group_by("source").agg(pl.col("posterior_mean").first()).iter_rows())
    assert mean["easy"] > 0.52 > 0.45 > mean["hard"]
    assert set(seen["prior"]) == {"fitted to 400 samples", "fitted to 300 samples"}


def test_a_small_stratum_goes_by_all_samples_and_a_small_catalog_by_the_uniform_prior() -> None:
    few = drawn("few", 1, 1, 12)

    among_many = learn(pl.concat([drawn("many", 6, 2, 400), few])).join(few, 8)
    alone = learn(few).join(few, 8)

    assert set(among_many["prior"]) == {"pooled: 12 samples with two rollouts or more, 50 needed"}
    assert set(alone["prior"]) == {"uniform: 12 samples with two rollouts or more, 50 needed"}
    for row in alone.iter_rows(named=True):
        told = (row["posterior_mean"], row["posterior_low"], row["posterior_high"])
        assert told == pytest.approx(posterior(row["num_correct"], 8))


def test_alike_samples_may_come_as_one_row_with_their_number() -> None:
    samples = pl.concat([drawn("one", 2, 2, 200), drawn("other", 1, 4, 100, "choice", 4)])
    grouped = samples.group_by(CELL).agg(num_samples=pl.len().cast(pl.Int64))
    assert learn(grouped).strata == learn(samples).strata
    assert [one.chance for one in learn(samples).strata] == [0.0, 0.25]


def test_nothing_is_known_of_a_sample_without_rollouts_but_it_can_be_forecast() -> None:
    samples = drawn("one", 2, 2, 200)
    never = samples.head(1).with_columns(num_correct=pl.lit(0), num_rollouts=pl.lit(0)).cast(samples.schema)
    known = learn(pl.concat([samples, never]))

    assert known.join(never, 8)["posterior_mean"].to_list() == [None]
    assert known.forecast(never, 8).mean_reward.mean == pytest.approx(known.strata[0].prior.posterior(0, 0).mean()[()])


def two_conditions(source: str, number: int) -> tuple[pl.DataFrame, np.ndarray]:
    """Samples that are solved as often as q when described and as q times another rate when shown; the shown rates."""
    rng = np.random.default_rng(number)
    described = rng.random(number)
    shown = described * rng.random(number)
    seen = rng.binomial(8, described)
    level = np.select([seen <= 2, seen >= 6], ["described wrong", "described right"], "described unsure")
    counts = drawn(source, 1, 1, number).with_columns(num_correct=rng.binomial(8, shown))
    return counts.with_columns(pl.Series(LEVEL, level)), shown


@pytest.mark.parametrize("level", ["described right", "described wrong"])
@pytest.mark.parametrize("sources", [1, 2])
def test_what_is_foreseen_of_a_choice_that_went_by_more_is_conditional_on_it(level: str, sources: int) -> None:
    parts, rates = zip(*[two_conditions(f"source {one}", 2_000 + one) for one in range(sources)], strict=True)
    samples, shown = pl.concat(parts), np.concatenate(rates)
    chosen = (samples[LEVEL] == level) & (samples["num_correct"] <= 5)
    alike = float(np.mean(shown[chosen.to_numpy()] ** 8 + (1 - shown[chosen.to_numpy()]) ** 8))

    blind_to_it = learn(samples.drop(LEVEL)).forecast(samples.filter(chosen), 8).zero_variance
    known = learn(samples)
    seen = known.forecast(samples.filter(chosen), 8, redrawn=known.redrawn()).zero_variance

    assert abs(blind_to_it.mean - alike) > 0.04
    assert abs(seen.mean - alike) < 0.02
    assert seen.low < alike < seen.high


def test_a_level_without_enough_samples_of_a_source_goes_by_that_level_of_all_sources() -> None:
    many, _ = two_conditions("many", 2_000)
    few, _ = two_conditions("few", 60)
    known = learn(pl.concat([many, few]))
    means = {(one.source, one.level): one.prior.posterior(0, 0).mean()[()] for one in known.strata}
    for level in ("described right", "described wrong"):
        assert means["few", level] == pytest.approx(means["many", level], abs=0.03)
    assert means["few", "described right"] > means["few", "described wrong"] + 0.2
    assert {row[LEVEL] for row in known.to_json()} == {one.level for one in known.strata}


def test_one_level_is_no_level() -> None:
    samples = pl.concat([drawn("one", 2, 2, 200), drawn("other", 1, 4, 100)])
    levelled = learn(samples.with_columns(pl.lit(None, pl.String).alias(LEVEL)))
    assert levelled.priors == learn(samples).priors
    assert levelled.redrawn() == learn(samples).redrawn()


def test_no_samples_are_no_strata() -> None:
    assert learn(drawn("none", 1, 1, 0)).strata == ()


def test_lengths_are_weighted_by_the_forecast_and_not_by_the_lucky_draw() -> None:
    lengths = pl.DataFrame(
        {
            "sample_id": ["a", "a", "b", "b"],
            "is_correct": [True, False, True, False],
            "num_rollouts": [6, 2, 6, 2],
            "sum_tokens": [60.0, 80.0, 60.0, 80.0],
            "sum_squares": [600.0, 3200.0, 600.0, 3200.0],
        }
    )
    # Correct ones have 10 tokens, the others 40; the forecast says that half will be correct, not three quarters.
    seen = expected_tokens(lengths, Expected(0.5, 0.4, 0.6), num_samples=2, group_size=8)
    assert seen.mean == pytest.approx(25)
    assert seen.low < 25 - 3 < 25 + 3 < seen.high
