"""Sampling a group's completions from one prefill, with the loop the probe uses.

TRL's `generate` prefills every prompt `num_generations` times and keeps finished rows in the batch. This loop does
neither, and it is the very code that the policy was probed with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pebr_data.engines.base import Sampling
from pebr_data.engines.decode import decode


def sample_groups(
    model: Any,
    prompt_ids: Sequence[Sequence[int]],
    fields: Mapping[str, Any],
    group_size: int,
    sampling: Sampling,
    *,
    pad_token_id: int,
    eos_token_ids: Sequence[int],
) -> list[list[int]] | None:
    """One completion (token ids) per row, or None where this loop does not fit and TRL's own must be used.

    Args:
        model: The policy.
        prompt_ids: B prompts, image tokens expanded; `group_size` equal ones in a row.
        fields: What the processor made of the images.
        group_size: Completions per prompt.
        sampling: How tokens are drawn.
        pad_token_id: Fills prompts up on the left.
        eos_token_ids: Tokens that end a completion.
    """
    num_rows = len(prompt_ids)
    tensors = {name: torch.as_tensor(value) for name, value in fields.items() if not _is_ragged(value)}
    if num_rows % group_size or len(tensors) < len(fields) or any(len(value) != num_rows for value in tensors.values()):
        return None
    first = list(range(0, num_rows, group_size))
    if any(prompt_ids[row] != prompt_ids[row - row % group_size] for row in range(num_rows)):
        return None
    inputs = {name: value[first].to(model.device) for name, value in tensors.items()}
    width = max(len(prompt_ids[row]) for row in first)
    input_ids = torch.full((len(first), width), pad_token_id)
    for place, row in enumerate(first):
        input_ids[place, width - len(prompt_ids[row]) :] = torch.tensor(prompt_ids[row])
    lengths = torch.tensor([[len(prompt_ids[row])] for row in first])
    attention_mask = (torch.arange(width) >= width - lengths).long()
    inputs |= {"input_ids": input_ids.to(model.device), "attention_mask": attention_mask.to(model.device)}
    # Drawn from torch's generator, whose state is in every checkpoint.
    seeds = torch.randint(2**62, (len(first), group_size)).tolist()
    was_training = model.training
    model.eval()
    try:
        # A sampled image token would not match the image's features.
        completions = decode(model, inputs, seeds, sampling, eos_token_ids, [model.config.image_token_id])
    finally:
        model.train(was_training)
    return [tokens.tolist() for tokens in completions]


def _is_ragged(value: Any) -> bool:
    return isinstance(value, list) and len({len(row) for row in value if isinstance(row, list)}) > 1
