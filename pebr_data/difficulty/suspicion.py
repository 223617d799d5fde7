"""Suspicion: how likely a sample's gold is wrong, from what the policy answers to it and to the samples like it.

    suspicion = suspect(votes)              # P(the gold is wrong) of each sample, null where nothing speaks against it

Where the policy gives one answer again and again and it is not the gold, one of the two is wrong. A policy's mistakes
recur: it counts one too many, it fails where there is much to say. Wrong golds do not. So for every such majority two
explanations are weighed, each by how often the other samples show it:

* the gold is wrong: the majority's answer is the truth, and solved, as often as that gold is solved among the samples
  alike; the gold beside it is any other one;
* the policy is wrong: it gives this answer where that is the gold, as often as it does so; what is rare is drawn
  towards how often it is off by that much (numbers), or wrong at all, first among the samples alike, then in the kind.

Samples alike have source, answer type and skill in common, and the fifth of them in length of completions: the longer,
the harder. A kind is a source and an answer type. Every count leaves the sample itself out, and is drawn towards what
is expected with the weight of `WEIGHT` samples, or more where values hardly ever recur (Ewens 1972), so that a question
with an answer of its own is judged by rates alone. The idea is that of confident learning (Northcutt, Jiang and Chuang
2021), with repeated answers instead of a classifier's scores. Where there are two answers, as to yes-or-no questions,
only rates can tell, and seldom do.
"""

from __future__ import annotations

import polars as pl

PRIOR = 0.05
"""P(a gold is wrong) before anything is seen: public test sets have some 3 % of such labels (Northcutt et al. 2021)."""
SUSPICIOUS = 0.125
"""From this probability on a gold is suspected: what is seen is nearly three times as likely under a wrong gold."""
MIN_ROLLOUTS = 4
MIN_PARSED = 0.75
"""Share of the rollouts that must hold an answer."""
MAJORITY = 0.625
"""Share of the rollouts that must agree, 5 of 8: more than half with a probability of 3/4 under a uniform prior."""
WEIGHT = 4.0
NUM_LENGTHS = 5

VOTES = {
    **dict.fromkeys(("source", "answer_type", "skill", "gold", "majority"), pl.String),
    **dict.fromkeys(("num_correct", "num_majority", "num_wrong", "num_rollouts"), pl.Int64),
    "mean_tokens": pl.Float64,
}
"""What is read of a sample, probed or not: where it belongs; its gold and the answer that is most frequent among the
wrong ones, in one spelling; how many rollouts are correct, give that answer, are wrong, and say anything at all; the
mean length of its completions."""

_KIND = ("source", "answer_type")
_SKILL = (*_KIND, "skill")
_ALIKE = (*_SKILL, "length")


def suspect(votes: pl.DataFrame) -> pl.Series:
    """P(the gold is wrong) of each sample, in the same order; null where no confident majority is against it.

    Args:
        votes: The columns of `VOTES`.
    """
    n, correct = pl.col("num_rollouts"), pl.col("num_correct")
    parsed = correct + pl.col("num_wrong") >= MIN_PARSED * n
    told = votes.select(VOTES.keys()).with_row_index("row").filter(n >= MIN_ROLLOUTS)
    told = told.with_columns(
        solved=parsed & (correct >= MAJORITY * n),
        against=(parsed & (pl.col("num_majority") >= MAJORITY * n)).fill_null(False),
        off_by=pl.col("majority").cast(pl.Float64, strict=False) - pl.col("gold").cast(pl.Float64, strict=False),
        length=((pl.col("mean_tokens").rank() - 0.5) * NUM_LENGTHS / pl.len()).floor().over(_SKILL),
        level=(8 * pl.max_horizontal(correct, "num_majority") / n).floor(),
    )
    told = _with_explanations(_with_majority_as_gold(told))
    odds = PRIOR / (1 - PRIOR) * pl.col("gold_wrong") / pl.col("policy_wrong")
    known = told.filter("against").select("row", suspicion=odds / (1 + odds))
    rows = pl.DataFrame({"row": pl.arange(len(votes), dtype=pl.UInt32, eager=True)})
    return rows.join(known, on="row", how="left", maintain_order="left")["suspicion"]


