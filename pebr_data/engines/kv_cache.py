"""A key-value cache that grows in steps, so that a new token is written in place.

transformers' `DynamicCache` copies all keys and values for each token. Measured on the CPU with a 3.8M-parameter
Idefics3, 1,024 rows and 60 tokens, writing in place makes the whole generation 17 % faster.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

GROWTH = 64
"""Tokens of room added at a time."""


def growing_cache(config: Any) -> Any:
    """An empty cache for a model's config; layers with a sliding window or a state stay as transformers makes them."""
    from transformers.cache_utils import DynamicCache, DynamicLayer

    kv_cache = DynamicCache(config=config)
    kv_cache.layers = [_layer_class()() if type(layer) is DynamicLayer else layer for layer in kv_cache.layers]
    return kv_cache


@cache
def _layer_class() -> type[Any]:
    # Made on first use: the base class lives in transformers, which is heavy to import.
    from transformers.cache_utils import DynamicLayer

    class GrowingLayer(DynamicLayer):
        """Keys and values are views, shape (rows, heads, tokens, width), of buffers with room for more tokens."""

        is_croppable = False

        def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
            super().lazy_initialization(key_states, value_states)
            self.keys = key_states[:, :, :0].contiguous()
            self.values = value_states[:, :, :0].contiguous()

        def update(
            self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            self.keys = _append(self.keys, key_states)
            self.values = _append(self.values, value_states)
            return self.keys, self.values

        def batch_select_indices(self, indices: torch.Tensor) -> None:
            # Each in turn: only one old buffer and its copy are alive at a time.
            self.keys = _select(self.keys, indices)
            self.values = _select(self.values, indices)

    return GrowingLayer


def _append(held: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    start, end = held.shape[2], held.shape[2] + new.shape[2]
    buffer = _buffer(held)
    if end > buffer.shape[2]:
        buffer = held.new_empty(held.shape[0], held.shape[1], end + GROWTH, held.shape[3])
        buffer[:, :, :start] = held
    buffer[:, :, start:end] = new
    return buffer[:, :, :end]


def _select(held: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    return _buffer(held).index_select(0, indices)[:, :, : held.shape[2]]


def _buffer(held: torch.Tensor) -> torch.Tensor:
    """What the view `held` is a view of, room included: its heads are one buffer's length apart."""
    rows, heads, _, width = held.shape
    return held.as_strided((rows, heads, held.stride(1) // width, width), held.stride())
