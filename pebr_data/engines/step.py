"""One token for every row of the batch: as the model's code says, or recorded once as a CUDA graph and replayed.

A step of a model with 36 layers is more than a thousand small kernels, and a GPU does each faster than Python starts
the next. A graph starts them together. It is bound to the number of rows and to buffers of one length, so it is
recorded again when rows leave and when the buffers are full; recording costs about two steps.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

from pebr_data.engines.kv_cache import can_be_fixed, fix, unfix

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)
_unrecordable: WeakSet[Any] = WeakSet()
"""Models whose recording has failed."""

ROOM = 128
"""Tokens between two recordings, at most."""

MULTIPLE = 64
"""Buffers are a multiple of this long: the fast kernels want masks that are aligned."""


class Step(Protocol):
    """The model after the prompts."""

    def __call__(self, token: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """Logits, (rows, vocabulary), after one more token, (rows,), at its position, (rows, 1).

        They may be overwritten by the next call.
        """
        ...

    def select(self, rows: torch.Tensor) -> None:
        """Only these rows, (kept rows,), stay in the batch."""
        ...


def open_step(model: Any, kv_cache: Any, mask: torch.Tensor | None, compiled: bool) -> Step:
    """The step after a prefill.

    Args:
        model: As for `decode`.
        kv_cache: The rows' keys and values, of the prompts so far.
        mask: Which of the prompts' tokens count, (rows, tokens); None when all do.
        compiled: Whether to record it. Caches with a sliding window or a state cannot be, nor models for which it
            has failed: they are run as they are.
    """
    if compiled and model not in _unrecordable and can_be_fixed(kv_cache):
        return FixedStep(model, kv_cache, mask)
    return PlainStep(model, kv_cache, mask)


class PlainStep:
    """The model's own code on a cache that grows; see `open_step`."""

    def __init__(self, model: Any, kv_cache: Any, mask: torch.Tensor | None) -> None:
        self._model, self._kv_cache, self._mask = model, kv_cache, mask

    def __call__(self, token: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """Logits after one more token; see `Step`."""
        import torch

        if self._mask is not None:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._mask), 1)], dim=1)
        return _logits(self._model, self._kv_cache, token[:, None], self._mask, position)

    def select(self, rows: torch.Tensor) -> None:
        """Only these rows stay in the batch."""
        self._kv_cache.batch_select_indices(rows)
        self._mask = None if self._mask is None else self._mask[rows]


class FixedStep:
    """The model on buffers of a fixed length, on a GPU as a graph; see `open_step`."""

    def __init__(self, model: Any, kv_cache: Any, mask: torch.Tensor | None) -> None:
        self._model, self._kv_cache = model, kv_cache
        self._prompt_mask = mask
        self._held, self._room = kv_cache.get_seq_length(), 0
        self._graph: Any = None

    def __call__(self, token: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """Logits after one more token; see `Step`."""
        if self._held >= self._room:
            self._prepare(token, position)
        self._token.copy_(token[:, None])
        self._position.copy_(position)
        self._slot.fill_(self._held)
        self._held += 1
        if self._graph is None:
            return self._run()
        self._graph.replay()
        return self._logits

    def select(self, rows: torch.Tensor) -> None:
        """Only these rows stay in the batch."""
        if self._room:
            unfix(self._kv_cache, self._held)
        self._kv_cache.batch_select_indices(rows)
        self._prompt_mask = None if self._prompt_mask is None else self._prompt_mask[rows]
        self._room = 0

    def _prepare(self, token: torch.Tensor, position: torch.Tensor) -> None:
        """Lays the tensors out that every step reads and writes, and records the step on a GPU."""
        import torch

        if self._room:
            unfix(self._kv_cache, self._held)
        self._room = -(-(self._held + ROOM) // MULTIPLE) * MULTIPLE
        self._token, self._position = token[:, None].clone(), position.clone()
        self._slot = torch.full((1,), self._held, device=token.device)
        fix(self._kv_cache, self._slot, self._room)
        # Added to the attention's scores, (rows, 1, 1, room): the form that no layer has to convert.
        dtype = self._kv_cache.layers[0].keys.dtype
        self._mask = torch.full((len(token), 1, 1, self._room), float("-inf"), dtype=dtype, device=token.device)
        self._mask[..., : self._held] = 0
        if self._prompt_mask is not None:
            prompt = self._mask[:, 0, 0, : self._prompt_mask.shape[1]]
            prompt.masked_fill_(self._prompt_mask == 0, float("-inf"))
        if _on_gpu(token) and self._model not in _unrecordable:
            self._record()

    def _record(self) -> None:
        import torch

        # Once as it is, which loads kernels: a recording may not. It writes where the replay will write the same.
        self._run()
        # The old graph stays until the new one has taken over its memory.
        pool = None if self._graph is None else self._graph.pool()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                self._logits = self._run()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # a model that looks at its tensors' values cannot be recorded
            _log.warning("the model's steps cannot be recorded, and run as they are: %s", error)
            _unrecordable.add(self._model)
            self._graph = None
        else:
            self._graph = graph

    def _run(self) -> torch.Tensor:
        self._mask.index_fill_(3, self._slot, 0)
        return _logits(self._model, self._kv_cache, self._token, self._mask, self._position)


def _on_gpu(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "cuda"


def _logits(
    model: Any, kv_cache: Any, token: torch.Tensor, mask: torch.Tensor | None, position: torch.Tensor
) -> torch.Tensor:
    output = model(
        input_ids=token, attention_mask=mask, position_ids=position, past_key_values=kv_cache, use_cache=True
    )
    logits: torch.Tensor = output.logits[:, -1]
    return logits
