"""The engine `transformers` on a small random Idefics3, through its real processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pebr_data.engines import transformers as module
from pebr_data.engines.base import ENGINES, Request, Sampling, open_engine
from pebr_data.engines.compile_trial import COUNTED, WARM_UP, CompileTrial
from pebr_data.engines.special_tokens import eos_token_ids
from pebr_data.engines.transformers import TransformersEngine
from pebr_data.errors import ConfigError, UnavailableError
from pebr_data.models import resolve_model
from pebr_data.prompts import messages
from pebr_data.types import Condition, Generation, RolloutKey
from tests.tiny_vlm import EOS, IMAGE_TOKENS, STOP, save_idefics3

pytest.importorskip("torch")

SAMPLING = Sampling(temperature=1.2, top_p=0.99, max_completion_length=24)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_idefics3(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def engine(directory: Path) -> TransformersEngine:
    opened = open_engine("transformers", resolve_model(directory))
    assert isinstance(opened, TransformersEngine)
    return opened


def picture(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (72, 72, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def request(number: int, num_keys: int = 4, *, shown: bool = True, words: int | None = None) -> Request:
    question = " ".join(f"w{(number * 7 + word) % 40}" for word in range(words or 3 + number % 5))
    condition = Condition.IMAGE if shown else Condition.BLIND
    keys = tuple(RolloutKey("probe", f"sample{number}", index) for index in range(num_keys))
    return Request(messages("question", question, 1, condition), (picture(number),) if shown else (), keys)


def run(
    engine: TransformersEngine, requests: Sequence[Request], sampling: Sampling = SAMPLING
) -> dict[Any, Generation]:
    done = list(engine.generate(requests, sampling))
    assert len({key for key, _ in done}) == len(done)
    return dict(done)


def test_every_key_gets_a_generation_with_its_counts(engine: TransformersEngine) -> None:
    requests = [request(number) for number in range(10)]
    done = run(engine, requests)
    assert set(done) == {key for asked in requests for key in asked.keys}
    for asked in requests:
        for key in asked.keys:
            generation = done[key]
            assert generation.error is None
            assert generation.num_image_tokens == IMAGE_TOKENS
            # words, image, its three markers, `User:`, the end of the turn, `Assistant:`
            num_words = len(asked.prompt[0]["content"][1]["text"].split())
            assert generation.num_prompt_tokens == num_words + IMAGE_TOKENS + 3 + 3
            assert 1 <= generation.num_tokens <= SAMPLING.max_completion_length


def test_a_completion_ends_with_any_of_the_end_tokens_or_by_length(engine: TransformersEngine) -> None:
    assert engine.eos_token_ids == {EOS, STOP}
    done = run(engine, [request(number, 16) for number in range(8)])
    reasons = {generation.finish_reason for generation in done.values()}
    assert reasons == {"stop", "length"}
    for generation in done.values():
        if generation.finish_reason == "length":
            assert generation.num_tokens == SAMPLING.max_completion_length
        assert "<" not in generation.completion.replace("<unk>", "")


def test_a_key_gives_the_same_completion_in_any_company(engine: TransformersEngine) -> None:
    requests = [request(number) for number in range(12)]
    together = run(engine, requests)
    for asked in (requests[0], requests[5]):
        last = Request(asked.prompt, asked.images, asked.keys[-1:])
        assert run(engine, [last]) == {last.keys[0]: together[last.keys[0]]}


def test_compiled_steps_give_the_same_generations(engine: TransformersEngine, directory: Path) -> None:
    compiled = open_engine("transformers", resolve_model(directory), compile=True)
    assert isinstance(compiled, TransformersEngine)
    requests = [request(number) for number in range(12)]
    for sampling in (Sampling(0, 1.0, 24), SAMPLING):
        assert run(compiled, requests, sampling) == run(engine, requests, sampling)


@pytest.fixture
def undecided(directory: Path) -> TransformersEngine:
    """One that finds out whether recording pays, which is not asked on the CPU by default; 8 rollouts to a batch."""
    opened = TransformersEngine(resolve_model(directory), batch_size=8)
    assert not opened._compile_trial.is_open
    opened._compile_trial = CompileTrial(None)
    return opened


def test_whether_recording_pays_is_found_out_along_the_way(
    engine: TransformersEngine, undecided: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = []
    real = module.decode

    def noted(*given: Any, compiled: bool) -> Any:
        ways.append(compiled)
        return real(*given, compiled=compiled)

    monkeypatch.setattr(module, "decode", noted)
    requests = [request(number) for number in range(16)]
    found = run(undecided, requests)
    monkeypatch.undo()
    assert found == run(engine, requests)
    assert ways[:6] == [*WARM_UP, *COUNTED]
    assert ways[6:] == [undecided._compile_trial.compiled] * (len(ways) - 6)
    assert len(ways) >= 8


def test_a_recording_that_the_memory_does_not_hold_lowers_no_limit(
    engine: TransformersEngine, undecided: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    sizes = []
    real = module.decode

    def poor(*given: Any, compiled: bool) -> Any:
        if compiled:
            raise torch.OutOfMemoryError
        sizes.append(sum(map(len, given[2])))
        return real(*given, compiled=compiled)

    monkeypatch.setattr(module, "decode", poor)
    requests = [request(number) for number in range(16)]
    found = run(undecided, requests)
    monkeypatch.undo()
    assert found == run(engine, requests)
    assert sizes == [8] * 8
    assert not undecided._compile_trial.compiled


def test_keys_of_one_sample_give_different_completions(engine: TransformersEngine) -> None:
    done = run(engine, [request(1, 16)])
    assert len({generation.completion for generation in done.values()}) > 8


def test_at_temperature_zero_all_keys_agree(engine: TransformersEngine) -> None:
    done = run(engine, [request(1, 4)], Sampling(0, 1.0, 24))
    assert len({generation.completion for generation in done.values()}) == 1


def test_the_image_changes_the_answer_and_blind_prompts_have_none(engine: TransformersEngine) -> None:
    greedy = Sampling(0, 1.0, 24)
    seen, other = request(3, 1), request(3, 1)
    other = Request(other.prompt, (picture(99),), (RolloutKey("probe", "other", 0),))
    blind = Request(request(3, 1, shown=False).prompt, (), (RolloutKey("probe", "blind", 0),))
    done = run(engine, [seen, other, blind], greedy)
    assert done[seen.keys[0]].completion != done[other.keys[0]].completion
    assert done[blind.keys[0]].num_image_tokens == 0


def test_a_request_that_cannot_be_asked_fails_alone(engine: TransformersEngine) -> None:
    good = [request(number) for number in range(6)]
    bad = Request(good[0].prompt, (picture(1), picture(2)), (RolloutKey("probe", "bad", 0),))
    done = run(engine, [*good[:3], bad, *good[3:]])
    assert done[bad.keys[0]].finish_reason == "error"
    assert done[bad.keys[0]].error
    assert done[bad.keys[0]].completion == ""
    assert all(done[key].finish_reason != "error" for asked in good for key in asked.keys)


def test_images_that_leave_no_image_tokens_are_an_error(engine: TransformersEngine) -> None:
    asked = request(2, 1)
    without_part = Request(messages("question", "w1", 0), (), asked.keys)
    assert run(engine, [without_part])[asked.keys[0]].num_image_tokens == 0
    text_only = Request(without_part.prompt, asked.images, asked.keys)
    assert run(engine, [text_only])[asked.keys[0]].finish_reason == "error"


def test_when_memory_runs_out_the_batch_is_halved_for_good(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TransformersEngine(resolve_model(directory), batch_size=32)
    expected = run(engine, [request(number, 8, words=4) for number in range(8)])
    sizes: list[int] = []
    decode = module.decode

    def limited(model: Any, inputs: Any, seeds: Sequence[Sequence[int]], *rest: Any, **options: Any) -> Any:
        sizes.append(sum(map(len, seeds)))
        if sizes[-1] > 12:
            raise MemoryError
        return decode(model, inputs, seeds, *rest, **options)

    monkeypatch.setattr(module, "decode", limited)
    assert run(engine, [request(number, 8, words=4) for number in range(8)]) == expected
    assert sizes == [32, 16, 8, 8, 16, 8, 8, 8, 8, 8, 8]


@pytest.mark.parametrize("error", [MemoryError, "torch"])
def test_a_sample_that_no_memory_holds_fails_alone_and_later_batches_stay_large(
    directory: Path, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    import torch

    engine = TransformersEngine(resolve_model(directory), batch_size=32)
    requests = [request(number, 8, words=4) for number in range(12)]
    poison = requests[9]
    expected = run(engine, requests)
    sizes: list[int] = []
    decode = module.decode
    too_large = {key.seed for key in poison.keys}

    def limited(model: Any, inputs: Any, seeds: Sequence[Sequence[int]], *rest: Any, **options: Any) -> Any:
        sizes.append(sum(map(len, seeds)))
        if too_large.intersection(seed for group in seeds for seed in group):
            raise torch.OutOfMemoryError if error == "torch" else error
        return decode(model, inputs, seeds, *rest, **options)

    monkeypatch.setattr(module, "decode", limited)
    done = run(engine, requests)
    assert {key for key, generation in done.items() if generation.finish_reason == "error"} == set(poison.keys)
    assert {key: one for key, one in done.items() if key not in poison.keys} == {
        key: one for key, one in expected.items() if key not in poison.keys
    }
    assert 1 in sizes
    assert sizes[-1] == 32
    sizes.clear()
    run(engine, requests[:8])
    assert sizes == [32, 32]


def test_a_limit_is_learnt_beside_a_sample_that_no_memory_holds(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TransformersEngine(resolve_model(directory), batch_size=32)
    requests = [request(number, 8, words=4) for number in range(12)]
    sizes: list[int] = []
    decode = module.decode
    too_large = {key.seed for key in requests[9].keys}

    def limited(model: Any, inputs: Any, seeds: Sequence[Sequence[int]], *rest: Any, **options: Any) -> Any:
        sizes.append(sum(map(len, seeds)))
        if sizes[-1] > 12 or too_large.intersection(seed for group in seeds for seed in group):
            raise MemoryError
        return decode(model, inputs, seeds, *rest, **options)

    monkeypatch.setattr(module, "decode", limited)
    run(engine, requests)
    sizes.clear()
    run(engine, requests[:8])
    assert sizes == [8] * 8


@pytest.fixture(scope="module")
def pebr_tiny() -> TransformersEngine:
    return TransformersEngine(resolve_model("pebr-tiny"), dtype="float32")


CONTEXT = 512
"""pebr-tiny's."""


