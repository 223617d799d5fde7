"""The seeded draw: a place for every sample that does not depend on which others are there."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pebr_data.hashing import canonical, json_texts

if TYPE_CHECKING:
    import polars as pl


def draw(sample_ids: pl.Series, salt: str) -> NDArray[np.intp]:
    """Where in `sample_ids` the first, the second, … sample of the draw is: they go by `digest([salt, sample_id])`.

    Args:
        sample_ids: Strings, each once, in any order.
        salt: Decides the order.
    """
    import polars as pl

    # What `digest` hashes, with the part that all ids share hashed once.
    begun = hashlib.sha256(f"[{canonical(salt)},".encode()).copy
    digests = bytearray()
    for ending in (json_texts(sample_ids) + "]").cast(pl.Binary).to_list():
        one = begun()
        one.update(ending)
        digests += one.digest()
    return _order(np.frombuffer(digests, dtype=">u8").astype(np.uint64).reshape(-1, 4))


def _order(digests: NDArray[np.uint64]) -> NDArray[np.intp]:
    """The rows (four words each, most significant first) in ascending order of the numbers they are."""
    first = digests[:, 0]
    order = np.argsort(first)
    if (first[order[1:]] == first[order[:-1]]).any():
        return np.lexsort(digests.T[::-1])
    return order
