"""Golds swapped on purpose among samples whose rollouts are known: what a search for wrong golds should find."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pebr_data.difficulty.suspicion import VOTES

REAL = Path(__file__).parent / "fixtures" / "pebr_tiny_votes.jsonl"
"""The answers of eight rollouts of pebr-tiny to each of the 768 `train` samples of catalogs/shapes.yaml."""
NUM_ROLLOUTS = 8


@dataclass(frozen=True)
class Voted:
    """A sample, its true gold, and how many rollouts gave which answer (those without an answer are left out)."""

    answer_type: str
    skill: str
    gold: str
    tokens: float
    votes: Mapping[str, int]

    @property
    def is_solved(self) -> bool:
        """Whether five of eight rollouts give the true gold."""
        return self.votes.get(self.gold, 0) >= 5


def read_voted(path: Path = REAL) -> list[Voted]:
    return [Voted(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def swap(golds: Sequence[tuple[str, str]], share: float, seed: int) -> dict[int, str]:
    """Which samples get which wrong gold: that of another sample of the same kind, never their own.

    Args:
        golds: The kind of each sample (its answer type, say) and its gold.
        share: How many of them.
        seed: Of the draw.
    """
    rng = random.Random(seed)
    of_kind: dict[str, list[str]] = {}
    for kind, gold in golds:
        of_kind.setdefault(kind, []).append(gold)
    chosen = rng.sample(range(len(golds)), round(share * len(golds)))
    return {n: rng.choice([one for one in of_kind[golds[n][0]] if one != golds[n][1]]) for n in sorted(chosen)}


def as_votes(voted: Sequence[Voted], golds: Sequence[str]) -> pl.DataFrame:
    """What `suspect` reads, under these golds."""
    rows = []
    for one, gold in zip(voted, golds, strict=True):
        wrong = Counter({answer: count for answer, count in one.votes.items() if answer != gold})
        majority, count = min(wrong.items(), key=lambda it: (-it[1], it[0]), default=(None, 0))
        counts = (one.votes.get(gold, 0), count, wrong.total(), NUM_ROLLOUTS)
        rows.append(("shapes", one.answer_type, one.skill, gold, majority, *counts, one.tokens))
    return pl.DataFrame(rows, schema=VOTES, orient="row")
