"""A store of samples from two sources whose pass rates are known; their rollouts are drawn from them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from pebr_data.catalog.store import Catalog
from pebr_data.images import ImageStore
from pebr_data.types import Outcome
from tests.probed_store import YAML, candidate, probe

SIGNAL = (
    YAML.replace("rollouts: 4", "rollouts: 8")
    + "  best: {policy: signal, limit: 60, control: true}\n"
    + "  steady: {policy: signal, threshold: 0.65, num_generations: 4}\n"
    + "  counting: {policy: signal, limit: 40, where: {source: [other]}, caps: {skill: 12}}\n"
)
NUM_SAMPLES = 240


def pass_rates() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The truth: a U shape, a tenth never solved."""
    rng = np.random.default_rng(0)
    return np.where(rng.random(NUM_SAMPLES) < 0.1, 0.0, rng.beta(0.7, 0.7, NUM_SAMPLES))


def draw_store(store: Path) -> dict[str, float]:
    """Make it, with eight rollouts of each sample; gives the pass rates by sample id. A third comes from `other`."""
    made = [candidate(number) for number in range(NUM_SAMPLES)]
    made = [dataclasses.replace(one, source=("made", "other")[n % 3 == 0]) for n, one in enumerate(made)]
    # One image for all: what they show does not matter here, and storing one is sooner done.
    made = [dataclasses.replace(one, images=made[0].images) for one in made]
    with Catalog.open(store) as catalog:
        catalog.ingest("small", "digest", iter(made), ImageStore(store / "images"))
        sample_ids = [sample.sample_id for sample in catalog.samples("small")]
    truth = dict(zip(sample_ids, pass_rates().tolist(), strict=True))
    rng = np.random.default_rng(1)
    groups = {
        one: [Outcome.CORRECT if right else Outcome.WRONG for right in rng.random(8) < p] for one, p in truth.items()
    }
    probe(store, groups)
    return truth
