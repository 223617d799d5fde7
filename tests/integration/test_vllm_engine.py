"""The engine `vllm` in real vLLM beside the engine `transformers`, both with pebr-tiny; `make test-vllm` runs it."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pebr_data.catalog.store import Catalog
from pebr_data.engine_options import VllmOptions
from pebr_data.engines.base import Engine, Request, Sampling
from pebr_data.engines.transformers import TransformersEngine
from pebr_data.engines.vllm import VllmEngine
from pebr_data.images import ImageStore
from pebr_data.models import resolve_model
from pebr_data.probe.run import run_probe
from pebr_data.prompts import messages
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import Fingerprint, Generation, Outcome, RolloutKey
from tests.probed_store import fingerprint

pytest.importorskip("vllm", reason="vLLM is not installed in this environment")

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

NUM_SAMPLES = 96
GROUP = 4
GREEDY = Sampling(temperature=0.0, top_p=1.0, max_completion_length=120)
SAMPLED = Sampling(temperature=1.0, top_p=0.99, max_completion_length=120)


@pytest.fixture(scope="module")
def vllm_engine() -> Iterator[VllmEngine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        options = VllmOptions(dtype="float32", enforce_eager=True, max_num_seqs=128, max_images=2)
        engine = VllmEngine(resolve_model("pebr-tiny"), options, max_pixels=802_816)
        yield engine
        engine._engine.engine_core.shutdown()


@pytest.fixture(scope="module")
def transformers_engine() -> TransformersEngine:
    return TransformersEngine(resolve_model("pebr-tiny"), dtype="float32")


def shapes(num_samples: int, num_keys: int = 1) -> list[Request]:
    source = ShapesSource(name="shapes", seed=0, splits={"test": num_samples})
    return [
        Request(
            messages("question", sample.question, 1),
            (Image.open(io.BytesIO(sample.images[0])).convert("RGB"),),
            tuple(RolloutKey("p", str(number), index) for index in range(num_keys)),
        )
        for number, sample in enumerate(source.candidates())
    ]


def run(engine: Engine, requests: Sequence[Request], sampling: Sampling = GREEDY) -> dict[RolloutKey, Generation]:
    done = list(engine.generate(requests, sampling))
    assert len({key for key, _ in done}) == len(done)
    return dict(done)


def test_greedy_rollouts_are_those_of_transformers(
    vllm_engine: VllmEngine, transformers_engine: TransformersEngine
) -> None:
    requests = shapes(NUM_SAMPLES)
    theirs, ours = run(vllm_engine, requests), run(transformers_engine, requests)
    assert theirs.keys() == ours.keys()
    assert sum(theirs[key] == ours[key] for key in ours) >= 0.99 * NUM_SAMPLES
    counts = {(one.num_prompt_tokens, one.num_image_tokens) for one in theirs.values()}
    assert counts == {(one.num_prompt_tokens, one.num_image_tokens) for one in ours.values()}


def test_a_probe_gives_the_pass_rates_of_transformers(
    vllm_engine: VllmEngine, transformers_engine: TransformersEngine, tmp_path: Path
) -> None:
    source = ShapesSource(name="shapes", seed=1, splits={"train": NUM_SAMPLES})
    with Catalog.open(tmp_path) as catalog:
        catalog.ingest("shapes", "digest", source.candidates(), ImageStore(tmp_path / "images"))
        samples = catalog.samples("shapes")

    def pass_rates(engine: Engine, policy: Fingerprint) -> np.ndarray:
        result = run_probe(tmp_path, samples, policy, lambda: engine, num_rollouts=GROUP)
        assert (result.num_owed, result.num_failed) == (0, 0)
        correct: dict[str, int] = {sample.sample_id: 0 for sample in samples}
        with Catalog.open(tmp_path, read_only=True) as catalog:
            for rollout in catalog.rollouts(policy.probe_id):
                correct[rollout.key.sample_id] += rollout.grade.outcome is Outcome.CORRECT
        return np.array(list(correct.values())) / GROUP

    policy = fingerprint("pebr-tiny", temperature=1.0, max_completion_length=120, max_pixels=802_816)
    ours = pass_rates(transformers_engine, policy)
    theirs = pass_rates(vllm_engine, replace(policy, engine="vllm"))
    # The samples are the same, so their differences count: within the 99 % interval, and of the same order.
    difference = theirs - ours
    assert abs(difference.mean()) <= 2.58 * difference.std(ddof=1) / np.sqrt(len(difference))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.5


def test_a_key_gives_its_completion_in_any_company(vllm_engine: VllmEngine) -> None:
    requests = shapes(24, num_keys=4)
    together = run(vllm_engine, requests, SAMPLED)
    alone = run(vllm_engine, [replace(one, keys=one.keys[1:2]) for one in requests[5:21]], SAMPLED)
    # Up to rounding, which may turn a draw.
    assert sum(together[key].completion == alone[key].completion for key in alone) >= 15
    assert len({together[key].completion for key in requests[0].keys}) > 1


def test_requests_that_cannot_be_asked_fail_alone(vllm_engine: VllmEngine) -> None:
    good, long, crowded, unseen = shapes(4)
    image = long.images
    long = replace(long, prompt=messages("question", "how many red circles are there ? " * 100, 1))
    crowded = replace(crowded, prompt=messages("question", "what is it ?", 3), images=image * 3)
    unseen = replace(unseen, prompt=messages("question", "what is it ?", 0))
    done = run(vllm_engine, [long, crowded, unseen, good])
    assert done[good.keys[0]].finish_reason == "stop"
    for one in (long, crowded, unseen):
        generation = done[one.keys[0]]
        assert (generation.finish_reason, generation.completion) == ("error", "")
        assert generation.error


def test_what_the_context_cuts_off_is_no_truncated_answer(vllm_engine: VllmEngine) -> None:
    (request,) = shapes(1)
    near = replace(request, prompt=messages("question", "red circle " * 225, 1))
    generation = run(vllm_engine, [near], replace(GREEDY, max_completion_length=400))[request.keys[0]]
    assert generation.finish_reason in ("stop", "error")
    if generation.error is not None:
        assert "max_model_len" in generation.error


def test_the_context_ends_prompts_and_completions_as_under_transformers(
    vllm_engine: VllmEngine, transformers_engine: TransformersEngine
) -> None:
    (request,) = shapes(1)

    def worded(num_words: int) -> Request:
        return replace(request, prompt=messages("question", " ".join(["red"] * num_words), 1))

    num_others = run(transformers_engine, [worded(4)])[request.keys[0]].num_prompt_tokens - 4
    for engine in (vllm_engine, transformers_engine):
        cut = run(engine, [worded(511 - num_others)])[request.keys[0]]
        assert "after 1 of 120 tokens: the prompt has 511" in (cut.error or "")
        full = run(engine, [worded(512 - num_others)])[request.keys[0]]
        assert "512" in (full.error or "")


def test_a_question_that_holds_an_image_token_is_an_error(
    vllm_engine: VllmEngine, transformers_engine: TransformersEngine
) -> None:
    good, written = shapes(2)
    written = replace(written, prompt=messages("question", "how many <image> are there ?", 1))
    for engine in (vllm_engine, transformers_engine):
        done = run(engine, [written, good])
        assert done[written.keys[0]].finish_reason == "error"
        assert done[good.keys[0]].error is None


def test_more_or_fewer_image_tokens_than_the_processor_makes_are_an_error(
    vllm_engine: VllmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (request,) = shapes(1)
    made = vllm_engine._expected_image_tokens(request)
    assert made is not None
    sizes = tuple(image.size for image in request.images)
    for other in (made - 1, made + 1):
        monkeypatch.setitem(vllm_engine._image_tokens, sizes, other)
        error = run(vllm_engine, [request])[request.keys[0]].error
        assert f"{made} image tokens and the processor alone makes {other}" in (error or "")


@contextmanager
def outputs_of(engine: VllmEngine) -> Iterator[list[Any]]:
    """What vLLM itself gave, in the order in which it ended."""
    seen: list[Any] = []
    generation = engine._generation

    def watched(request: Request, output: Any, sampling: Sampling) -> Generation:
        seen.append(output)
        return generation(request, output, sampling)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_generation", watched)
        yield seen


def test_an_image_token_is_never_drawn(vllm_engine: VllmEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    requests, sampling = shapes(16, num_keys=GROUP), Sampling(temperature=1.2, top_p=1.0, max_completion_length=60)

    def drawn() -> list[int]:
        with outputs_of(vllm_engine) as outputs:
            run(vllm_engine, requests, sampling)
        return [token for output in outputs for token in output.outputs[0].token_ids]

    tokens = drawn()
    assert vllm_engine._image_token_id not in tokens
    # A model that was trained without never draws it, so the ban must also hold for the token that it likes best.
    (common,) = (token for token, _ in Counter(tokens).most_common(1))
    monkeypatch.setattr(vllm_engine, "_image_token_id", common)
    assert common not in drawn()


def test_the_rollouts_of_a_sample_share_its_prompt_in_the_cache(vllm_engine: VllmEngine) -> None:
    (request,) = shapes(1, num_keys=8)
    # The cache keeps whole blocks, and one of the CPU's is longer than pebr-tiny's usual prompts.
    request = replace(request, prompt=messages("question", "how many red circles are there ? " * 15, 1))
    with outputs_of(vllm_engine) as outputs:
        run(vllm_engine, [request], SAMPLED)
    cached = [output.num_cached_tokens for output in outputs]
    assert len(cached) == 8
    assert sum(number > 0 for number in cached) >= 7


def test_stop_finishes_what_is_under_way_and_begins_nothing(vllm_engine: VllmEngine) -> None:
    taken: list[Request] = []

    def source() -> Iterator[Request]:
        for request in shapes(64, num_keys=8):
            taken.append(request)
            yield request

    done = list(vllm_engine.generate(source(), SAMPLED, stop=lambda: True))
    assert len(done) == sum(len(request.keys) for request in taken)
    assert 128 <= len(done) < 64 * 8


def test_leaving_early_leaves_nothing_behind(vllm_engine: VllmEngine) -> None:
    for _ in vllm_engine.generate(shapes(16, num_keys=8), SAMPLED):
        break
    assert len(run(vllm_engine, shapes(4))) == 4
