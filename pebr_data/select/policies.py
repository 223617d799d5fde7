"""Selection policies: which samples of a probed pool a mixture takes. Pure functions, no I/O.

Adding a policy is a function here and a line in `POLICIES`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pebr_data.hashing import digest
from pebr_data.types import Band


@dataclass(frozen=True, slots=True)
class Pooled:
    """One sample a mixture could take.

    Attributes:
        sample_id: The sample.
        band: The band its rollouts put it in.
        gap: Why it is in none, when its band is `unprobed`: `unprobed`, `incomplete`, `ungradable`, `error`.
    """

    sample_id: str
    band: Band
    gap: str = "unprobed"


@dataclass(frozen=True, slots=True)
class Choice:
    """The samples taken, in training order, and for every other sample of the pool the reason it was not."""

    kept: tuple[str, ...]
    drops: Mapping[str, str]


class Policy(Protocol):
    """Takes samples from a pool."""

    def __call__(self, pool: Sequence[Pooled], *, band: Band | None, size: int | None, salt: str) -> Choice:
        """Choose from `pool`.

        Args:
            pool: Every sample of the split, probed or not.
            band: The band to take from; None for any.
            size: How many to take at most; None for all.
            salt: Decides the order, and with it which ones are taken when there are more than `size`.
        """


def choose_pebr(pool: Sequence[Pooled], *, band: Band | None, size: int | None, salt: str) -> Choice:
    """The paper's rule: every sample whose complete group falls into `band` (PeBR-R1, arXiv 2509.13031).

    Easy ones teach perception, medium ones reasoning, hard ones go into the warm-up. Drop reasons: the gap of an
    unprobed sample, `band-easy`, `band-medium`, `band-hard`, `over-limit`.
    """
    drops = {sample.sample_id: _why_not(sample) for sample in pool if sample.band != band}
    eligible = [sample.sample_id for sample in pool if sample.band == band]
    kept, left = _draw(eligible, size, salt)
    return Choice(kept=kept, drops={**drops, **dict.fromkeys(left, "over-limit")})


def choose_random(pool: Sequence[Pooled], *, band: Band | None, size: int | None, salt: str) -> Choice:
    """The control: a uniform draw from all completely probed samples, whatever their band.

    It draws from what `pebr` could have drawn from, so that the two differ in the choice alone. Drop reasons:
    the gap of an unprobed sample, `not-drawn`.
    """
    drops = {sample.sample_id: sample.gap for sample in pool if sample.band == Band.UNPROBED}
    eligible = [sample.sample_id for sample in pool if sample.band != Band.UNPROBED]
    kept, left = _draw(eligible, size, salt)
    return Choice(kept=kept, drops={**drops, **dict.fromkeys(left, "not-drawn")})


def choose_all(pool: Sequence[Pooled], *, band: Band | None, size: int | None, salt: str) -> Choice:
    """The whole split, probed or not: demonstrations, say. The only drop reason is `over-limit`."""
    kept, left = _draw([sample.sample_id for sample in pool], size, salt)
    return Choice(kept=kept, drops=dict.fromkeys(left, "over-limit"))


POLICIES: dict[str, Policy] = {"pebr": choose_pebr, "random": choose_random, "all": choose_all}


def _why_not(sample: Pooled) -> str:
    return sample.gap if sample.band == Band.UNPROBED else f"band-{sample.band}"


def _draw(sample_ids: Sequence[str], size: int | None, salt: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Order by a salted hash and cut: a sample's place does not depend on which others are there."""
    ordered = sorted(sample_ids, key=lambda sample_id: digest([salt, sample_id]))
    cut = len(ordered) if size is None else size
    return tuple(ordered[:cut]), tuple(ordered[cut:])
