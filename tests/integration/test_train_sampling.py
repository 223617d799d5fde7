"""The two short cuts of GRPO on small models change nothing but the time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pebr_data.engines.base import Sampling
from tests.tiny_vlm import EOS, qwen2_5_vl, save_idefics3

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoModelForImageTextToText

    directory: Path = save_idefics3(tmp_path_factory.mktemp("models") / "tiny")
    return AutoModelForImageTextToText.from_pretrained(directory, dtype=torch.float32)


def batch(model: Any, *, groups: int, group_size: int) -> dict[str, Any]:
    torch.manual_seed(0)
    ids = torch.randint(10, 40, (groups, 20))
    ids[:, 2:11] = model.config.image_token_id
    images = torch.randn(groups, 1, 3, 72, 72)
    return {
        "input_ids": ids.repeat_interleave(group_size, dim=0),
        "attention_mask": torch.ones(groups * group_size, 20, dtype=torch.long),
        "pixel_values": images.repeat_interleave(group_size, dim=0),
    }


def gradients(model: Any, inputs: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    model.zero_grad()
    loss = model(**inputs, labels=inputs["input_ids"]).loss
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_sharing_images_keeps_the_loss_and_every_gradient(model: Any) -> None:
    from pebr_train.stages.shared_images import share_images

    inputs = batch(model, groups=3, group_size=4)
    loss, expected = gradients(model, inputs)
    encode, seen = model.model.vision_model.forward, []

    def counted(pixel_values: Any, **kwargs: Any) -> Any:
        seen.append(len(pixel_values))
        return encode(pixel_values=pixel_values, **kwargs)

    original = model.model.get_image_features
    model.model.vision_model.forward = counted
    try:
        share_images(model)
        shared_loss, found = gradients(model, inputs)
    finally:
        model.model.vision_model.forward = encode
        model.model.get_image_features = original

    assert seen == [3]
    assert shared_loss == pytest.approx(loss, abs=1e-6)
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], expected[name], atol=1e-5) for name in expected)


def test_unique_rows_gives_every_row_back() -> None:
    from pebr_train.stages.shared_images import unique_rows

    values = torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0], [3.0, 5.0]])
    first, inverse = unique_rows(values)

    assert first.tolist() == [0, 1, 3]
    assert torch.equal(values[first][inverse], values)


def sample(model: Any, *, groups: int = 3, group_size: int = 4, top_p: float = 1.0) -> list[list[int]] | None:
    from pebr_train.stages.sampling import sample_groups

    inputs = batch(model, groups=groups, group_size=group_size)
    return sample_groups(
        model,
        inputs["input_ids"].tolist(),
        {"pixel_values": inputs["pixel_values"]},
        group_size,
        Sampling(1.2, top_p, 8),
        pad_token_id=0,
        eos_token_ids=[EOS],
    )


def test_the_likeliest_tokens_are_those_that_generate_gives(model: Any) -> None:
    inputs = batch(model, groups=3, group_size=4)
    with torch.no_grad():
        expected = model.generate(
            **inputs, do_sample=False, max_new_tokens=8, eos_token_id=EOS, pad_token_id=0,
            suppress_tokens=[model.config.image_token_id],
        )  # fmt: skip
    found = sample(model, top_p=1e-6)

    assert found is not None
    for row, tokens in enumerate(found):
        assert expected[row, 20 : 20 + len(tokens)].tolist() == tokens


def test_completions_of_a_group_differ_and_the_generators_state_repeats_them(model: Any) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = sample_after(model, state)

    assert first is not None and len({tuple(tokens) for tokens in first[:4]}) > 1
    assert sample_after(model, state) == first


def sample_after(model: Any, state: Any) -> list[list[int]] | None:
    from pebr_train.stages.sampling import sample_groups

    inputs = batch(model, groups=2, group_size=4)
    torch.set_rng_state(state)
    return sample_groups(
        model,
        inputs["input_ids"].tolist(),
        {"pixel_values": inputs["pixel_values"]},
        4,
        Sampling(1.2, 1.0, 8),
        pad_token_id=0,
        eos_token_ids=[EOS],
    )


def test_the_image_token_is_never_sampled_and_the_models_mode_is_kept(model: Any) -> None:
    model.train()
    found = sample(model, groups=8, group_size=8)

    assert found is not None and model.training
    assert all(model.config.image_token_id not in tokens for tokens in found)
    model.eval()


def test_qwens_patches_go_with_their_prompts() -> None:
    """Two prompts with images of different sizes, one without: as `generate` answers each alone."""
    from pebr_train.stages.sampling import sample_groups

    qwen, group_size = qwen2_5_vl(), 2
    prompts = [qwen_prompt([(4, 8)], 5), qwen_prompt([(8, 8), (4, 4)], 9), qwen_prompt([], 3)]
    rows = [prompt for prompt in prompts for _ in range(group_size)]
    found = sample_groups(
        qwen,
        [prompt["input_ids"][0].tolist() for prompt in rows],
        {
            "pixel_values": torch.cat([prompt["pixel_values"] for prompt in rows]),
            "image_grid_thw": torch.cat([prompt["image_grid_thw"] for prompt in rows]),
            "mm_token_type_ids": [prompt["mm_token_type_ids"][0].tolist() for prompt in rows],
        },
        group_size,
        Sampling(0.0, 1.0, 12),
        num_images=[len(prompt["image_grid_thw"]) for prompt in rows],
        pad_token_id=0,
        eos_token_ids=[2],
    )
    assert found is not None
    for prompt, tokens in zip(rows, found, strict=True):
        inputs = prompt if len(prompt["image_grid_thw"]) else {name: prompt[name] for name in ("input_ids",)}
        with torch.no_grad():
            expected = qwen2_5_vl().generate(
                **inputs, do_sample=False, max_new_tokens=12, eos_token_id=2, pad_token_id=0, suppress_tokens=[50]
            )
        assert expected[0, inputs["input_ids"].shape[1] :].tolist() == tokens


def qwen_prompt(grids: list[tuple[int, int]], num_words: int) -> dict[str, Any]:
    """One prompt with images of (height, width) patches and some words."""
    generator = torch.Generator().manual_seed(num_words)
    ids = [token for height, width in grids for token in (52, *[50] * (height * width // 4), 53)]
    ids += torch.randint(3, 50, (num_words,), generator=generator).tolist()
    return {
        "input_ids": torch.tensor([ids]),
        "mm_token_type_ids": (torch.tensor([ids]) == 50).int(),
        "pixel_values": torch.randn(sum(h * w for h, w in grids), 3 * 2 * 14 * 14, generator=generator),
        "image_grid_thw": torch.tensor([[1, h, w] for h, w in grids], dtype=torch.long).view(-1, 3),
    }


def test_inputs_that_do_not_fit_are_left_to_trl(model: Any) -> None:
    from pebr_train.stages.sampling import sample_groups

    inputs = batch(model, groups=2, group_size=2)
    ids, pixels = inputs["input_ids"].tolist(), inputs["pixel_values"]
    settings: dict[str, Any] = {"pad_token_id": 0, "eos_token_ids": [EOS]}

    # Patches of nobody knows whom; a group cut in two processes is not whole.
    assert sample_groups(model, ids, {"pixel_values": pixels[:3]}, 2, Sampling(1.0, 1.0, 4), **settings) is None
    assert sample_groups(model, ids[:3], {"pixel_values": pixels[:3]}, 2, Sampling(1.0, 1.0, 4), **settings) is None
    assert sample_groups(model, [ids[0], ids[2], ids[1], ids[3]], {}, 2, Sampling(1.0, 1.0, 4), **settings) is None


def test_an_epochs_order_depends_on_the_seed_and_the_epoch_alone() -> None:
    from pebr_train.stages.grpo_trainer import EpochSampler

    def order(epoch: int, seed: int = 0) -> list[int]:
        sampler = EpochSampler(
            data_source=range(12), mini_repeat_count=1, batch_size=4, repeat_count=1, seed=seed, epoch=lambda: epoch
        )
        list(sampler)  # whatever was drawn before
        return list(sampler)

    assert order(1) == order(1)
    assert order(0) != order(1) != order(1, seed=1)
    assert sorted(order(3)) == list(range(12))


@pytest.mark.parametrize(
    ("groups", "share"),
    [
        ([[1, 1, 1], [0, 1, 0]], 0.5),
        ([[float("nan")] * 3, [0, 0, 0]], 1.0),
        ([[float("nan"), 1, 0], [0, 0, 0]], 0.5),
        ([[float("nan")] * 3], None),
    ],
)
def test_a_group_is_dead_for_a_reward_when_all_its_completions_get_the_same(
    groups: list[list[float]], share: float | None
) -> None:
    from pebr_train.stages.grpo_trainer import zero_variance_share

    assert zero_variance_share(torch.tensor(groups, dtype=torch.float32)) == share
