"""Counts: k correct of n rollouts for many samples, kept as their distinct pairs.

A million samples probed with eight rollouts have 45 distinct pairs at most. Everything here is a function of the pair,
so it is computed once a pair and handed back per sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """The distinct (stratum, k, n) of many samples.

    Attributes:
        num_correct: k of each distinct triple, [cells].
        num_rollouts: n of each, [cells].
        stratum: Stratum of each, [cells]; all 0 where none was given.
        num_samples: Samples that have it, [cells].
        index: The triple of each sample, in the shape the samples came in.
    """

    num_correct: IntArray
    num_rollouts: IntArray
    stratum: IntArray
    num_samples: IntArray
    index: IntArray

    @classmethod
    def of(cls, num_correct: npt.ArrayLike, num_rollouts: npt.ArrayLike, stratum: npt.ArrayLike = 0) -> Counts:
        """Counts of samples; the three broadcast against each other, whole numbers with 0 <= k <= n, stratum >= 0.

        Raises:
            ValueError: A count cannot be.
        """
        k, n, s = np.broadcast_arrays(_whole(num_correct), _whole(num_rollouts), _whole(stratum))
        if k.size == 0:
            empty = np.zeros(0, dtype=np.int64)
            return cls(empty, empty, empty, empty, np.zeros(k.shape, dtype=np.int64))
        if np.any(k < 0) or np.any(k > n) or np.any(s < 0):
            wrong = np.flatnonzero(((k < 0) | (k > n) | (s < 0)).ravel())[0]
            raise ValueError(f"{k.flat[wrong]} correct of {n.flat[wrong]} rollouts, stratum {s.flat[wrong]}, cannot be")
        base = int(n.max()) + 1
        keys, num, index = _distinct((s * base + n) * base + k)
        return cls(keys % base, keys // base % base, keys // base**2, num, index)


def _distinct(keys: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """The distinct keys, how often each occurs, and which of them each key is. By a table where it is small."""
    if keys.max() > 4 * keys.size + 2**16:
        distinct, index, num = np.unique(keys, return_inverse=True, return_counts=True)
        return distinct, num.astype(np.int64), index.reshape(keys.shape)
    table = np.bincount(keys.ravel())
    distinct = np.flatnonzero(table)
    table_index = np.zeros(len(table), dtype=np.int64)
    table_index[distinct] = np.arange(len(distinct))
    return distinct, table[distinct], table_index[keys]


def _whole(values: npt.ArrayLike) -> IntArray:
    array = np.asarray(values)
    if array.dtype.kind not in "iub" and array.size:
        raise ValueError(f"counts are whole numbers, not {array.dtype}")
    return array.astype(np.int64)
