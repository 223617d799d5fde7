"""The engine `ray` on a local cluster of two workers: what they die of, and that no rollout is lost or made twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.cli import main
from pebr_data.engines import tasks
from pebr_data.engines.base import Engine, open_engine
from pebr_data.engines.ray import RayEngine
from pebr_data.errors import Interrupted, UnavailableError
from pebr_data.images import ImageStore
from pebr_data.models import resolve_model
from pebr_data.probe.run import ProbeResult, run_probe
from pebr_data.probe.spool import read_spool
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import Outcome, Rollout, RolloutKey
from tests import scripted_engine
from tests.probed_store import fill, fingerprint
from tests.scripted_engine import SCRIPT, completion
from tests.scripted_server import Fault, once, serving

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'pebr[ray]'")
pytestmark = [pytest.mark.alone, pytest.mark.ray, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).parents[2]
POLICY = fingerprint()
Script = Callable[..., None]


@pytest.fixture(scope="module")
def script_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("ray") / "script.json"
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=80 * 2**20,
        runtime_env={
            "worker_process_setup_hook": scripted_engine.install,
            "env_vars": {SCRIPT: str(path), "PYTHONPATH": str(ROOT)},
        },
    )
    yield path
    ray.shutdown()


@pytest.fixture
def script(script_file: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Says how the workers' engines behave; tasks are small."""
    monkeypatch.setattr(tasks, "TASK_ROLLOUTS", 32)

    def write(**behaviour: Any) -> None:
        script_file.write_text(json.dumps(behaviour))

    write()
    return write


@pytest.fixture
def store(tmp_path: Path) -> Path:
    fill(tmp_path / "store", {"train": 60})
    return tmp_path / "store"


def open_ray(**options: Any) -> RayEngine:
    engine = open_engine("ray", resolve_model("pebr-tiny"), **{"num_actors": 2, **options})
    assert isinstance(engine, RayEngine)
    return engine


def run(
    store: Path, engine: RayEngine, act: Callable[[int], object] = lambda done: None, num_rollouts: int = 8, **more: Any
) -> ProbeResult:
    with Catalog.open(store, read_only=True) as catalog:
        samples = catalog.samples("small")
    return run_probe(
        store, samples, POLICY, lambda: engine, num_rollouts=num_rollouts, progress=lambda done, *_: act(done), **more
    )


def rollouts(store: Path) -> list[Rollout]:
    with Catalog.open(store, read_only=True) as catalog:
        return list(catalog.rollouts(POLICY.probe_id))


def kill_one(engine: RayEngine) -> None:
    """Kills an actor that has loaded; while the first works, others may still be loading."""
    place = next(actor.place for actor in list(engine.actors) if actor.place is not None)
    os.kill(place.pid, signal.SIGKILL)


