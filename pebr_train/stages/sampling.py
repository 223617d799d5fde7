"""Sampling a group's completions from one prefill, with the loop the probe uses.

TRL's `generate` prefills every prompt `num_generations` times and keeps finished rows in the batch. This loop does
neither, and it is the very code that the policy was probed with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from trl.trainer.utils import split_pixel_values_by_grid, unsplit_pixel_values_by_grid

from pebr_data.engines.base import Sampling
from pebr_data.engines.decode import decode


def sample_groups(
    model: Any,
    prompt_ids: Sequence[Sequence[int]],
    fields: Mapping[str, Any],
    group_size: int,
    sampling: Sampling,
    *,
    num_images: Sequence[int] | None = None,
    pad_token_id: int,
    eos_token_ids: Sequence[int],
) -> list[list[int]] | None:
    """One completion (token ids) per row, or None where this loop does not fit and TRL's own must be used.

    Args:
        model: The policy.
        prompt_ids: B prompts, image tokens expanded; `group_size` equal ones in a row.
        fields: What the processor made of the images and, for each token, of the prompts.
        group_size: Completions per prompt.
        sampling: How tokens are drawn.
        num_images: Images of each prompt, B numbers; needed where images are not one row per prompt.
        pad_token_id: Fills prompts up on the left.
        eos_token_ids: Tokens that end a completion.
    """
    num_rows = len(prompt_ids)
    first = list(range(0, num_rows, group_size))
    if num_rows % group_size or any(prompt_ids[row] != prompt_ids[row - row % group_size] for row in range(num_rows)):
        return None
    of_images, of_tokens = _parted(fields, prompt_ids)
    inputs = _of_rows(of_images, first, num_rows, num_images)
    if inputs is None:
        return None
    of_tokens |= {"input_ids": prompt_ids, "attention_mask": [[1] * len(prompt) for prompt in prompt_ids]}
    for name, rows in of_tokens.items():
        inputs[name] = _left_padded([rows[row] for row in first], pad_token_id if name == "input_ids" else 0)
    # Drawn from torch's generator, whose state is in every checkpoint.
    seeds = torch.randint(2**62, (len(first), group_size)).tolist()
    was_training = model.training
    model.eval()
    try:
        # A sampled image token would not match the image's features.
        on_device = {name: value.to(model.device) for name, value in inputs.items()}
        completions = decode(model, on_device, seeds, sampling, eos_token_ids, [model.config.image_token_id])
    finally:
        model.train(was_training)
    return [tokens.tolist() for tokens in completions]


def _parted(
    fields: Mapping[str, Any], prompt_ids: Sequence[Sequence[int]]
) -> tuple[dict[str, Any], dict[str, Sequence[Sequence[int]]]]:
    """What describes the images, and what has one number for each token of each prompt."""
    lengths = [len(prompt) for prompt in prompt_ids]
    of_tokens: dict[str, Sequence[Sequence[int]]] = {
        name: value
        for name, value in fields.items()
        if isinstance(value, list) and [len(row) if isinstance(row, list) else None for row in value] == lengths
    }
    return {name: value for name, value in fields.items() if name not in of_tokens}, of_tokens


def _of_rows(
    fields: Mapping[str, Any], rows: Sequence[int], num_rows: int, num_images: Sequence[int] | None
) -> dict[str, torch.Tensor] | None:
    """The image fields of some rows, or None when it is not known which parts of them are whose."""
    if not all(isinstance(value, torch.Tensor) for value in fields.values()):
        return None
    # TRL knows how each family lays out its images: Qwen-VL's patches are not one row per prompt.
    known = {} if num_images is None else {"num_images": list(num_images)}
    try:
        split = split_pixel_values_by_grid({**fields, **known})
    except (ValueError, RuntimeError):  # numbers of images that do not fit
        return None
    split.pop("num_images", None)
    if any(len(value) != num_rows for value in split.values()):
        return None
    taken = {
        name: value[list(rows)] if isinstance(value, torch.Tensor) else [value[row] for row in rows]
        for name, value in split.items()
    }
    merged: dict[str, torch.Tensor] = unsplit_pixel_values_by_grid(taken)
    return merged


def _left_padded(rows: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
    width = max(map(len, rows))
    padded = torch.full((len(rows), width), fill)
    for place, row in enumerate(rows):
        padded[place, width - len(row) :] = torch.tensor(row)
    return padded
