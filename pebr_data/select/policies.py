"""Selection policies: which samples of a probed pool a mixture takes. Pure functions of columns, no I/O.

Adding a policy is a function here and a line in `POLICIES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from pebr_data.select.draw import draw
from pebr_data.types import Band

POOL = {"sample_id": pl.String, "band": pl.String, "gap": pl.String}
"""The columns of a pool, one row per sample of the split, probed or not: the sample; the band that its rollouts put it
in; why it is in none when that is `unprobed` (`unprobed`, `incomplete`, `ungradable`, `error`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The samples taken, and for every other sample of the pool the reason it was not.

    Attributes:
        kept: Their ids, in training order.
        drops: sample_id, reason; in the pool's order.
    """

    kept: pl.Series
    drops: pl.DataFrame

    def reasons(self) -> dict[str, int]:
        """How many samples were left out, per reason."""
        return dict(self.drops.group_by("reason").len().sort("reason").iter_rows())


class Policy(Protocol):
    """Takes samples from a pool."""

    def __call__(self, pool: pl.DataFrame, *, band: Band | None, size: int | None, salt: str) -> Choice:
        """Choose from `pool`.

        Args:
            pool: Every sample of the split; the columns of `POOL`.
            band: The band to take from; None for any.
            size: How many to take at most; None for all.
            salt: Decides the order, and with it which ones are taken when there are more than `size`.
        """


def choose_pebr(pool: pl.DataFrame, *, band: Band | None, size: int | None, salt: str) -> Choice:
    """The paper's rule: every sample whose complete group falls into `band` (PeBR-R1, arXiv 2509.13031).

    Easy ones teach perception, medium ones reasoning, hard ones go into the warm-up. Drop reasons: the gap of an
    unprobed sample, `band-easy`, `band-medium`, `band-hard`, `over-limit`.
    """
    fits = pl.col("band") == str(band)
    why = pl.when(_is_unprobed()).then("gap").otherwise(pl.concat_str(pl.lit("band-"), "band"))
    return _take(pool, fits, size, salt, why=why, left="over-limit")


def choose_random(pool: pl.DataFrame, *, band: Band | None, size: int | None, salt: str) -> Choice:
    """The control: a uniform draw from all completely probed samples, whatever their band.

    It draws from what `pebr` could have drawn from, so that the two differ in the choice alone. Drop reasons:
    the gap of an unprobed sample, `not-drawn`.
    """
    return _take(pool, ~_is_unprobed(), size, salt, why=pl.col("gap"), left="not-drawn")


def choose_all(pool: pl.DataFrame, *, band: Band | None, size: int | None, salt: str) -> Choice:
    """The whole split, probed or not: demonstrations, say. The only drop reason is `over-limit`."""
    return _take(pool, pl.col("band").is_not_null(), size, salt, why=pl.col("gap"), left="over-limit")


POLICIES: dict[str, Policy] = {"pebr": choose_pebr, "random": choose_random, "all": choose_all}


def _is_unprobed() -> pl.Expr:
    return pl.col("band") == str(Band.UNPROBED)


def _take(pool: pl.DataFrame, fits: pl.Expr, size: int | None, salt: str, *, why: pl.Expr, left: str) -> Choice:
    """Draws from the samples that fit; `why` the others do not, and what the ones that are `left` over are told."""
    told = pool.select("sample_id", fits=fits, reason=pl.when(fits).then(pl.lit(left)).otherwise(why))
    fitting = told["fits"].arg_true().to_numpy()
    taken = fitting[draw(pool["sample_id"][fitting], salt)[:size]]
    is_left = np.ones(len(pool), dtype=bool)
    is_left[taken] = False
    return Choice(kept=pool["sample_id"][taken], drops=told.select("sample_id", "reason").filter(is_left))
