"""Do the statistics of difficulty hold? Simulated populations with known truth, at full size.

    .venv/bin/python tests/bench/difficulty.py --samples 200000

Prints, per population: rollouts saved by early stopping, what `signal` chooses beside `pebr` at equal size, how far the
forecast of the zero-variance share is off, how well the posterior is calibrated, how often the confidence sequence
misses, whether the U-statistics are unbiased, and what a million samples cost. Some minutes on one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable

import numpy as np
from scipy.stats import binom

from pebr_data.difficulty.counts import BoolArray, FloatArray, IntArray
from pebr_data.difficulty.fit import Priors, fit_priors
from pebr_data.difficulty.forecast import forecast_chosen, forecast_fresh, split_counts
from pebr_data.difficulty.guessing import chance
from pebr_data.difficulty.intervals import confidence_sequence
from pebr_data.difficulty.populations import POPULATIONS, Population, draw_outcomes, draw_population
from pebr_data.difficulty.posterior import Posterior
from pebr_data.difficulty.signal import expected_signal, signal
from pebr_data.difficulty.simulation import Probed, judge, probe
from pebr_data.difficulty.stopping import band_edges, band_probabilities, exact_bands, exact_stops, posterior_stops
from pebr_data.difficulty.unbiased import unbiased_signal

GROUP_SIZE = 8
MOST = 16


def fixed(num_rollouts: int) -> Callable[[IntArray, IntArray], BoolArray]:
    """Every sample gets the same number of rollouts."""
    return lambda k, n: np.asarray(n >= num_rollouts)


def exact(k: IntArray, n: IntArray) -> BoolArray:
    """Stop once the paper's band is certain."""
    return exact_stops(k, n, GROUP_SIZE)


def posterior_rule(population: Population, confidence: float) -> Callable[[IntArray, IntArray], BoolArray]:
    """Stop once one band is this sure, under priors fitted to the counts so far."""

    def stops(k: IntArray, n: IntArray) -> BoolArray:
        known = fit_priors(k, n, population.stratum, chances=chances(population)).posterior(k, n, population.stratum)
        return posterior_stops(known, n, GROUP_SIZE, confidence=confidence, max_rollouts=MOST)

    return stops


def chances(population: Population) -> tuple[float, ...]:
    """Pass rate of a guess in each stratum."""
    return tuple(chance(population.num_options[population.stratum == s][0]) for s in np.unique(population.stratum))


def medium(probed: Probed) -> BoolArray:
    """The policy `pebr`: both outcomes were seen."""
    return (probed.num_correct > 0) & (probed.num_correct < probed.num_rollouts)


def strongest(worth: FloatArray, size: int) -> BoolArray:
    """The policy `signal`: the samples with the largest expected signal, ties at random."""
    order = np.lexsort((np.random.default_rng(3).random(worth.shape), -worth))
    chosen = np.zeros(worth.shape, dtype=np.bool_)
    chosen[order[:size]] = True
    return chosen


def some(mask: BoolArray, size: int) -> BoolArray:
    """`size` of the marked samples, at random."""
    order = np.random.default_rng(4).permutation(np.flatnonzero(mask))[:size]
    chosen = np.zeros(mask.shape, dtype=np.bool_)
    chosen[order] = True
    return chosen


def table(title: str, head: str, rows: Iterable[tuple[object, ...]]) -> None:
    """One Markdown table."""
    print(f"\n{title}\n\n| {' | '.join(head.split(','))} |")
    print("|" + " --- |" * (head.count(",") + 1))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)


def stopping_rows(num_samples: int) -> Iterable[tuple[object, ...]]:
    """Rollouts saved by `exact` beside fixed 8."""
    for name in POPULATIONS:
        population = draw_population(name, num_samples)
        outcomes = draw_outcomes(population, GROUP_SIZE)
        full = outcomes.sum(axis=1)
        bands = exact_bands(full, np.full_like(full, GROUP_SIZE), GROUP_SIZE)
        saved = []
        for smallest in (1, 2, 4):
            seen = probe(outcomes, exact, capacity=256, smallest=smallest)
            same = bool(np.all(exact_bands(seen.num_correct, seen.num_rollouts, GROUP_SIZE) == bands))
            saved.append(f"{100 * (1 - seen.num_rollouts.mean() / GROUP_SIZE):.1f}{'' if same else ' BANDS DIFFER'}")
        yield name, *saved


