"""The generation loop against `model.generate`, and the drawing of tokens against what it should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest

from pebr_data.engines.base import Sampling
from pebr_data.engines.nucleus import draw, uniforms
from tests.tiny_vlm import IMAGE_TOKENS, qwen2_5_vl, save_idefics3

torch = pytest.importorskip("torch")

GREEDY = Sampling(temperature=0, top_p=1, max_completion_length=90)


def idefics_inputs(lengths: list[int]) -> dict[str, Any]:
    """Prompts of `lengths` words after an image of 9 tokens, left-padded."""
    generator = torch.Generator().manual_seed(1)
    total = IMAGE_TOKENS + max(lengths)
    ids = torch.randint(10, 50, (len(lengths), total), generator=generator)
    mask = torch.ones_like(ids)
    for row, length in enumerate(lengths):
        start = total - length - IMAGE_TOKENS
        ids[row, :start], mask[row, :start] = 0, 0
        ids[row, start : start + IMAGE_TOKENS] = 5
    pixels = torch.randn(len(lengths), 1, 3, 72, 72, generator=generator)
    return {"input_ids": ids, "attention_mask": mask, "pixel_values": pixels}


def qwen_inputs(grids: list[tuple[int, int]], lengths: list[int]) -> dict[str, Any]:
    """Prompts with one image of (height, width) patches each and some words, left-padded."""
    generator = torch.Generator().manual_seed(2)
    rows = []
    for (height, width), length in zip(grids, lengths, strict=True):
        words = torch.randint(3, 50, (length,), generator=generator).tolist()
        rows.append([52, *[50] * (height * width // 4), 53, *words])
    total = max(map(len, rows))
    ids = torch.tensor([[0] * (total - len(row)) + row for row in rows])
    return {
        "input_ids": ids,
        "attention_mask": torch.tensor([[0] * (total - len(row)) + [1] * len(row) for row in rows]),
        "mm_token_type_ids": (ids == 50).int(),
        "pixel_values": torch.randn(sum(h * w for h, w in grids), 3 * 2 * 14 * 14, generator=generator),
        "image_grid_thw": torch.tensor([[1, height, width] for height, width in grids]),
    }


def expected(model: Any, inputs: dict[str, Any], num_tokens: int, eos: list[int]) -> list[list[int]]:
    """What `model.generate` gives greedily, up to and including the end token."""
    start = inputs["input_ids"].shape[1]
    found = model.generate(**inputs, do_sample=False, max_new_tokens=num_tokens, eos_token_id=eos, pad_token_id=0)
    completions = []
    for row in found[:, start:].tolist():
        end = next((index + 1 for index, token in enumerate(row) if token in eos), num_tokens)
        completions.append(row[:end])
    return completions


@pytest.fixture(scope="module")
def idefics3(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoModelForImageTextToText

    path: Path = save_idefics3(tmp_path_factory.mktemp("tiny"))
    return AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32).eval()


@pytest.mark.parametrize("lengths", [[7, 7, 7], [3, 12, 7]], ids=["equal", "padded"])
def test_greedy_completions_are_those_of_generate(idefics3: Any, lengths: list[int]) -> None:
    from pebr_data.engines.decode import decode

    inputs = idefics_inputs(lengths)
    found = decode(idefics3, inputs, [[1], [2, 3, 4], [5, 6]], GREEDY, [3, 4])
    one, two, three = expected(idefics3, inputs, 90, [3, 4])
    assert [row.tolist() for row in found] == [one, two, two, two, three, three]


def test_qwen_positions_are_right_for_padded_prompts_with_images_of_different_sizes() -> None:
    from pebr_data.engines.decode import decode

    model = qwen2_5_vl()
    inputs = qwen_inputs([(4, 8), (8, 8), (4, 4)], [5, 9, 3])
    found = decode(model, inputs, [[1, 2], [3, 4], [5, 6]], GREEDY, [2, 7, 8, 9])
    one, two, three = expected(model, inputs, 90, [2, 7, 8, 9])
    assert [row.tolist() for row in found] == [one, one, two, two, three, three]


def test_a_qwen_prompt_without_images_is_not_shifted_by_the_batch_before_it() -> None:
    from pebr_data.engines.decode import decode

    model = qwen2_5_vl()
    ids = torch.randint(3, 50, (2, 8), generator=torch.Generator().manual_seed(3))
    text = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    text["attention_mask"][0, :3] = 0
    decode(model, qwen_inputs([(8, 8)], [5]), [[1]], GREEDY, [2])
    found = decode(model, text, [[1], [2]], GREEDY, [2])
    assert [row.tolist() for row in found] == expected(qwen2_5_vl(), text, 90, [2])


@pytest.mark.parametrize("lengths", [[7, 7, 7], [3, 12, 7]], ids=["equal", "padded"])
@pytest.mark.parametrize("kind", ["idefics3", "qwen"])
def test_compiled_steps_give_the_same_completions(
    kind: str, lengths: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the CPU nothing is recorded; what is tested is all that surrounds it. Buffers fill up and rows leave."""
    from transformers import AutoModelForImageTextToText

    from pebr_data.engines import step
    from pebr_data.engines.decode import decode

    monkeypatch.setattr(step, "ROOM", 8)
    monkeypatch.setattr(step, "MULTIPLE", 8)
    if kind == "qwen":
        model, eos, inputs = qwen2_5_vl(), [2, 7, 8, 9], qwen_inputs([(4, 8), (8, 8), (4, 4)], lengths)
    else:
        model = AutoModelForImageTextToText.from_pretrained(save_idefics3(tmp_path), dtype=torch.float32).eval()
        eos, inputs = [3, 4], idefics_inputs(lengths)
    seeds = [list(range(4)), list(range(4, 12)), [12, 13]]
    for sampling in (GREEDY, Sampling(temperature=1.5, top_p=0.99, max_completion_length=90)):
        plain = decode(model, inputs, seeds, sampling, eos)
        compiled = decode(model, inputs, seeds, sampling, eos, compiled=True)
        assert [row.tolist() for row in compiled] == [row.tolist() for row in plain]
    lengths_found = {len(row) for row in plain}
    assert len(lengths_found) > 3 and max(lengths_found) > 2 * 8


