"""kill -9 at twenty points of a probe, for each engine in one process: it ends as one without interruption does."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.images import ImageStore
from pebr_data.probe.spool import read_spool
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import Fingerprint, RolloutKey
from tests.probed_store import fingerprint
from tests.scripted_server import serving

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.alone, pytest.mark.slow]

NUM_SAMPLES = 40
ONE_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1"}
"""vLLM's engine in the process that forks, not beside it."""

Texts = dict[RolloutKey, str]


def fill(store: Path) -> None:
    source = ShapesSource(name="shapes", seed=0, splits={"train": NUM_SAMPLES})
    with Catalog.open(store) as catalog:
        catalog.ingest("shapes", "digest", source.candidates(), ImageStore(store / "images"))


def texts_of(store: Path, policy: Fingerprint) -> Texts:
    with Catalog.open(store, read_only=True) as catalog:
        return {one.key: one.generation.completion for one in catalog.rollouts(policy.probe_id)}


def killed_and_whole(directory: Path, policy: Fingerprint, engine: str, **order: Any) -> tuple[Texts, Texts]:
    """The rollouts of a probe that was killed at every point and then left alone, and of one that never was."""
    killed, whole, log = directory / "killed", directory / "whole", directory / "log.txt"
    fill(killed)
    fill(whole)
    path = directory / "order.json"
    places = {"killed": str(killed), "whole": str(whole), "log": str(log), "catalog": "shapes"}
    path.write_text(json.dumps({"policy": policy.to_json(), "engine": engine, "options": {}, **places, **order}))
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash_points", str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **ONE_PROCESS},
        capture_output=True,
        text=True,
        timeout=880,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # What was acknowledged before a kill is there for the run after it.
    counts = [tuple(map(int, line.split())) for line in log.read_text().splitlines()]
    for before, after in itertools.pairwise(counts):
        assert after[1] >= before[1], (before, after)
    # Those that died in the recovery told nothing; the others began to generate.
    assert len({number for number, _ in counts}) >= 16
    # Nothing that was kept was made twice.
    spooled = [one.key for part in read_spool(killed / "probes" / policy.probe_id / "spool") for one in part.rollouts]
    assert len(spooled) == len(set(spooled))
    first, second = texts_of(killed, policy), texts_of(whole, policy)
    assert first.keys() == second.keys()
    assert len(first) == NUM_SAMPLES * 8
    return first, second


def alike(killed: Texts, whole: Texts) -> float:
    """The share of equal texts: all, up to rounding, which may turn a draw where batches differ."""
    return sum(killed[key] == whole[key] for key in whole) / len(whole)


def test_server(tmp_path: Path) -> None:
    policy = fingerprint("scripted", engine="server", max_pixels=802_816)
    with serving() as server:
        options = {"base_url": server.base_url, "concurrency": 8}
        killed, whole = killed_and_whole(tmp_path, policy, "server", options=options)
        assert {body["seed"] for body in server.rollouts_asked} == {key.seed for key in whole}
    assert killed == whole


@pytest.mark.ray
def test_ray(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed in this environment")
    policy = fingerprint("scripted", engine="server", max_pixels=802_816)
    cluster = ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        with serving() as server:
            options = {
                "engine": "server", "base_url": server.base_url, "concurrency": 8, "num_actors": 2,
                "address": cluster.address_info["gcs_address"],
            }  # fmt: skip
            killed, whole = killed_and_whole(tmp_path, policy, "ray", options=options)
            assert {body["seed"] for body in server.rollouts_asked} == {key.seed for key in whole}
    finally:
        ray.shutdown()
    assert killed == whole


def test_transformers(tmp_path: Path) -> None:
    policy = fingerprint("pebr-tiny", max_completion_length=120, max_pixels=802_816)
    assert alike(*killed_and_whole(tmp_path, policy, "transformers", options={"batch_size": 40})) >= 0.97


@pytest.mark.vllm
def test_vllm(tmp_path: Path) -> None:
    pytest.importorskip("vllm", reason="vLLM is not installed in this environment")
    policy = fingerprint("pebr-tiny", engine="vllm", max_completion_length=120, max_pixels=802_816)
    options = {"dtype": "float32", "enforce_eager": True, "max_num_seqs": 40, "max_images": 1}
    assert alike(*killed_and_whole(tmp_path, policy, "vllm", options=options)) >= 0.97