def precision_rows(num_samples: int) -> Iterable[tuple[object, ...]]:
    """`posterior` beside fixed 8 and 16: the share of samples whose likeliest band is the true one."""
    low, high = band_edges(GROUP_SIZE)
    for name in POPULATIONS:
        population = draw_population(name, num_samples)
        outcomes = draw_outcomes(population, MOST)
        truth = np.digitize(population.pass_rate, [low, high])
        cells: list[object] = [name]
        for stops in (fixed(8), fixed(16), posterior_rule(population, 0.8), posterior_rule(population, 0.9)):
            seen = probe(outcomes, stops, capacity=256, smallest=2)
            known = fit(seen, population)
            found = band_probabilities(known, GROUP_SIZE).argmax(axis=1)
            cells.append(f"{100 * np.mean(found == truth):.1f} % with {seen.num_rollouts.mean():.1f}")
        yield tuple(cells)


def fit(seen: Probed, population: Population) -> Posterior:
    """The posterior under priors fitted per stratum."""
    k, n, stratum = seen.num_correct, seen.num_rollouts, population.stratum
    return fit_priors(k, n, stratum, chances=chances(population)).posterior(k, n, stratum)


def choice_rows(num_samples: int) -> Iterable[tuple[object, ...]]:
    """Truly informative share, and share of groups that teach, `pebr` beside `signal` at equal size and cost."""
    low, high = band_edges(GROUP_SIZE)
    for name in POPULATIONS:
        population = draw_population(name, num_samples)
        outcomes = draw_outcomes(population, MOST)
        p = population.pass_rate
        truly = (p >= low) & (p <= high)
        worth = 1 - p**GROUP_SIZE - (1 - p) ** GROUP_SIZE
        eight = probe(outcomes, fixed(8), capacity=256, smallest=2)
        paper = medium(eight)
        # The same number of rollouts in all, spent where the band is open.
        stopped = min(
            (
                probe(outcomes, posterior_rule(population, c), capacity=256, smallest=2)
                for c in (0.95, 0.9, 0.85, 0.8, 0.7)
            ),
            key=lambda seen: abs(seen.num_rollouts.mean() - 8) + 100 * (seen.num_rollouts.mean() > 8),
        )
        for share in (1.0, 0.5):
            size = int(share * paper.sum())
            picks = {
                "pebr": some(paper, size),
                "signal": strongest(expected_signal(fit(eight, population), GROUP_SIZE), size),
                "signal, stopped": strongest(expected_signal(fit(stopped, population), GROUP_SIZE), size),
            }
            figures = [f"{100 * truly[pick].mean():.1f} / {100 * worth[pick].mean():.1f}" for pick in picks.values()]
            everything = f"{100 * truly.mean():.1f} / {100 * worth.mean():.1f}"
            yield name, f"{100 * share:.0f} %", everything, *figures, f"{stopped.num_rollouts.mean():.1f}"


def guess_rows(num_samples: int) -> Iterable[tuple[object, ...]]:
    """Share of guessers among the chosen half of 1..n-1 of n: `pebr`, `signal`, and signal times P(not guessed)."""
    population = draw_population("guessers", num_samples)
    for num_rollouts in (8, 16):
        seen = probe(draw_outcomes(population, num_rollouts), fixed(num_rollouts), capacity=256, smallest=2)
        known = fit(seen, population)
        size = int(medium(seen).sum()) // 2
        worth = expected_signal(known, GROUP_SIZE)
        picks = (some(medium(seen), size), strongest(worth, size), strongest(worth * (1 - known.guessed()), size))
        yield num_rollouts, *(f"{100 * population.guesser[pick].mean():.1f}" for pick in picks)


