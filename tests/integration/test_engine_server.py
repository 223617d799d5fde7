"""The engine `server` before a server that misbehaves: every fault ends as a recorded outcome or a clean stop."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.cli import main
from pebr_data.engine_options import ServerOptions
from pebr_data.engines import breaker as breaker_module
from pebr_data.engines import endpoint as endpoint_module
from pebr_data.engines import server as server_module
from pebr_data.engines.base import Sampling, open_engine
from pebr_data.errors import Interrupted, PebrError, UnavailableError
from pebr_data.models import UNDECLARED, resolve_model, served_model
from pebr_data.probe.run import ProbeResult, run_probe
from pebr_data.types import Fingerprint, Outcome, RolloutKey, Sample
from tests.probed_store import fill, fingerprint
from tests.scripted_server import (
    COMPLETION_TOKENS,
    IMAGE_TOKENS,
    TEXT_TOKENS,
    Fault,
    Server,
    always,
    once,
    serving,
    slowly,
    unserved,
)

KEY = "sk-very-secret-0123"
POLICY = fingerprint(engine="server")
NUM_ROLLOUTS = 4
SAMPLING = Sampling(1.2, 0.99, 64)

FAULTS = {
    "429": Fault(429, "slow down", (("Retry-After", "0"),)),
    "429 until": Fault(429, "slow down", (("Retry-After", "Wed, 01 Jan 2020 00:00:00 GMT"),)),
    "500": Fault(500, "boom"),
    "503": Fault(503, "starting"),
    "hang": Fault(act="hang"),
    "half a response": Fault(body='{"choices": [{"message": {"content": "### The final answer is: 1"}}]}', act="half"),
    "wrong JSON": Fault(body="<html>"),
    "another JSON": Fault(body='["choices"]'),
    "no text": Fault(body='{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}'),
    "no reason": Fault(body='{"choices": [{"message": {"content": "1"}, "finish_reason": null}]}'),
    "empty choices": Fault(body='{"choices": []}'),
    "disconnect": Fault(act="disconnect"),
    "too large": Fault(400, '{"error": {"message": "the image makes 9000 tokens, the context holds 4096"}}'),
}
WAITED_FOR = ("429", "429 until", "503")
HASTE = {"timeout_seconds": 0.5, "attempts": 8}
"""For what hangs; an answer that a slow machine delays is asked for again."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(breaker_module, "FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(endpoint_module, "FIRST_RETRY_SECONDS", 0.01)
    with serving() as one:
        yield one


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("template") / "store"
    fill(store, {"train": 6})
    return store


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "store"))


def samples_of(store: Path) -> list[Sample]:
    with Catalog.open(store, read_only=True) as catalog:
        return catalog.samples("small", "train")


def run(store: Path, server: Server, stop: Any = None, **options: Any) -> ProbeResult:
    given = {"base_url": server.base_url, "timeout_seconds": 120.0, "attempts": 2, "patience_seconds": 120.0, **options}
    engine = open_engine("server", served_model("scripted"), **given)
    return run_probe(store, samples_of(store), POLICY, lambda: engine, num_rollouts=NUM_ROLLOUTS, stop=stop)


def kept(store: Path, policy: Fingerprint = POLICY) -> dict[tuple[str, int], Outcome]:
    with Catalog.open(store, read_only=True) as catalog:
        if policy.probe_id not in {probe.probe_id for probe in catalog.probes()}:
            return {}
        return {(one.key.sample_id, one.key.index): one.grade.outcome for one in catalog.rollouts(policy.probe_id)}


def true_outcomes(store: Path) -> dict[tuple[str, int], Outcome]:
    """What a server without faults gives: its answers come from the seeds."""
    return {
        (sample.sample_id, index): Outcome.CORRECT
        if str(RolloutKey(POLICY.probe_id, sample.sample_id, index).seed % 5) == sample.answer
        else Outcome.WRONG
        for sample in samples_of(store)
        for index in range(NUM_ROLLOUTS)
    }


