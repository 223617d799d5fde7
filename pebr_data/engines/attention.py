"""Attention in which query heads share keys and values without these being copied for each head.

Where there is a mask, transformers' `sdpa` repeats keys and values until there are as many as query heads: with the 16
heads over 2 of Qwen2.5-VL 3B, eight copies of the whole cache in every step. For one token a row the query heads of a
group can stand where a prompt's tokens stand, and the cache is read as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

NAME = "pebr_grouped"


@contextmanager
def grouped_heads(model: Any) -> Iterator[None]:
    """While it lasts, the language model attends so, if it uses `sdpa`."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    text = model.config.get_text_config(decoder=True)
    if text._attn_implementation != "sdpa":
        yield
        return
    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    text._attn_implementation = NAME
    try:
        yield
    finally:
        text._attn_implementation = "sdpa"


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """`sdpa_attention_forward` for queries (rows, query heads, tokens, width) and keys (rows, heads, tokens, width)."""
    from torch.nn.functional import scaled_dot_product_attention
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    rows, heads, num_tokens, width = query.shape
    one_mask = attention_mask is None or attention_mask.shape[1] == 1
    if num_tokens > 1 or heads == key.shape[1] or not one_mask or kwargs.get("position_bias") is not None:
        attended, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
        return attended, None
    grouped = query.reshape(rows, key.shape[1], heads // key.shape[1], width)
    if attention_mask is not None:
        attention_mask = attention_mask.expand(*grouped.shape[:3], key.shape[2])
    found = scaled_dot_product_attention(grouped, key, value, attn_mask=attention_mask, scale=scaling)
    return found.reshape(rows, 1, heads, value.shape[3]), None