def long_request(num_words: int, num_keys: int = 4) -> Request:
    keys = tuple(RolloutKey("probe", f"long{num_words}", index) for index in range(num_keys))
    return Request(messages("question", " ".join(["red"] * num_words), 1), (picture(num_words),), keys)


def test_a_prompt_longer_than_the_context_fails_alone_and_says_the_numbers(pebr_tiny: TransformersEngine) -> None:
    short = long_request(4)
    (num_others,) = {one.num_prompt_tokens - 4 for one in run(pebr_tiny, [short]).values()}
    full, longer = long_request(CONTEXT - num_others), long_request(700)
    crowd = Request(messages("question", "red", 60), tuple(map(picture, range(60))), (RolloutKey("probe", "crowd", 0),))
    done = run(pebr_tiny, [full, short, longer, crowd])
    for asked, num_tokens in ((full, CONTEXT), (longer, 700 + num_others)):
        for key in asked.keys:
            assert done[key].finish_reason == "error"
            assert f"the prompt has {num_tokens} tokens" in (done[key].error or "")
            assert f"context of {CONTEXT}" in (done[key].error or "")
    assert f"context of {CONTEXT}" in (done[crowd.keys[0]].error or "")
    assert {done[key].error for key in short.keys} == {None}


def test_a_completion_that_the_context_cuts_is_an_error_and_no_truncated_answer(pebr_tiny: TransformersEngine) -> None:
    wanted = Sampling(1.0, 0.99, 160)
    short = long_request(4)
    alone = run(pebr_tiny, [short], wanted)
    num_others = next(iter(alone.values())).num_prompt_tokens - 4
    for room in (1, 7):
        near = long_request(CONTEXT - num_others - room)
        done = run(pebr_tiny, [near, short], wanted)
        assert {key: done[key] for key in short.keys} == alone
        for key in near.keys:
            assert done[key].finish_reason == "error"
            assert f"after {room} of 160 tokens: the prompt has {CONTEXT - room}" in (done[key].error or "")
        # What was asked for and fits is truncated by its length, as ever.
        assert {one.finish_reason for one in run(pebr_tiny, [near], Sampling(1.0, 0.99, room)).values()} == {"length"}