def test_every_rollout_is_asked_with_its_seed_and_kept_with_its_counts(store: Path, server: Server) -> None:
    assert run(store, server).num_owed == 0
    assert kept(store) == true_outcomes(store)
    with Catalog.open(store, read_only=True) as catalog:
        rollouts = catalog.rollouts(POLICY.probe_id)
    assert sorted(body["seed"] for body in server.rollouts_asked) == sorted(one.key.seed for one in rollouts)
    for one in rollouts:
        counts = one.generation.num_tokens, one.generation.num_prompt_tokens, one.generation.num_image_tokens
        assert counts == (COMPLETION_TOKENS, TEXT_TOKENS + IMAGE_TOKENS, IMAGE_TOKENS)
    body = server.rollouts_asked[0]
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["model"]) == (1.2, 0.99, 64, "scripted")
    image, text = body["messages"][0]["content"]
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert text["type"] == "text"
    # All images are of one size: text alone was counted once.
    assert len(server.asked) - len(server.rollouts_asked) == 1
    assert server.most_busy <= ServerOptions(base_url=server.base_url).concurrency


@pytest.mark.parametrize("name", WAITED_FOR)
def test_a_server_that_refuses_for_a_while_changes_no_outcome(store: Path, server: Server, name: str) -> None:
    server.script = once(FAULTS[name])
    assert run(store, server).num_owed == 0
    assert kept(store) == true_outcomes(store)


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in WAITED_FOR])
def test_a_fault_costs_nothing_that_meets_it_once_and_is_an_error_of_what_always_does(
    store: Path, server: Server, name: str
) -> None:
    bad = samples_of(store)[2]
    passing, lasting = once(FAULTS[name]), always(FAULTS[name], bad.question)
    server.script = lambda body: lasting(body) or (None if name == "too large" else passing(body))
    result = run(store, server, **(HASTE if name == "hang" else {}))
    assert (result.num_failed, result.num_owed, result.outcomes[Outcome.ERROR]) == (4, 4, 4)
    expected = true_outcomes(store)
    assert {key: value for key, value in kept(store).items() if key[0] != bad.sample_id} == {
        key: value for key, value in expected.items() if key[0] != bad.sample_id
    }

    server.script = lambda body: None
    assert run(store, server).num_owed == 0
    assert kept(store) == expected


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_never_passes_is_a_clean_stop(store: Path, server: Server, name: str) -> None:
    server.script = always(FAULTS[name])
    with pytest.raises(UnavailableError):
        run(store, server, patience_seconds=0.2, **({**HASTE, "attempts": 1} if name == "hang" else {"attempts": 1}))
    assert set(kept(store).values()) <= {Outcome.ERROR}


def test_retry_after_is_honoured(store: Path, server: Server) -> None:
    refused: list[float] = []
    asked: list[float] = []

    def script(body: dict[str, Any]) -> Fault | None:
        if not refused:
            refused.append(time.monotonic())
            return Fault(429, "slow down", (("Retry-After", "1"),))
        asked.append(time.monotonic())
        return None

    server.script = script
    assert run(store, server, concurrency=1).num_owed == 0
    assert min(asked) >= refused[0] + 0.95


def test_a_server_that_asks_for_more_time_than_there_is_ends_it_at_once(store: Path, server: Server) -> None:
    server.script = always(Fault(429, "quota of the day", (("Retry-After", "3600"),)))
    started = time.monotonic()
    with pytest.raises(UnavailableError, match="quota of the day"):
        run(store, server)
    assert time.monotonic() - started < 120