def forecast_rows(num_samples: int) -> Iterable[tuple[object, ...]]:
    """Forecast minus realised zero-variance share, in points."""
    for name in POPULATIONS:
        population = draw_population(name, num_samples)
        outcomes = draw_outcomes(population, MOST)
        stratum, guess = population.stratum, chances(population)
        for rule, stops in {
            "fixed 8": fixed(8), "exact": exact, "posterior 0.9": posterior_rule(population, 0.9)
        }.items():  # fmt: skip
            seen = probe(outcomes, stops, capacity=256, smallest=2)
            k, n = seen.num_correct, seen.num_rollouts
            size = int(medium(seen).sum()) // 2
            for policy, chosen in {
                "pebr": medium(seen),
                "signal": strongest(expected_signal(fit(seen, population), GROUP_SIZE), size),
            }.items():
                foreseen = forecast_chosen(k, n, chosen, GROUP_SIZE, stratum=stratum, chances=guess)
                shrunk = judge(population, seen, chosen, foreseen, GROUP_SIZE)
                naive = (k[chosen] / n[chosen]) ** GROUP_SIZE + (1 - k[chosen] / n[chosen]) ** GROUP_SIZE
                fresh = ""
                if rule == "fixed 8":
                    k1, n1, k2, n2 = split_counts(k, n)
                    half = Probed(k1, n1, 0)
                    pick = (
                        medium(half)
                        if policy == "pebr"
                        else strongest(expected_signal(fit(half, population), GROUP_SIZE), size)
                    )
                    late = forecast_fresh(k2[pick], n2[pick], GROUP_SIZE, stratum=stratum[pick], chances=guess)
                    halved = judge(population, half, pick, late, GROUP_SIZE)
                    fresh = f"{100 * halved.forecast_error:+.2f} ({'in' if halved.within else 'out'})"
                width = 50 * (foreseen.zero_variance.high - foreseen.zero_variance.low)
                yield (
                    name, rule, policy, f"{100 * shrunk.zero_variance:.1f}",
                    f"{100 * (naive.mean() - shrunk.zero_variance):+.2f}",
                    f"{100 * shrunk.forecast_error:+.2f} ± {width:.2f} ({'in' if shrunk.within else 'out'})", fresh,
                )  # fmt: skip


def coverage_rows(num_samples: int, num_draws: int) -> Iterable[tuple[object, ...]]:
    """How often the 95 % interval of the forecast holds the realised share, and its half width, in a small catalog."""
    for name in POPULATIONS:
        held, widths, errors = [], [], []
        for seed in range(num_draws):
            population = draw_population(name, num_samples, seed)
            seen = probe(draw_outcomes(population, GROUP_SIZE, seed), fixed(GROUP_SIZE), capacity=256, smallest=2)
            k, n, stratum = seen.num_correct, seen.num_rollouts, population.stratum
            chosen = medium(seen)
            foreseen = forecast_chosen(k, n, chosen, GROUP_SIZE, stratum=stratum, chances=chances(population))
            verdict = judge(population, seen, chosen, foreseen, GROUP_SIZE, seed)
            held.append(verdict.within)
            errors.append(verdict.forecast_error)
            widths.append(foreseen.zero_variance.high - foreseen.zero_variance.low)
        bias = f"{100 * np.mean(errors):+.2f}"
        yield name, f"{100 * np.mean(held):.0f}", f"{50 * np.mean(widths):.1f}", bias


def calibration_rows(num_samples: int) -> Iterable[tuple[object, ...]]:
    """Mean true p and P_inf minus the posterior's, worst bin of (stratum, k, n), and the noise of that bin's mean."""
    for name in POPULATIONS:
        population = draw_population(name, num_samples)
        p = population.pass_rate
        outcomes = draw_outcomes(population, GROUP_SIZE)
        for rule, stops in {"fixed 8": fixed(8), "exact": exact}.items():
            seen = probe(outcomes, stops, capacity=256, smallest=2)
            known = fit(seen, population)
            key = seen.num_correct + 9 * seen.num_rollouts + 81 * population.stratum
            bins = [key == value for value in np.unique(key)]
            worst = [
                max(
                    (abs(float(true[b].mean() - said[b].mean())), 2 * float(true[b].std() / np.sqrt(b.sum())))
                    for b in bins
                )
                for true, said in (
                    (p, known.mean()),
                    (1 - p**GROUP_SIZE - (1 - p) ** GROUP_SIZE, known.informative(GROUP_SIZE)),
                )
            ]
            low, high = known.interval()
            wide = confidence_sequence(seen.num_correct, seen.num_rollouts)
            yield (
                name, rule, *(f"{error:.4f} (noise {noise:.4f})" for error, noise in worst),
                f"{100 * np.mean((p >= low) & (p <= high)):.1f}",
                f"{100 * np.mean((p >= wide[0]) & (p <= wide[1])):.1f}",
            )  # fmt: skip


