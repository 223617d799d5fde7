"""Simulating: how a stopping rule and a policy would do on samples whose pass rates are known.

    trial = simulate("hard", stop="exact", policy="signal", num_samples=10_000, limit=2_000)

Rollouts are drawn from the true pass rates and stopped in the probe's rounds by the rules of `difficulty.stopping`; the
samples are then diagnosed, chosen and forecast by the functions that do so with real ones (`difficulty.diagnosis`,
`policies.POLICIES`, `difficulty.known`). No text is made, graded and stored, so a million samples take seconds. That
all of it comes out as in the real flow, with a scripted engine in a real store, is
`tests/integration/test_simulate_real_path.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pebr_data.difficulty.counts import BoolArray, IntArray
from pebr_data.difficulty.diagnosis import EVIDENCE, diagnose
from pebr_data.difficulty.frozen import FrozenPriors, Tables
from pebr_data.difficulty.known import guess_chance, learn
from pebr_data.difficulty.populations import Population, draw_outcomes, draw_population, true_diagnoses
from pebr_data.difficulty.simulation import Probed, Stops, Verdict, judge, probe
from pebr_data.difficulty.stopping import exact_bands, exact_stops, pilot
from pebr_data.probe.rounds import CAPACITY, SMALLEST
from pebr_data.select.policies import POLICIES, Terms
from pebr_data.types import Band, Condition, Diagnosis, Json

CONFIDENCE = 0.9
"""Of the stopping rule `posterior`."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A population, a rule, a policy, and how they did.

    Attributes:
        population: Its name in `POPULATIONS`.
        stop: The stopping rule.
        policy: The selection policy.
        diagnosis: What the policy `diagnosis` took; None for the others.
        verdict: What came of it.
    """

    population: str
    stop: str
    policy: str
    diagnosis: Diagnosis | None
    verdict: Verdict

    def to_json(self) -> dict[str, Json]:
        """Plain values; what cannot be told, as the precision of nothing, is null."""
        told = asdict(self.verdict)
        figures = {name: None if value != value else value for name, value in told.items()}
        asked = {name: getattr(self, name) for name in ("population", "stop", "policy", "diagnosis")}
        return {**asked, **figures}


def simulate(
    population: str,
    stop: str = "fixed",
    policy: str = "pebr",
    *,
    diagnosis: Diagnosis = Diagnosis.REASONING_BOUND,
    num_samples: int = 10_000,
    max_rollouts: int = 8,
    num_generations: int = 8,
    confidence: float = CONFIDENCE,
    limit: int | None = None,
    seed: int = 0,
) -> Trial | None:
    """One trial.

    Args:
        population: A name in `POPULATIONS`.
        stop: `fixed`: all rollouts of every sample; `exact`: until the paper's band is certain; `posterior`: until one
            band has probability `confidence`.
        policy: `pebr` takes the medium band; `signal` as many samples as that has, those with the highest signal;
            `random` as many, whichever; `diagnosis` what is diagnosed so, from as many rollouts under each condition.
        diagnosis: What the policy `diagnosis` is to find. Its precision and recall are those of the samples that truly
            have the diagnosis (`true_diagnoses`), the other policies' those of the truly informative.
        num_samples: Samples of the population.
        max_rollouts: The most that any sample gets.
        num_generations: The training's G.
        confidence: Of the rule `posterior`.
        limit: At most this many samples are taken.
        seed: Of everything that is drawn.

    Returns:
        How it did; None where there is nothing to choose: no sample is medium, or none has the diagnosis.
    """
    truth = draw_population(population, num_samples, seed)

    def probe_under(condition: Condition) -> tuple[Probed, npt.NDArray[np.str_]]:
        """What was seen, and the bands it gave."""
        outcomes = draw_outcomes(truth, max_rollouts, seed, condition)
        if stop == "posterior":
            return probe_by_posterior(truth, outcomes, num_generations, confidence, smallest=SMALLEST)
        probed = probe(outcomes, _rule(stop, max_rollouts), capacity=CAPACITY, smallest=SMALLEST)
        return probed, exact_bands(probed.num_correct, probed.num_rollouts, max_rollouts)

    shown, bands = probe_under(Condition.IMAGE)
    samples = _samples(truth, shown.num_correct, shown.num_rollouts)
    known = learn(samples)
    pool = known.join(samples, num_generations).with_columns(band=pl.Series(bands.tolist(), dtype=pl.String))
    others: dict[Condition, Probed] = {}
    fits, wanted = pool["band"] == str(Band.MEDIUM), None
    if policy == "diagnosis":
        others.update((one, probe_under(one)[0]) for one in (Condition.BLIND, Condition.DESCRIBED))
        told = diagnose(_evidence(pool, others))
        pool = pool.with_columns(told["diagnosis"])
        samples = samples.with_columns(told["level"])
        known = learn(samples)
        fits, wanted = pool["diagnosis"] == str(diagnosis), true_diagnoses(truth) == str(diagnosis)
    size = int(fits.sum())
    if not size:
        return None
    terms = Terms(f"{population}/{seed}", size=min(size, limit or size), band=Band.MEDIUM, diagnoses=(diagnosis,))
    kept = POLICIES[policy](pool, terms).kept.cast(pl.Int64).to_numpy()
    chosen: BoolArray = np.zeros(num_samples, dtype=np.bool_)
    chosen[kept] = True
    foreseen = known.forecast(samples[kept], num_generations, redrawn=known.redrawn(seed), seed=seed)
    verdict = judge(truth, shown, chosen, foreseen, num_generations, seed, wanted=wanted, others=[*others.values()])
    return Trial(population, stop, policy, diagnosis if policy == "diagnosis" else None, verdict)


def _evidence(pool: pl.DataFrame, others: Mapping[Condition, Probed]) -> pl.DataFrame:
    """What `diagnose` reads: every failure is a wrong answer and no two are alike, so that no gold is suspected."""
    return pool.with_columns(
        **dict.fromkeys(("gold", "majority", "mean_tokens", "num_disputed"), pl.lit(None)),
        **dict.fromkeys(("num_majority", "num_unparsed", "num_truncated"), pl.lit(0)),
        **{f"{condition}_correct": pl.Series(seen.num_correct) for condition, seen in others.items()},
        **{f"{condition}_rollouts": pl.Series(seen.num_rollouts) for condition, seen in others.items()},
        gold_vouched=pl.lit(value=False),
        num_wrong=pl.col("num_rollouts") - pl.col("num_correct"),
    ).select(pl.col(name).cast(kind) for name, kind in EVIDENCE.items())


def _samples(truth: Population, num_correct: IntArray, num_rollouts: IntArray) -> pl.DataFrame:
    """The simulated samples as the catalog has real ones; their ids are their numbers."""
    return pl.DataFrame(
        {
            "sample_id": np.arange(len(truth.pass_rate)),
            "source": truth.stratum,
            "num_options": truth.num_options,
            "num_correct": num_correct,
            "num_rollouts": num_rollouts,
        }
    ).with_columns(
        pl.col("sample_id", "source").cast(pl.String),
        answer_type=pl.when(pl.col("num_options") > 0).then(pl.lit("choice")).otherwise(pl.lit("number")),
        skill=pl.lit(None, pl.String),
        gap=pl.lit(None, pl.String),
    )


def _rule(stop: str, max_rollouts: int) -> Stops:
    rules: dict[str, Stops] = {
        "fixed": lambda k, n: np.asarray(n >= max_rollouts),
        "exact": lambda k, n: exact_stops(k, n, max_rollouts),
    }
    return rules[stop]


def probe_by_posterior(
    truth: Population, outcomes: BoolArray, num_generations: int, confidence: float, *, smallest: int = 1
) -> tuple[Probed, npt.NDArray[np.str_]]:
    """What the rule sees and the bands that it is sure of: a pilot, whose priors judge from then on.

    Args:
        truth: The samples.
        outcomes: Whether each rollout is correct, [samples, most rollouts].
        num_generations: The training's G.
        confidence: The probability that a band must have.
        smallest: Rollouts of one sample asked for together at least.
    """
    num_samples, most = outcomes.shape
    cells = _samples(truth, np.zeros(num_samples, np.int64), np.zeros(num_samples, np.int64))
    keys = cells.select("source", "answer_type", guess_chance()).rows()
    strata = list(dict.fromkeys(keys))
    stratum = np.array([strata.index(key) for key in keys])
    tables: list[Tables] = []

    def stops(k: IntArray, n: IntArray) -> BoolArray:
        if not tables:
            priors = FrozenPriors.of(learn(_samples(truth, k, n)))
            tables.append(priors.tables(strata, group_size=num_generations, max_rollouts=most, confidence=confidence))
        return np.asarray(tables[0].stops[stratum, k, n])

    first = pilot(cells["sample_id"].to_list(), num_generations)
    probed = probe(outcomes, stops, capacity=CAPACITY, smallest=smallest, first=first)
    return probed, tables[0].bands[stratum, probed.num_correct, probed.num_rollouts]
