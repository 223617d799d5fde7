"""Batches of prompts of like length: padding costs time, on the CPU above all.

Requests wait in a pool of bounded size; each batch is taken from where most of one length wait.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, repeat

from pebr_data.engines.base import Request

POOL_BATCHES = 16
"""How many batches' rows may wait."""

FIRST_POOL_BATCHES = 4
"""How many wait before the first batch; one more before each further one, so that an engine need not wait for all."""

POOL_PIXELS = 200_000_000
"""How many image pixels may wait: 600 MB as RGB."""

Length = tuple[bool, int]
"""Whether the prompt shows an image, and about how many tokens it has. The two kinds never share a batch."""


@dataclass(slots=True)
class BatchSize:
    """How many rollouts are generated together.

    Attributes:
        rows: At most this many; lowered when the memory runs out, for all later batches too.
        enough: A batch with this many of one length is not filled up with other lengths.
        tokens: Prompt and completion tokens that memory holds, all rollouts together; None when that is not known.
        max_completion_length: Completion tokens of a rollout at most.
    """

    rows: int
    enough: int
    tokens: int | None = None
    max_completion_length: int = 0

    def rows_of(self, num_prompt_tokens: int) -> int:
        """How many rollouts may be generated together behind prompts of about this length, at least 1."""
        if self.tokens is None:
            return self.rows
        return max(1, min(self.rows, self.tokens // (num_prompt_tokens + self.max_completion_length)))


def batches(
    requests: Iterable[Request], length_of: Callable[[Request], Length], size: BatchSize
) -> Iterator[list[Request]]:
    """The requests in batches of as many rollouts as `size` allows, each of one length where enough of it wait.

    Args:
        requests: Read as the pool has room.
        length_of: Estimates a prompt's length; equal estimates should mean equal lengths.
        size: Read anew for each batch.
    """
    pool: defaultdict[Length, list[Request]] = defaultdict(list)
    rows = pixels = 0
    source = iter(requests)
    exhausted = False
    for num_batches in chain(range(FIRST_POOL_BATCHES, POOL_BATCHES), repeat(POOL_BATCHES)):
        while not exhausted and rows < num_batches * size.rows and pixels < POOL_PIXELS:
            request = next(source, None)
            if request is None:
                exhausted = True
                break
            length = length_of(request)
            for piece in _pieces(request, size.rows_of(length[1])):
                pool[length].append(piece)
                rows += len(piece.keys)
                pixels += piece.num_pixels
        if not pool:
            return
        batch = _take(pool, size)
        rows -= sum(len(request.keys) for request in batch)
        pixels -= sum(request.num_pixels for request in batch)
        yield batch


def _take(pool: dict[Length, list[Request]], size: BatchSize) -> list[Request]:
    """Removes a batch: from the length with most rows, and from the nearest ones while it has not enough."""
    fullest = max(pool, key=lambda length: (_num_rows(pool[length]), length))
    nearest = sorted((length for length in pool if length[0] == fullest[0]), key=lambda x: (abs(x[1] - fullest[1]), x))
    batch: list[Request] = []
    rows = longest = 0
    for length in nearest:
        # Shorter prompts are padded to the longest.
        limit = size.rows_of(max(longest, length[1]))
        if batch and rows >= min(limit, size.enough):
            break
        waiting = pool[length]
        while waiting and (not batch or rows + len(waiting[-1].keys) <= limit):
            longest = max(longest, length[1])
            batch.append(waiting.pop())
            rows += len(batch[-1].keys)
        if not waiting:
            del pool[length]
    return batch


def _num_rows(requests: list[Request]) -> int:
    return sum(len(request.keys) for request in requests)


def _pieces(request: Request, max_rows: int) -> Iterator[Request]:
    for start in range(0, len(request.keys), max_rows):
        yield replace(request, keys=request.keys[start : start + max_rows])