def test_a_short_prompt_s_completions_do_not_depend_on_how_near_the_context_is(pebr_tiny: TransformersEngine) -> None:
    short = long_request(4, 16)
    ended = {key: one for key, one in run(pebr_tiny, [short], Sampling(1.0, 0.99, 160)).items() if one.error is None}
    assert {one.finish_reason for one in ended.values()} == {"stop"}
    longest = run(pebr_tiny, [short], Sampling(1.0, 0.99, 2048))
    assert {key: longest[key] for key in ended} == ended


def test_stop_is_asked_between_batches(directory: Path) -> None:
    engine = TransformersEngine(resolve_model(directory), batch_size=8)
    done = list(engine.generate((request(number, 8) for number in range(6)), SAMPLING, stop=lambda: True))
    assert len(done) == 8


def test_a_directory_without_a_usable_model_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "no-such-architecture"}')
    with pytest.raises(UnavailableError, match="cannot be loaded"):
        open_engine("transformers", resolve_model(tmp_path))


def test_an_unknown_engine_is_a_configuration_error(directory: Path) -> None:
    with pytest.raises(ConfigError, match="unknown engine 'vlm'") as caught:
        open_engine("vlm", resolve_model(directory))
    assert all(name in str(caught.value.help) for name in ENGINES)


@pytest.mark.parametrize(
    ("declared", "own", "ends"), [(2, 2, {2}), ([2, 5], 3, {2, 3, 5}), (None, 3, {3}), (2, None, {2})]
)
def test_a_completion_ends_at_every_token_that_model_or_tokenizer_names(
    declared: int | list[int] | None, own: int | None, ends: set[int]
) -> None:
    assert eos_token_ids(SimpleNamespace(eos_token_id=declared), SimpleNamespace(eos_token_id=own)) == ends


def test_a_model_without_an_end_token_is_refused() -> None:
    with pytest.raises(UnavailableError, match="no end-of-sequence token"):
        eos_token_ids(SimpleNamespace(eos_token_id=None), SimpleNamespace(eos_token_id=None))