def test_a_server_that_goes_down_is_waited_for(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker_module, "FIRST_PAUSE_SECONDS", 0.02)
    refused, refuse = threading.Event(), breaker_module.Breaker.refused
    monkeypatch.setattr(
        breaker_module.Breaker, "refused", lambda *given, **more: (refuse(*given, **more), refused.set())
    )
    results: list[ProbeResult] = []
    with unserved() as port:
        where = f"http://127.0.0.1:{port}/v1"
        engine = open_engine("server", served_model("scripted"), base_url=where, patience_seconds=240.0)

        def probe() -> None:
            results.append(run_probe(store, samples_of(store), POLICY, lambda: engine, num_rollouts=NUM_ROLLOUTS))

        thread = threading.Thread(target=probe)
        thread.start()
        assert refused.wait(120)
        with serving(port):
            thread.join()
    assert [result.num_owed for result in results] == [0]
    assert kept(store) == true_outcomes(store)


def test_a_server_that_is_not_there_is_unavailable(store: Path, server: Server) -> None:
    with unserved() as port, pytest.raises(UnavailableError, match="no connection"):
        run(store, server, base_url=f"http://127.0.0.1:{port}/v1", patience_seconds=0.2)
    assert kept(store) == {}


def test_stop_finishes_what_is_under_way(store: Path, server: Server) -> None:
    # Slower than the engine looks at `stop`: it is stopped before the first images are counted.
    server.script = slowly(0.3)
    with pytest.raises(Interrupted):
        run(store, server, stop=lambda: len(server.rollouts_asked) >= 4, concurrency=4)
    asked = len(server.rollouts_asked)
    assert 4 <= asked < 24
    assert len(kept(store)) == asked
    server.script = lambda body: None
    result = run(store, server)
    assert (result.num_kept, result.num_generated, result.num_owed) == (asked, 24 - asked, 0)


def test_stop_does_not_wait_for_a_server_that_is_down(store: Path, server: Server) -> None:
    server.script = always(FAULTS["503"])
    started = time.monotonic()
    with pytest.raises(Interrupted):
        run(store, server, stop=lambda: time.monotonic() > started + 0.4, patience_seconds=600)
    assert time.monotonic() - started < 120


