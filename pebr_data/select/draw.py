"""The seeded draw: a place for every sample that does not depend on which others are there.

Each sample has a number that the salt scrambles, and the draw goes by what comes out. The number is the `sample_id`
itself, which is 64 bits of a hash; the scrambling is the finalizer of SplitMix64 (Steele, Lea & Flood 2014, "Fast
Splittable Pseudorandom Number Generators", with Stafford's constants), twice, between keys made from the salt. It is a
bijection in whole numbers: the same order on every machine and in every version, and no ties to break.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pebr_data.hashing import digest, hex_numbers

if TYPE_CHECKING:
    import polars as pl

_ID = re.compile(r"[0-9a-f]{16}")


def draw(sample_ids: pl.Series, salt: str) -> NDArray[np.intp]:
    """Where in `sample_ids` the first, the second, … sample of the draw is.

    Args:
        sample_ids: Strings, each once, in any order.
        salt: Decides the order.
    """
    first, second = (np.uint64(int(digest(["draw", salt])[start : start + 16], 16)) for start in (0, 16))
    return np.argsort(_scrambled(_scrambled(_numbers(sample_ids) ^ first) + second))


def _numbers(sample_ids: pl.Series) -> NDArray[np.uint64]:
    """The ids as numbers; one that is not 16 hex digits as the first 64 bits of its digest."""
    numbers = hex_numbers(sample_ids)
    if numbers is not None:
        return numbers
    hexadecimal = (one if _ID.fullmatch(one) else digest(one)[:16] for one in sample_ids)
    return np.array([int(one, 16) for one in hexadecimal], dtype=np.uint64)


def _scrambled(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of SplitMix64, modulo 2**64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
