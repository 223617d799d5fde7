"""The engine `ray` around real vLLM, with pebr-tiny on a local cluster; `make test-vllm` runs it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.engines.base import Engine, open_engine
from pebr_data.engines.ray import RayEngine
from pebr_data.images import ImageStore
from pebr_data.models import resolve_model
from pebr_data.probe.keep import Progress
from pebr_data.probe.run import run_probe
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import RolloutKey
from tests.probed_store import fingerprint
from tests.processes import descendants, wait_for_end

pytest.importorskip("vllm", reason="vLLM is not installed in this environment")
ray = pytest.importorskip("ray", reason="needs Ray: pip install 'pebr[ray]'")
pytestmark = [pytest.mark.vllm, pytest.mark.ray, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

NUM_SAMPLES, ROLLOUTS = 48, 8


@pytest.fixture
def cluster() -> Iterator[None]:
    variables = {"VLLM_CPU_KVCACHE_SPACE": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=80 * 2**20,
        runtime_env={"env_vars": variables},
    )
    yield
    ray.shutdown()


def test_actors_of_vllm_one_of_them_killed_give_the_greedy_texts_of_transformers(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pebr_data.engines.tasks.TASK_ROLLOUTS", 32)
    monkeypatch.setattr("pebr_data.probe.keep.SYNC_EVERY", 16)
    model = resolve_model("pebr-tiny")
    options = {"dtype": "float32", "enforce_eager": True, "max_num_seqs": 32, "max_images": 1}
    engine = open_engine("ray", model, max_pixels=802_816, engine="vllm", num_actors=2, **options)
    assert isinstance(engine, RayEngine)
    assert engine.name == "vllm"
    left: set[int] = set()

    def kill_once(done: int, *_: object) -> None:
        if done and not left:
            place = next(actor.place for actor in list(engine.actors) if actor.place is not None)
            left.update(descendants(place.pid))
            os.kill(place.pid, signal.SIGKILL)

    theirs = greedy_texts(engine, tmp_path / "theirs", kill_once)
    assert left, "vLLM had no process of its own"
    ours = greedy_texts(open_engine("transformers", model, dtype="float32"), tmp_path / "ours", lambda *_: None)
    assert theirs.keys() == ours.keys()
    assert sum(theirs[key] == ours[key] for key in ours) >= 0.99 * NUM_SAMPLES * ROLLOUTS
    # Neither memory nor a GPU stays taken by what the dead actor had started.
    wait_for_end(left)


def greedy_texts(engine: Engine, store: Path, progress: Progress) -> dict[RolloutKey, str]:
    policy = fingerprint("pebr-tiny", engine=engine.name, temperature=0.0, max_completion_length=120)
    with Catalog.open(store) as catalog:
        source = ShapesSource(name="shapes", seed=0, splits={"train": NUM_SAMPLES})
        catalog.ingest("shapes", "digest", source.candidates(), ImageStore(store / "images"))
        samples = catalog.samples("shapes")
    done = run_probe(store, samples, policy, lambda: engine, num_rollouts=ROLLOUTS, progress=progress)
    assert (done.num_owed, done.num_failed) == (0, 0), done.errors
    with Catalog.open(store, read_only=True) as catalog:
        return {
            RolloutKey("greedy", one.key.sample_id, one.key.index): one.generation.completion
            for one in catalog.rollouts(policy.probe_id)
        }