def test_what_a_killed_actor_had_in_hand_is_made_by_another(
    store: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pebr_data.probe.keep.SYNC_EVERY", 16)
    script(seconds=0.005)
    engine = open_ray()
    killed: list[int] = []

    def kill_once(done: int) -> None:
        if 100 < done < 400 and not killed:
            kill_one(engine)
            killed.append(done)

    result = run(store, engine, kill_once)
    assert killed
    assert (result.num_generated, result.num_failed, result.num_owed) == (480, 0, 0)
    kept = rollouts(store)
    with Catalog.open(store, read_only=True) as catalog:
        wanted = {(sample.sample_id, index) for sample in catalog.samples("small") for index in range(8)}
    assert sorted((one.key.sample_id, one.key.index) for one in kept) == sorted(wanted)
    # An uninterrupted run gives each key what its seed says.
    assert all(one.generation.completion == completion(one.key) for one in kept)


def test_a_sample_that_kills_every_actor_is_an_error_and_the_others_are_not(store: Path, script: Script) -> None:
    script(poison=["picture 17?"])
    result = run(store, open_ray())
    assert (result.num_failed, result.num_owed, result.outcomes[Outcome.ERROR]) == (8, 8, 8)
    assert "actors died on it" in result.errors[0]
    script()
    assert run(store, open_ray()).num_owed == 0
    assert all(one.generation.completion == completion(one.key) for one in rollouts(store))


def test_stop_finishes_the_tasks_in_hand_and_hands_out_no_more(store: Path, script: Script) -> None:
    script(seconds=0.002)
    stopping: list[int] = []
    with pytest.raises(Interrupted):
        run(store, open_ray(), stop=lambda: stopping.append(1) or len(stopping) > 6)
    kept = len(rollouts(store))
    assert 0 < kept < 480
    assert kept % 32 == 0
    assert run(store, open_ray()).num_kept == kept


def test_what_keeps_an_actor_from_loading_is_said_as_it_is(script: Script) -> None:
    script(unloadable=True)
    with pytest.raises(UnavailableError, match="there is no such model"):
        open_ray()


def test_an_actor_that_finds_no_place_is_no_wait_for_ever(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pebr_data.engines.ray.START_SECONDS", 0.5)
    with pytest.raises(UnavailableError, match="no actor was ready"):
        open_ray(num_gpus=1)


def test_a_server_may_be_asked_from_many_machines(store: Path, script: Script) -> None:
    with serving() as server:
        server.models = [{"id": "pebr-tiny", "root": resolve_model("pebr-tiny").location}]
        server.script = once(Fault(500, "boom"))
        engine = open_ray(engine="server", base_url=server.base_url)
        assert engine.name == "server"
        assert run(store, engine).num_owed == 0
        assert {body["seed"] for body in server.rollouts_asked} == {one.key.seed for one in rollouts(store)}
        server.script = lambda body: Fault(401, "no")
        with pytest.raises(UnavailableError, match="refuses a request without a key"):
            run(store, engine, num_rollouts=9)


CATALOG = """\
name: small
sources:
  - {{name: made, type: shapes, splits: {{train: 200}}}}
probe:
  template: question
  max_completion_length: 64
  rollouts: 8
  engine: ray
  engine_options: {{engine: server, base_url: "{url}", num_actors: 1, concurrency: 4}}
"""
COMMAND = "import sys; from pebr_data.cli import main; sys.exit(main(['probe', 'small.yaml', '--model', 'scripted']))"


@pytest.mark.parametrize(("number", "send", "code"), [(signal.SIGINT, os.killpg, 130), (signal.SIGTERM, os.kill, 143)])
def test_a_signal_ends_the_command_in_good_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, send: Callable[[int, int], None], code: int
) -> None:
    """Ctrl-C goes to the whole group, as in a terminal; the cluster is the command's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PEBR_STORE", raising=False)
    with serving() as server:
        # The task in hand, 512 rollouts, is not done before the signal was sent.
        sent = threading.Event()
        server.script = lambda body: None if len(server.rollouts_asked) < 100 else sent.wait() and None
        (tmp_path / "small.yaml").write_text(CATALOG.format(url=server.base_url), encoding="utf-8")
        assert main(["build", "small.yaml"]) == 0
        probe = subprocess.Popen(
            [sys.executable, "-c", COMMAND],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_ADDRESS": "local"},
            start_new_session=True,
        )
        try:
            while len(server.rollouts_asked) < 8:
                assert probe.poll() is None, probe.communicate()
                time.sleep(0.1)
            send(probe.pid, number)
            sent.set()
            out, err = probe.communicate(timeout=600)
        finally:
            sent.set()
            if probe.poll() is None:
                os.killpg(probe.pid, signal.SIGKILL)
        assert (probe.returncode, out) == (code, ""), err
        assert "Traceback" not in err
        assert "go on with: pebr-data probe small.yaml --model scripted" in err
        # It was finished, and kept.
        (spool,) = (tmp_path / "store" / "probes").glob("*/spool")
        assert sum(len(segment.rollouts) for segment in read_spool(spool)) == len(server.rollouts_asked) == 512


def test_real_actors_one_of_them_killed_give_the_texts_of_one_process(
    tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temperature 1.2: the draws come from the keys, not from who makes them."""
    monkeypatch.setattr("pebr_data.probe.keep.SYNC_EVERY", 16)
    script(real=True)
    model = resolve_model("pebr-tiny")
    policy = fingerprint("pebr-tiny", max_completion_length=120, max_pixels=802_816)

    def texts(engine: Engine, store: Path, act: Callable[..., None] | None = None) -> dict[RolloutKey, str]:
        with Catalog.open(store) as catalog:
            source = ShapesSource(name="shapes", seed=0, splits={"train": 24})
            catalog.ingest("shapes", "digest", source.candidates(), ImageStore(store / "images"))
            samples = catalog.samples("shapes")
        assert run_probe(store, samples, policy, lambda: engine, num_rollouts=8, progress=act).num_owed == 0
        with Catalog.open(store, read_only=True) as catalog:
            return {one.key: one.generation.completion for one in catalog.rollouts(policy.probe_id)}

    engine = open_ray()
    killed: list[int] = []

    def kill_once(done: int, *_: object) -> None:
        if done and not killed:
            killed.append(done)
            kill_one(engine)

    many = texts(engine, tmp_path / "many", kill_once)
    one = texts(open_engine("transformers", model), tmp_path / "one")
    assert killed
    assert many.keys() == one.keys()
    # Up to rounding, which may turn a draw: batches differ.
    assert sum(many[key] == one[key] for key in one) >= 0.97 * 24 * 8
