"""Drawing tokens: temperature, then top-p, then the inverse CDF at one uniform number per row and step.

The uniforms come from the rollout key's seed alone, so a completion does not depend on what else is in its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch


def uniforms(seeds: Sequence[int], count: int) -> npt.NDArray[np.float32]:
    """Numbers in [0, 1), shape (seeds, count): row i is the start of the Philox stream keyed by seed i."""
    drawn = np.empty((len(seeds), count), dtype=np.float32)
    for row, seed in enumerate(seeds):
        np.random.Generator(np.random.Philox(key=seed)).random(out=drawn[row], dtype=np.float32)
    return drawn


def draw(logits: torch.Tensor, uniform: torch.Tensor | None, temperature: float, top_p: float) -> torch.Tensor:
    """One token per row, int64 of shape (rows,).

    Top-p keeps the likeliest tokens up to and including the one that brings their probability to `top_p`, as
    transformers' and vLLM's samplers do; temperature is applied first.

    Args:
        logits: Shape (rows, vocabulary), any float type.
        uniform: Shape (rows,), in [0, 1); not read when `temperature` is 0.
        temperature: 0 takes the likeliest token.
        top_p: In (0, 1].
    """
    import torch

    if temperature == 0 or uniform is None:
        return logits.argmax(dim=-1)
    probabilities = torch.softmax(logits.float() / temperature, dim=-1)
    probabilities, tokens = probabilities.sort(dim=-1, descending=True)  # both (rows, vocabulary)
    cumulative = probabilities.cumsum(dim=-1)
    # Rounding can leave the whole sum under top_p.
    last = (cumulative < top_p).sum(dim=-1, keepdim=True).clamp_(max=logits.shape[-1] - 1)  # (rows, 1)
    threshold = uniform[:, None] * cumulative.gather(1, last)
    rank = torch.searchsorted(cumulative, threshold, right=True)
    return tokens.gather(1, torch.minimum(rank, last)).squeeze(1)