@pytest.mark.parametrize("max_choices", [64, 3, 1])
def test_without_seeds_one_request_asks_for_a_sample_s_rollouts(store: Path, server: Server, max_choices: int) -> None:
    server.max_choices = max_choices
    assert run(store, server, seeds=False).num_owed == 0
    assert len(kept(store)) == 24
    assert "seed" not in server.rollouts_asked[0]
    assert len(server.rollouts_asked) == 6 * -(-NUM_ROLLOUTS // max_choices)


def test_a_server_that_drops_images_gives_errors_and_no_pass_rate(store: Path, server: Server) -> None:
    server.image_tokens = 0
    with pytest.raises(UnavailableError, match="1 images and the server counts 0 tokens"):
        run(store, server)


@pytest.mark.parametrize(
    ("num_seen", "image_tokens", "recount_every"),
    [
        pytest.param(6, IMAGE_TOKENS, 256, id="within a sample"),
        pytest.param(8, TEXT_TOKENS + 1, 256, id="between samples, images longer than their text"),
        pytest.param(8, IMAGE_TOKENS, 8, id="between samples, counted again"),
    ],
)
def test_a_server_that_begins_to_drop_images_is_noticed(
    store: Path,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    num_seen: int,
    image_tokens: int,
    recount_every: int,
) -> None:
    monkeypatch.setattr(server_module, "RECOUNT_EVERY", recount_every)
    server.image_tokens = image_tokens

    def script(body: dict[str, Any]) -> None:
        if len(server.rollouts_asked) > num_seen:
            server.image_tokens = 0

    server.script = script
    result = run(store, server, concurrency=1)
    assert (result.num_generated, result.num_failed) == (24, 24 - num_seen)
    expected = true_outcomes(store)
    seen = {key: outcome for key, outcome in kept(store).items() if outcome is not Outcome.ERROR}
    assert seen == {key: expected[key] for key in seen}
    assert any(f"counts {TEXT_TOKENS}" in error or "counts 0 tokens" in error for error in result.errors)

    server.script, server.image_tokens = lambda body: None, image_tokens
    assert run(store, server).num_owed == 0
    assert kept(store) == expected


def test_a_server_that_does_not_count_must_be_trusted_explicitly(store: Path, server: Server) -> None:
    server.usage = False
    with pytest.raises(UnavailableError, match="no token usage"):
        run(store, server)
    assert kept(store) == {}
    assert run(store, server, check_images=False).num_owed == 0


@pytest.mark.parametrize("reason", ["content_filter", "tool_calls"])
def test_a_completion_that_the_server_cut_short_is_an_error(store: Path, server: Server, reason: str) -> None:
    text = json.dumps({"choices": [{"message": {"content": "I cannot"}, "finish_reason": reason}]})
    server.script = once(Fault(body=text))
    result = run(store, server, check_images=False)
    assert (result.num_failed, result.outcomes[Outcome.ERROR]) == (6, 6)
    assert reason in result.errors[0]


@pytest.mark.parametrize(("num_tokens", "outcome"), [(64, Outcome.TRUNCATED), (10, Outcome.ERROR)])
def test_a_completion_at_its_length_is_truncated_and_one_at_the_context_s_an_error(
    store: Path, server: Server, num_tokens: int, outcome: Outcome
) -> None:
    usage = {"prompt_tokens": 29, "completion_tokens": num_tokens}
    text = json.dumps({"choices": [{"message": {"content": "so"}, "finish_reason": "length"}], "usage": usage})
    server.script = once(Fault(body=text))
    assert run(store, server).outcomes[outcome] == 6


def test_vllm_is_told_to_add_nothing_to_the_sampling(store: Path, server: Server) -> None:
    server.models = [{"id": "scripted", "owned_by": "vllm"}]
    run(store, server)
    assert (server.rollouts_asked[0]["top_k"], server.rollouts_asked[0]["repetition_penalty"]) == (-1, 1.0)


def test_a_directory_s_weights_must_be_the_ones_that_are_served(server: Server) -> None:
    model = resolve_model("pebr-tiny")
    assert served_model("pebr-tiny") == model
    for served, fits in [({"id": "pebr-tiny"}, False), ({"id": "x", "root": model.location}, True)]:
        server.models = [served]
        engine = open_engine("server", model, base_url=server.base_url)
        if fits:
            assert list(engine.generate([], SAMPLING)) == []
        else:
            with pytest.raises(UnavailableError, match=r"does not serve .*it lists: pebr-tiny"):
                list(engine.generate([], SAMPLING))


def test_a_served_model_s_revision_is_what_was_declared() -> None:
    assert served_model("org/name@2024-08").revision == "2024-08"
    assert (served_model("gpt").name, served_model("gpt").revision) == ("gpt", UNDECLARED)


# --- the key ---------------------------------------------------------------------------------------------------------

ECHO = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}."}})
CATALOG = """\
name: small
sources:
  - {name: made, type: shapes, splits: {train: 2}}
probe: {template: question, max_completion_length: 64, rollouts: 2, engine: server}
"""


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500])
def test_the_key_is_sent_and_never_shown(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PEBR_STORE", raising=False)
    monkeypatch.setenv("SOME_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    (tmp_path / "small.yaml").write_text(CATALOG, encoding="utf-8")
    assert main(["build", "small.yaml"]) == 0
    server.script = always(Fault(status, ECHO))
    given = [f"base_url={server.base_url}", "api_key_env=SOME_KEY", "patience_seconds=0.1", "attempts=1"]
    options = [part for text in given for part in ("--engine-option", text)]
    assert main(["--debug", "probe", "small.yaml", "--model", "scripted", *options]) == 69
    assert server.keys == {f"Bearer {KEY}"}
    out, err = capsys.readouterr()
    assert KEY not in out + err + caplog.text
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert all(KEY.encode() not in data for data in stored)


@pytest.mark.parametrize("value", ["", "two words", "line\nbreak"])
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(
    store: Path, server: Server, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("SOME_KEY", value)
    with pytest.raises(PebrError, match="SOME_KEY") as caught:
        run(store, server, api_key_env="SOME_KEY")
    assert caught.value.exit_code == 69
    assert not value or value not in str(caught.value)
