"""kill -9 at twenty points, for each engine: what comes out at last is what a run without interruption gives."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.engines.base import open_engine
from pebr_data.images import ImageStore
from pebr_data.models import resolve_model, served_model
from pebr_data.probe.run import run_probe
from pebr_data.probe.spool import read_spool
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import Fingerprint, RolloutKey
from tests import scripted_engine
from tests.probed_store import fingerprint
from tests.scripted_server import serving

ROOT = Path(__file__).parents[2]
NUM_SAMPLES = 48
Texts = dict[RolloutKey, str]


def fill(store: Path) -> None:
    source = ShapesSource(name="shapes", seed=0, splits={"train": NUM_SAMPLES})
    with Catalog.open(store) as catalog:
        catalog.ingest("shapes", "digest", source.candidates(), ImageStore(store / "images"))


def texts_of(store: Path, policy: Fingerprint) -> Texts:
    with Catalog.open(store, read_only=True) as catalog:
        return {one.key: one.generation.completion for one in catalog.rollouts(policy.probe_id)}


def killed_at_every_point(directory: Path, policy: Fingerprint, engine: str, **order: Any) -> Texts:
    """The rollouts of a probe that was killed at every point and then left alone."""
    store, log = directory / "killed", directory / "log.txt"
    fill(store)
    path = directory / "order.json"
    fields = {"policy": policy.to_json(), "store": str(store), "log": str(log), "catalog": "shapes", "engine": engine}
    path.write_text(json.dumps({**fields, "options": {}, **order}))
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash_points", str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # What was acknowledged before a kill is there for the run after it.
    counts = [tuple(map(int, line.split())) for line in log.read_text().splitlines()]
    for before, after in itertools.pairwise(counts):
        assert after[1] >= before[1], (before, after)
    # Those that died in the recovery told nothing; the others began to generate.
    assert len({number for number, _ in counts}) >= 16
    # Nothing that was kept was made twice.
    spooled = [one.key for part in read_spool(store / "probes" / policy.probe_id / "spool") for one in part.rollouts]
    assert len(spooled) == len(set(spooled))
    return texts_of(store, policy)


def undisturbed(directory: Path, policy: Fingerprint, load: Callable[[], Any]) -> Texts:
    fill(directory / "whole")
    with Catalog.open(directory / "whole", read_only=True) as catalog:
        samples = catalog.samples("shapes")
    assert run_probe(directory / "whole", samples, policy, load, num_rollouts=8).num_owed == 0
    return texts_of(directory / "whole", policy)


@pytest.mark.slow
def test_server(tmp_path: Path) -> None:
    policy = fingerprint("scripted", engine="server", max_pixels=802_816)
    with serving() as server:
        options = {"base_url": server.base_url, "concurrency": 8}
        killed = killed_at_every_point(tmp_path, policy, "server", options=options)
        whole = undisturbed(tmp_path, policy, lambda: open_engine("server", served_model("scripted"), **options))
        # A request that was under way when its process died may have been answered to nobody.
        assert {body["seed"] for body in server.rollouts_asked} == {key.seed for key in whole}
    assert len(whole) == NUM_SAMPLES * 8
    assert killed == whole


@pytest.mark.slow
def test_transformers(tmp_path: Path) -> None:
    policy = fingerprint("pebr-tiny", max_completion_length=120, max_pixels=802_816)
    killed = killed_at_every_point(tmp_path, policy, "transformers", options={"batch_size": 40})
    whole = undisturbed(tmp_path, policy, lambda: open_engine("transformers", resolve_model("pebr-tiny")))
    assert killed.keys() == whole.keys()
    # Up to rounding, which may turn a draw: batches differ.
    assert sum(killed[key] == whole[key] for key in whole) >= 0.97 * len(whole) == 0.97 * NUM_SAMPLES * 8


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'pebr[ray]'")
    context = ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80 * 2**20)
    yield context.address_info["gcs_address"]
    ray.shutdown()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own, at its start
def test_ray(tmp_path: Path, cluster: str) -> None:
    policy = fingerprint(max_pixels=802_816)
    script = tmp_path / "script.json"
    script.write_text("{}")
    options = {"num_actors": 1, "address": cluster}
    killed = killed_at_every_point(tmp_path, policy, "ray", options=options, script=str(script))
    assert len(killed) == NUM_SAMPLES * 8
    assert all(text == scripted_engine.completion(key) for key, text in killed.items())
