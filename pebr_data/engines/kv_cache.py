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


def can_be_fixed(kv_cache: Any) -> bool:
    """Whether every layer grows, so that `fix` knows where its tokens are."""
    return all(type(layer) is _layer_class() for layer in kv_cache.layers)


def fix(kv_cache: Any, slot: torch.Tensor, num_tokens: int) -> None:
    """From here on, keys and values go to the place that `slot`, shape (1,), holds, of buffers of one length.

    Attention then sees the whole buffers: what stands after the tokens is zero, and must be masked.
    """
    for layer in kv_cache.layers:
        layer.keys = _with_room(layer.keys, num_tokens)
        layer.values = _with_room(layer.values, num_tokens)
        layer.slot = slot


def unfix(kv_cache: Any, num_tokens: int) -> None:
    """Undoes `fix`, when `num_tokens` tokens have been written."""
    for layer in kv_cache.layers:
        layer.keys, layer.values = _buffer(layer.keys)[:, :, :num_tokens], _buffer(layer.values)[:, :, :num_tokens]
        layer.slot = None


@cache
def _layer_class() -> type[Any]:
    # Made on first use: the base class lives in transformers, which is heavy to import.
    from transformers.cache_utils import DynamicLayer

    class GrowingLayer(DynamicLayer):
        """Keys and values are views, shape (rows, heads, tokens, width), of buffers with room for more tokens."""

        is_croppable = False
        slot: torch.Tensor | None = None

        def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
            super().lazy_initialization(key_states, value_states)
            self.keys = key_states[:, :, :0].contiguous()
            self.values = value_states[:, :, :0].contiguous()

        def update(
            self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            if self.slot is not None:
                keys, values = _buffer(self.keys), _buffer(self.values)
                return keys.index_copy_(2, self.slot, key_states), values.index_copy_(2, self.slot, value_states)
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


def _with_room(held: torch.Tensor, num_tokens: int) -> torch.Tensor:
    buffer, length = _buffer(held), held.shape[2]
    if buffer.shape[2] != num_tokens:
        buffer = held.new_empty(held.shape[0], held.shape[1], num_tokens, held.shape[3])
        buffer[:, :, :length] = held
    # Attention multiplies what is masked by zero, which what an empty buffer happens to hold may not survive.
    buffer[:, :, length:] = 0
    return buffer[:, :, :length]


def _select(held: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    return _buffer(held).index_select(0, indices)[:, :, : held.shape[2]]


def _buffer(held: torch.Tensor) -> torch.Tensor:
    """What the view `held` is a view of, room included: its heads are one buffer's length apart."""
    rows, heads, _, width = held.shape
    return held.as_strided((rows, heads, held.stride(1) // width, width), held.stride())
