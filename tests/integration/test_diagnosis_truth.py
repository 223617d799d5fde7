"""Perception-bound and reasoning-bound are told apart: a policy of known eyes and reasoning, through the real probe."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from pebr_data.catalog.ingest import build
from pebr_data.catalog.store import Catalog
from pebr_data.probe.run import run_probe
from pebr_data.select.diagnoses import read_diagnoses
from pebr_data.types import Condition
from tests.probed_store import fingerprint, make_config
from tests.simulated_policy import SimulatedPolicy, truth_of

WORLD = """\
name: small
sources:
  - {name: shapes, type: shapes, splits: {train: 160}}
"""


def test_what_bounds_the_policy_is_told_from_its_rollouts(tmp_path: Path) -> None:
    config, store = make_config(tmp_path, WORLD), tmp_path / "store"
    build(config, store)
    with Catalog.open(store, read_only=True) as catalog:
        samples = catalog.samples("small", "train")
    truths = {sample.sample_id: truth_of(sample) for sample in samples}
    policy = fingerprint("simulated")
    for condition in Condition:
        engine = SimulatedPolicy(samples, truths)
        run_probe(store, samples, replace(policy, condition=condition), lambda made=engine: made)

    with Catalog.open(store, read_only=True) as catalog:
        (probe,) = [one for one in catalog.known_probes("small") if one.fingerprint.condition is Condition.IMAGE]
        found = read_diagnoses(catalog, probe, "small", 8)

    told = dict(found.filter(found["diagnosis"].is_not_null()).select("sample_id", "diagnosis").iter_rows())
    matrix = Counter((truths[sample_id].bound, diagnosis) for sample_id, diagnosis in told.items())
    bounds = ("perception-bound", "reasoning-bound")
    right = sum(matrix[one, one] for one in bounds)
    confused = matrix[bounds] + matrix[bounds[::-1]]
    assert right >= 30
    assert confused <= 0.05 * (right + confused)
    assert set(told.values()) <= {*bounds, "hard", "image-not-needed", "guessable", "suspected-gold"}
