"""Constraints: in which order a policy takes what fits, so that kinds get their least and their share first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

Places = NDArray[np.intp]


def in_turns(kinds: pl.Series, best: Places) -> Places:
    """The places in turns: the best of every kind, then the second best of every kind, and so on.

    Args:
        kinds: The kind at each place.
        best: The places, best first.
    """
    return best[np.argsort(_ranks(kinds[best]), kind="stable")]


def least_first(kinds: pl.DataFrame, best: Places, least: Mapping[str, int]) -> tuple[Places, int]:
    """The places with as many as each kind needs in front, in turns of all kinds; and how many those are.

    Args:
        kinds: The kinds at each place, a column for each name in `least`.
        best: The places, best first.
        least: How many of each kind are needed where there are as many, by column. A sample counts for every column.
    """
    rank = np.full(len(best), np.iinfo(np.int64).max)
    for name, most in least.items():
        its = _ranks(kinds[name][best])
        rank = np.minimum(rank, np.where(its < most, its, rank))
    order = np.argsort(rank, kind="stable")
    return best[order], int((rank < np.iinfo(np.int64).max).sum())


def _ranks(kinds: pl.Series) -> NDArray[np.int64]:
    """How many of its kind come before each."""
    return kinds.alias("kind").to_frame().select(pl.int_range(pl.len()).over("kind")).to_series().to_numpy()