def test_a_model_whose_steps_cannot_be_recorded_runs_as_it_is(
    idefics3: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no GPU here: recording is begun all the same, and fails as it does for a model that reads a tensor."""
    from pebr_data.engines import step
    from pebr_data.engines.decode import decode

    def refused(*given: object, **settings: object) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing")

    plain = decode(idefics3, idefics_inputs([3, 12]), [[1, 2], [3]], GREEDY, [3, 4])
    monkeypatch.setattr(step, "_on_gpu", lambda tensor: True)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", refused)
    monkeypatch.setattr(step, "_unrecordable", WeakSet())
    for _ in range(2):
        found = decode(idefics3, idefics_inputs([3, 12]), [[1, 2], [3]], GREEDY, [3, 4], compiled=True)
        assert [row.tolist() for row in found] == [row.tolist() for row in plain]
    # Not tried, and not told, again.
    (told,) = [record.getMessage() for record in caplog.records if record.name == "pebr_data.engines.step"]
    assert "cannot be recorded" in told and "not permitted" in told


def test_query_heads_that_share_keys_attend_as_if_these_were_copied() -> None:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    from pebr_data.engines.attention import _attend

    generator = torch.Generator().manual_seed(4)
    module = torch.nn.Module()
    module.num_key_value_groups = 3
    query = torch.randn(5, 6, 1, 8, generator=generator)
    key, value = torch.randn(2, 5, 2, 11, 8, generator=generator)
    mask = torch.rand(5, 1, 1, 11, generator=generator) < 0.7
    mask[..., -1] = True
    for given in (mask, None):
        found, _ = _attend(module, query, key, value, given, scaling=0.3)
        wanted, _ = sdpa_attention_forward(module, query, key, value, given, scaling=0.3)
        assert torch.allclose(found, wanted, atol=1e-6)


def test_a_banned_token_is_never_taken(idefics3: Any) -> None:
    from pebr_data.engines.decode import decode

    inputs = idefics_inputs([7, 7])
    favourite = int(decode(idefics3, inputs, [[1], [2]], GREEDY, [3, 4])[0][0])
    for row in decode(idefics3, inputs, [[1, 2], [3, 4]], GREEDY, [3, 4], [favourite]):
        assert favourite not in row


def test_rows_that_end_early_leave_without_touching_the_others(idefics3: Any) -> None:
    from pebr_data.engines.decode import decode

    sampling = Sampling(temperature=1.5, top_p=0.99, max_completion_length=90)
    inputs = idefics_inputs([6, 6, 6, 6])
    seeds = [list(range(row * 16, row * 16 + 16)) for row in range(4)]
    together = decode(idefics3, inputs, seeds, sampling, [3, 4])
    lengths = [len(row) for row in together]
    assert min(lengths) < 20
    assert max(lengths) == 90
    for row in (0, 3):
        alone = {key: value[row : row + 1] for key, value in inputs.items()}
        for seed in seeds[row][::5]:
            (completion,) = decode(idefics3, alone, [[seed]], sampling, [3, 4])
            assert completion.tolist() == together[seed].tolist()


def test_an_end_token_ends_a_completion_wherever_it_stands_in_the_list(idefics3: Any) -> None:
    from pebr_data.engines.decode import decode

    inputs = idefics_inputs([5])
    sampling = Sampling(temperature=2.0, top_p=1.0, max_completion_length=90)
    ends = {row[-1] for row in (r.tolist() for r in decode(idefics3, inputs, [list(range(64))], sampling, [3, 4]))}
    assert {3, 4} <= ends


def test_one_token_is_generated_when_one_is_allowed(idefics3: Any) -> None:
    from pebr_data.engines.decode import decode

    found = decode(idefics3, idefics_inputs([5]), [[1, 2]], Sampling(1.0, 1.0, 1), [3])
    assert [len(row) for row in found] == [1, 1]


def test_drawn_tokens_follow_the_nucleus_at_the_temperature() -> None:
    probabilities = torch.tensor([0.05, 0.5, 0.15, 0.3])
    count = 200_000
    uniform = torch.rand(count, generator=torch.Generator().manual_seed(0))
    tempered = (probabilities ** (1 / 1.2)) / (probabilities ** (1 / 1.2)).sum()

    drawn = draw(probabilities.log().expand(count, 4), uniform, temperature=1.2, top_p=0.9)

    nucleus = tempered.clone()
    nucleus[0] = 0  # the three likeliest hold 0.92
    shares = torch.bincount(drawn, minlength=4) / count
    assert torch.allclose(shares, nucleus / nucleus.sum(), atol=4e-3)


def test_the_nucleus_keeps_the_token_that_reaches_top_p_and_at_least_one() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log()
    most = torch.tensor([1 - 2**-24])
    assert draw(logits, most, 1.0, 0.6).tolist() == [1]
    assert draw(logits, most, 1.0, 0.01).tolist() == [0]
    assert draw(logits, most, 1.0, 1.0).tolist() == [2]
    assert draw(logits, torch.tensor([0.0]), 1.0, 1.0).tolist() == [0]


def test_temperature_zero_takes_the_likeliest_token() -> None:
    assert draw(torch.tensor([[0.1, 3.0, 2.0]]), None, 0, 1.0).tolist() == [1]


def test_a_seed_gives_the_same_uniforms_in_any_company() -> None:
    seeds = [5, 2**63 - 1, 0]
    drawn = uniforms(seeds, 300)
    assert drawn.shape == (3, 300)
    assert drawn.min() >= 0 and drawn.max() < 1
    assert np.array_equal(uniforms(seeds[1:2], 100)[0], drawn[1, :100])
    assert len(np.unique(drawn)) > 890
