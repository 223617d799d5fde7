"""Whether recording the steps pays (`pebr_data.engines.step`): found out on a run's own first batches.

Recording gains where a step's kernels are slower to start than to run, which depends on the GPU, the model and the
rows; and it costs two steps each time that rows leave. So the first batches are done one way and the other, and what
took less time for a completion token is kept.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

_log = logging.getLogger(__name__)

WARM_UP = (False, True)
"""Recorded or not: the first batch of each kind loads kernels, and is not counted."""

COUNTED = (True, False, False, True)
"""Then these are. In this order neither gains when batches grow dearer or cheaper along the way."""


@dataclass(slots=True)
class _Spent:
    seconds: float = 0.0
    num_tokens: int = 0


class CompileTrial:
    """Which way the next batch is to be done.

    Args:
        compiled: True or False where that is settled; None to find it out.
    """

    def __init__(self, compiled: bool | None) -> None:
        self._turns = deque([*WARM_UP, *COUNTED] if compiled is None else [])
        self._settled = bool(compiled)
        self._spent = {True: _Spent(), False: _Spent()}

    @property
    def is_open(self) -> bool:
        """Whether it is still being found out."""
        return bool(self._turns)

    @property
    def compiled(self) -> bool:
        """Whether the next batch's steps are to be recorded."""
        return self._turns[0] if self._turns else self._settled

    def note(self, seconds: float, num_tokens: int) -> None:
        """What the batch took that was done as `compiled` said.

        Args:
            seconds: Its time.
            num_tokens: Its completion tokens, all rollouts together.
        """
        if not self._turns:
            return
        compiled = self._turns.popleft()
        if len(self._turns) < len(COUNTED):
            spent = self._spent[compiled]
            spent.seconds += seconds
            spent.num_tokens += num_tokens
        if not self._turns:
            recorded, plain = (
                self._spent[kind].seconds / max(1, self._spent[kind].num_tokens) for kind in (True, False)
            )
            self._settle(recorded < plain, f"{1e6 * recorded:.1f} against {1e6 * plain:.1f} µs a token")

    def give_up(self) -> None:
        """The memory did not hold a batch with its recording: no more are recorded."""
        self._settle(False, "the memory ran out")

    def _settle(self, compiled: bool, why: str) -> None:
        self._turns.clear()
        self._settled = compiled
        _log.info("steps are %s from here on: %s", "recorded" if compiled else "not recorded", why)
