"""Diagnosis: why the policy does not always solve a sample, from its rollouts and from what other conditions show.

    told = diagnose(evidence)               # sample_id, diagnosis, suspicion: a row each sample, in the same order

Easy samples and samples without a complete group have none. To every other the first of these rules applies that holds;
"surely" is with a posterior probability of `CONFIDENCE` at least, under uniform priors, and p is a pass rate.

| rule | holds when | least evidence |
| --- | --- | --- |
| `truncation` | surely more than half of the failures ran out of length | two failures |
| `format` | surely more than half of the failures hold no answer | two failures |
| `grader-dispute` | surely more than half of the failures are right by another grading | another grading |
| `perception-bound` | surely p described > p shown + `MARGIN`, and p described > 1/2 | probed described |
| `suspected-gold` | `suspicion` finds the gold wrong with a probability of `SUSPICIOUS` | 4 rollouts |
| `reasoning-bound` | surely p described < 1/2 | probed described |
| `image-not-needed` | surely p blind > chance + `MARGIN`, and not p shown > p blind + `MARGIN` | probed blind |
| `guessable` | surely p shown is within `MARGIN` of chance, and something was right | options |
| `hard` | none of them | probed blind and described |

A gold that the policy finds when described is not suspected, whatever it sees: hence the order. A rule whose evidence
is missing is passed over; where none holds and `blind` or `described` was not probed, there is no diagnosis. And what
is described counts only when the policy can read descriptions at all (`reads_descriptions`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pebr_data.difficulty.contrast import above, exceeds
from pebr_data.difficulty.counts import BoolArray, FloatArray
from pebr_data.difficulty.known import guess_chance
from pebr_data.difficulty.suspicion import SUSPICIOUS, VOTES, suspect
from pebr_data.types import Band, Diagnosis

CONFIDENCE = 0.8
MARGIN = 0.2

EVIDENCE = {
    **VOTES,
    "sample_id": pl.String, "num_options": pl.Int64, "band": pl.String, "gold_vouched": pl.Boolean,
    "num_unparsed": pl.Int64, "num_truncated": pl.Int64, "num_disputed": pl.Int64,
    "blind_correct": pl.Int64, "blind_rollouts": pl.Int64,
    "described_correct": pl.Int64, "described_rollouts": pl.Int64,
}  # fmt: skip
"""What is read of a sample: its `VOTES` and its band; whether a person has vouched for the gold; failures without an
answer, cut off, and right by another grading (null without one); correct and all rollouts under the other conditions (0
of 0 where they were not probed)."""


def diagnose(evidence: pl.DataFrame) -> pl.DataFrame:
    """Why each sample is not easy.

    Args:
        evidence: The columns of `EVIDENCE`, all samples of a split: what the policy does on the others says what its
            mistakes look like.

    Returns:
        sample_id, diagnosis (a `Diagnosis`, or null), suspicion (P(the gold is wrong), null where nothing speaks
        against it or a person for it) and level (what the rules see of the other conditions, in words, null where none
        was probed: the `known.LEVEL` of a choice by diagnosis), in the same order.
    """
    column = {name: evidence[name].to_numpy() for name, kind in EVIDENCE.items() if kind == pl.Int64}
    k, n = column["num_correct"], column["num_rollouts"]
    chance = evidence.select(guess_chance()).to_series().to_numpy()
    suspicion = evidence.select(pl.when(~pl.col("gold_vouched")).then(suspect(evidence))).to_series()
    blind, described = (column[f"{condition}_rollouts"] > 0 for condition in ("blind", "described"))
    described &= reads_descriptions(evidence) is not False
    failures = n - k
    disputed = evidence["num_disputed"].fill_null(0).to_numpy()
    known_k, known_n = column["described_correct"], column["described_rollouts"]
    blind_k, blind_n = column["blind_correct"], column["blind_rollouts"]

    def surely(probability: FloatArray) -> BoolArray:
        return np.asarray(probability >= CONFIDENCE)

    right_when_described = above(known_k, known_n, 0.5)
    described_right, described_wrong = surely(right_when_described), surely(1.0 - right_when_described)
    blind_right = surely(above(blind_k, blind_n, chance + MARGIN))
    rules: dict[Diagnosis, BoolArray] = {
        Diagnosis.TRUNCATION: surely(above(column["num_truncated"], failures, 0.5)),
        Diagnosis.FORMAT: surely(above(column["num_unparsed"], failures, 0.5)),
        Diagnosis.GRADER_DISPUTE: surely(above(np.minimum(disputed, failures), failures, 0.5)),
        Diagnosis.PERCEPTION_BOUND: described & surely(exceeds(known_k, known_n, k, n, MARGIN)) & described_right,
        Diagnosis.SUSPECTED_GOLD: (suspicion.fill_null(0.0) >= SUSPICIOUS).to_numpy(),
        Diagnosis.REASONING_BOUND: described & described_wrong,
        Diagnosis.IMAGE_NOT_NEEDED: blind & blind_right & ~surely(exceeds(k, n, blind_k, blind_n, MARGIN)),
        Diagnosis.GUESSABLE: (chance > 0)
        & (k > 0)
        & surely(1.0 - above(k, n, chance + MARGIN))
        & surely(above(k, n, chance - MARGIN)),
        Diagnosis.HARD: blind & described,
    }
    names = [str(one) for one in rules]
    first = np.select(list(rules.values()), np.arange(len(names)), default=-1)
    told = pl.Series(first).replace_strict(dict(enumerate(names)), default=None, return_dtype=pl.String)
    judged = pl.col("band").is_in([str(Band.MEDIUM), str(Band.HARD)])
    return evidence.select(
        "sample_id",
        diagnosis=pl.when(judged).then(told),
        suspicion=pl.when(judged).then(suspicion),
        level=_level(
            pl.when(pl.Series(described)).then(
                pl.when(pl.Series(described_right))
                .then(pl.lit("described right"))
                .when(pl.Series(described_wrong))
                .then(pl.lit("described wrong"))
                .otherwise(pl.lit("described unsure"))
            ),
            pl.when(pl.Series(blind)).then(
                pl.when(pl.Series(blind_right)).then(pl.lit("blind right")).otherwise(pl.lit("blind unsure"))
            ),
        ),
    )


def _level(*seen: pl.Expr) -> pl.Expr:
    """What is seen, side by side; null where nothing is."""
    return pl.when(pl.any_horizontal(one.is_not_null() for one in seen)).then(
        pl.concat_str(*seen, separator=", ", ignore_nulls=True)
    )


def reads_descriptions(evidence: pl.DataFrame) -> bool | None:
    """Whether the policy can work from descriptions: what it solves when shown it mostly solves when described.

    The mean described pass rate, samples weighted by how often they are solved when shown, is 1/2 at least. None where
    nothing that is solved was described, so that nobody can tell.
    """
    weight = pl.col("num_correct") / pl.col("num_rollouts")
    both = evidence.filter((pl.col("num_rollouts") > 0) & (pl.col("described_rollouts") > 0))
    rate = weight * pl.col("described_correct") / pl.col("described_rollouts")
    total, solved = both.select(weight.sum(), rate.sum().alias("solved")).row(0)
    return None if not total else bool(solved / total >= 0.5)