def _with_majority_as_gold(told: pl.DataFrame) -> pl.DataFrame:
    """How often the majority's answer is a gold of the kind (`as_gold`), and a solved one among those alike."""
    golds = told.group_by(*_KIND, majority="gold").agg(as_gold=pl.len())
    solved = told.group_by(*_ALIKE, majority="gold").agg(as_solved=pl.col("solved").sum())
    found = _joined(_joined(told, golds), solved)
    return found.with_columns(pl.col("as_gold", "as_solved").fill_null(0))


def _with_explanations(told: pl.DataFrame) -> pl.DataFrame:
    """Likelihoods of what is seen when the gold is wrong and when the policy is: `gold_wrong`, `policy_wrong`."""
    told = told.with_columns(gold_wrong=_true_and_solved(), policy_wrong=_wrongly_answered())
    # How the other rollouts divide: a gold picked at random gets hardly any of them.
    divided = (*_KIND, "level", "rest")
    seen = told.with_columns(rest=pl.col("num_correct").clip(upper_bound=2))
    chosen = pl.col("as_gold") / (pl.len().over(_KIND) - pl.len().over(*_KIND, "gold"))
    foreseen = told.with_columns(hit=chosen.fill_nan(0.0)).filter("solved")
    foreseen = pl.concat(
        [
            foreseen.select(*_KIND, "level", rest=pl.col("num_majority").fill_null(0).clip(upper_bound=2), num="hit"),
            foreseen.select(*_KIND, "level", rest=pl.lit(0, pl.Int64), num=1.0 - pl.col("hit")),
        ]
    )
    told = _joined(seen, foreseen.group_by(divided).agg(num_foreseen=pl.col("num").sum()))
    against = pl.col("against")
    even = pl.lit(1 / 12)
    gold = _shrunk(pl.col("num_foreseen").fill_null(0.0), pl.col("solved").sum().over(_KIND), even)
    policy = _shrunk(against.sum().over(divided) - 1, against.sum().over(_KIND) - 1, even)
    return told.with_columns(pl.col("gold_wrong") * gold, pl.col("policy_wrong") * policy)


def _true_and_solved() -> pl.Expr:
    """P(the majority's answer is the truth, and solved), among the samples alike."""
    solved = pl.col("solved")
    num, num_solved = pl.len().over(_ALIKE), solved.sum().over(_ALIKE)
    rate = _shrunk(num_solved, num, solved.mean().over(_KIND))
    return rate * _shrunk(pl.col("as_solved"), num_solved, _frequency(), _weight(solved, (*_ALIKE, "gold")))


def _wrongly_answered() -> pl.Expr:
    """P(the policy gives the majority's answer, confidently), where the gold is this one."""
    against, off = pl.col("against"), pl.col("off_by").is_not_null()
    num_alike, num_kind = against.sum().over(_ALIKE), against.sum().over(_KIND)
    rate = _shrunk(num_alike - 1, pl.len().over(_ALIKE) - 1, against.mean().over(_KIND))
    by_kind = (*_KIND, "off_by")
    in_kind = _shrunk(against.sum().over(by_kind) - 1, num_kind - 1, _frequency(), _weight(against & off, by_kind))
    in_alike = _shrunk(against.sum().over(*_ALIKE, "off_by") - 1, num_alike - 1, in_kind)
    expected = rate * pl.when(off).then(in_alike).otherwise(_frequency())
    same = against.sum().over(*_ALIKE, "gold", "majority")
    return _shrunk(same - 1, pl.len().over(*_ALIKE, "gold") - 1, expected)


def _frequency() -> pl.Expr:
    """How often the majority's answer is a gold of the kind."""
    return (pl.col("as_gold") + 0.5) / (pl.len().over(_KIND) + 1)


def _shrunk(count: pl.Expr, total: pl.Expr, expected: pl.Expr, weight: pl.Expr | float = WEIGHT) -> pl.Expr:
    """The share `count / total`, drawn towards what is expected."""
    return (count + weight * expected) / (total + weight)


def _weight(counted: pl.Expr, value: tuple[str, ...]) -> pl.Expr:
    """The weight of what is expected, for a value within its group: by the share of values that are seen but once."""
    total = counted.sum().over(value[:-1])
    once = (counted & (counted.sum().over(value) == 1)).sum().over(value[:-1])
    return pl.max_horizontal(pl.lit(WEIGHT), once * (total - 1) / (total - once + 0.5))


def _joined(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    on = [name for name in right.columns if name in left.columns]
    return left.join(right, on=on, how="left", nulls_equal=True, maintain_order="left")
