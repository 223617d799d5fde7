"""The engine `server` against a real vLLM server on this machine; `make test-vllm` runs it."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from pebr_data.cli import main
from pebr_data.engine_options import ServerOptions
from pebr_data.engines.base import Request, Sampling
from pebr_data.engines.server import ServerEngine
from pebr_data.engines.transformers import TransformersEngine
from pebr_data.errors import UnavailableError
from pebr_data.models import resolve_model, served_model
from pebr_data.prompts import messages
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import RolloutKey

pytest.importorskip("vllm", reason="vLLM is not installed in this environment")

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

KEY = "secret-of-this-test"
NUM_SAMPLES = 64
START_SECONDS = 600
MARKERS = 3
"""Tokens around the image tokens of an Idefics3, which a server's count cannot tell from them."""

CATALOG = """\
name: small
sources:
  - {name: made, type: shapes, splits: {train: 12}}
probe: {template: question, max_completion_length: 120, rollouts: 4, engine: server}
"""


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    arguments = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)),
        *("--model", resolve_model("pebr-tiny").location, "--dtype", "float32", "--enforce-eager"),
        # See `pebr_data.engines.vllm`: seeds and split prompts do not go together on the CPU.
        *("--no-enable-chunked-prefill", "--max-num-batched-tokens", "4096", "--api-key", KEY),
        *("--limit-mm-per-prompt", '{"image": 2, "video": 0}'),
    ]
    with log.open("wb") as out:
        server = subprocess.Popen(
            arguments, stdout=out, stderr=out, env={**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1"}, start_new_session=True
        )
        try:
            address = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + START_SECONDS
            while True:
                assert server.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < deadline, log.read_text()[-3000:]
                try:
                    if httpx.get(f"{address}/health", timeout=5).status_code == 200:
                        break
                except httpx.HTTPError:
                    pass
                time.sleep(1)
            yield f"{address}/v1"
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def requests(num_samples: int, num_keys: int = 1) -> list[Request]:
    source = ShapesSource(name="shapes", seed=0, splits={"test": num_samples})
    return [
        Request(
            messages("question", sample.question, 1),
            (Image.open(io.BytesIO(sample.images[0])).convert("RGB"),),
            tuple(RolloutKey("p", str(number), index) for index in range(num_keys)),
        )
        for number, sample in enumerate(source.candidates())
    ]


def test_greedy_rollouts_are_those_of_transformers(base_url: str) -> None:
    model, sampling = resolve_model("pebr-tiny"), Sampling(0.0, 1.0, 120)
    asked = requests(NUM_SAMPLES)
    theirs = dict(
        ServerEngine(model, ServerOptions(base_url=base_url, api_key_env="TEST_KEY")).generate(asked, sampling)
    )
    ours = dict(TransformersEngine(model, dtype="float32").generate(asked, sampling))
    assert theirs.keys() == ours.keys()
    assert sum(theirs[key].completion == ours[key].completion for key in ours) >= 0.99 * NUM_SAMPLES
    for key in ours:
        assert (theirs[key].num_tokens, theirs[key].num_prompt_tokens) == (
            ours[key].num_tokens,
            ours[key].num_prompt_tokens,
        ) or theirs[key].completion != ours[key].completion
        assert theirs[key].num_image_tokens == ours[key].num_image_tokens + MARKERS


def test_seeds_are_honoured_and_n_gives_as_many(base_url: str) -> None:
    sampling = Sampling(1.2, 0.99, 120)
    model, asked = resolve_model("pebr-tiny"), requests(4, num_keys=8)
    seeded = ServerEngine(model, ServerOptions(base_url=base_url, api_key_env="TEST_KEY"))
    first, second = (dict(seeded.generate(asked, sampling)) for _ in range(2))
    assert sum(first[key].completion == second[key].completion for key in first) >= 30
    unseeded = ServerEngine(model, ServerOptions(base_url=base_url, api_key_env="TEST_KEY", seeds=False))
    third = dict(unseeded.generate(asked, sampling))
    assert third.keys() == first.keys()
    assert all(generation.error is None for generation in third.values())
    assert len({generation.completion for generation in third.values()}) > 8


def test_a_prompt_beyond_the_context_is_an_error_of_its_own(base_url: str) -> None:
    good, long = requests(2)
    long = Request(messages("question", "how many red circles are there ? " * 100, 1), long.images, long.keys)
    engine = ServerEngine(resolve_model("pebr-tiny"), ServerOptions(base_url=base_url, api_key_env="TEST_KEY"))
    done = dict(engine.generate([long, good], Sampling(0.0, 1.0, 120)))
    assert done[good.keys[0]].finish_reason == "stop"
    assert (done[long.keys[0]].finish_reason, done[long.keys[0]].completion) == ("error", "")


def test_a_model_that_is_not_served_is_not_asked(base_url: str) -> None:
    engine = ServerEngine(served_model("org/other"), ServerOptions(base_url=base_url, api_key_env="TEST_KEY"))
    with pytest.raises(UnavailableError, match="does not serve org/other"):
        list(engine.generate(requests(1), Sampling(0.0, 1.0, 8)))


def test_the_command_probes_a_server_and_never_shows_the_key(
    base_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PEBR_STORE", raising=False)
    (tmp_path / "small.yaml").write_text(CATALOG, encoding="utf-8")
    assert main(["build", "small.yaml"]) == 0
    capsys.readouterr()
    options = ["--engine-option", f"base_url={base_url}", "--engine-option", "api_key_env=TEST_KEY"]
    assert main(["probe", "small.yaml", "--model", "pebr-tiny", *options, "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert (result["num_generated"], result["num_owed"], result["fingerprint"]["engine"]) == (48, 0, "server")
    assert result["outcomes"].get("correct", 0) > 0

    monkeypatch.setenv("TEST_KEY", "wrong-" + KEY)
    assert main(["probe", "small.yaml", "--model", "pebr-tiny", *options, "--limit", "1", "--split", "train"]) == 0
    (tmp_path / "small.yaml").write_text(CATALOG.replace("rollouts: 4", "rollouts: 5"), encoding="utf-8")
    assert main(["probe", "small.yaml", "--model", "pebr-tiny", *options]) == 69
    refused = "".join(capsys.readouterr())
    assert "TEST_KEY" in refused
    assert KEY not in out + err + refused