def sequence_rows(most: int) -> Iterable[tuple[object, ...]]:
    """The probability that some bound up to `most` rollouts leaves p out, exactly: the worst of 199 pass rates."""
    n = np.repeat(np.arange(most + 1), np.arange(1, most + 2))
    k = np.concatenate([np.arange(size + 1) for size in range(most + 1)])
    for level in (0.8, 0.9, 0.95, 0.99):
        low, high = confidence_sequence(k, n, level)
        p = np.linspace(0, 1, 201)[1:-1, None]
        never = np.ones((len(p), 1))
        for size in range(1, most + 1):
            at = slice(size * (size + 1) // 2, (size + 1) * (size + 2) // 2)
            grown = np.pad(never * (1 - p), ((0, 0), (0, 1))) + np.pad(never * p, ((0, 0), (1, 0)))
            never = grown * ((low[at] <= p) & (p <= high[at]))
        missed = 1 - never.sum(axis=1)
        yield f"{100 * level:.0f} %", most, f"{100 * missed.max():.2f}", f"{float(p[missed.argmax(), 0]):.3f}"


def unbiased_rows() -> Iterable[tuple[object, ...]]:
    """The U-statistic's expectation minus the signal, exactly: the worst of 201 pass rates and of n = G .. 4 G."""
    p = np.linspace(0, 1, 201)
    for group_size in (4, 8, 16):
        for scale in ("group", "none"):
            worst = 0.0
            for n in range(group_size, 4 * group_size + 1):
                value = unbiased_signal(np.arange(n + 1), n, group_size, scale).value
                mean = binom.pmf(np.arange(n + 1), n, p[:, None]) @ value
                worst = max(worst, float(np.abs(mean - signal(p, group_size, scale)).max()))
            yield group_size, scale, f"{worst:.1e}"


def speed_rows() -> Iterable[tuple[object, ...]]:
    """Seconds for a million samples."""
    population = draw_population("two_source", 1_000_000)
    k = draw_outcomes(population, GROUP_SIZE).sum(axis=1)
    n = np.full_like(k, GROUP_SIZE)
    priors: Priors | None = None

    def timed(work: Callable[[], object]) -> str:
        start = time.perf_counter()
        work()
        return f"{time.perf_counter() - start:.2f}"

    yield "fit two strata", timed(lambda: fit_priors(k, n, population.stratum))
    priors = fit_priors(k, n, population.stratum)
    yield "posterior mean, interval and signal", timed(lambda: _all(priors.posterior(k, n, population.stratum)))
    yield "confidence sequence", timed(lambda: confidence_sequence(k, n))


def _all(known: Posterior) -> tuple[object, ...]:
    return known.mean(), known.interval(), known.informative(GROUP_SIZE)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=200_000)
    size: int = parser.parse_args().samples
    print(f"{size:,} samples a population, G = {GROUP_SIZE}, seed 0")
    table("Rollouts saved by `exact` beside fixed 8, %", "population,rounds of 1,of 2,of 4", stopping_rows(size))
    table(
        "Samples whose band is found, with rollouts per sample (16 at most)",
        "population,fixed 8,fixed 16,posterior 0.8,posterior 0.9", precision_rows(size),
    )  # fmt: skip
    table(
        "Truly informative (P_inf >= 1/2) / groups that teach, % of the chosen, at equal size (share of 1..7 of 8)",
        "population,size,all samples,pebr,signal,signal on stopped,rollouts there", choice_rows(size),
    )  # fmt: skip
    table(
        "Guessers among the chosen, % (a third of all)",
        "rollouts,pebr,signal,signal of those not guessed", guess_rows(size),
    )  # fmt: skip
    table(
        "Zero-variance share of the first pass: realised %, and forecasts minus it in points",
        "population,stopping,policy,realised,raw k/n,shrinkage,other half", forecast_rows(size),
    )  # fmt: skip
    table(
        "Forecast in catalogs of 600, 60 of each: in its 95 % interval, %; half width and mean error, points",
        "population,in,half width,mean error", coverage_rows(600, 60),
    )  # fmt: skip
    table(
        "Calibration: worst bin's error of p and of P_inf, with two standard errors; coverage of 95 % intervals, %",
        "population,stopping,p,P_inf,posterior,confidence sequence", calibration_rows(size),
    )  # fmt: skip
    table(
        "The confidence sequence ever leaves p out, %, looked at after every rollout",
        "level,rollouts,at most,at p", sequence_rows(300),
    )  # fmt: skip
    table("U-statistics: expectation minus the signal, at most", "G,scale_rewards,error", unbiased_rows())
    table("A million samples", "what,seconds", speed_rows())


if __name__ == "__main__":
    main()
