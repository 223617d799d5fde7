"""Holding requests back while a server is down or overloaded, and giving up when that lasts.

After a refusal everybody waits: as long as the server asked for, else longer each time, with jitter. After an overload
all go on then; after a failure one request tries, and when it gets through the others follow.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from pebr_data.errors import UnavailableError

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


class Halted(Exception):
    """Nothing further is to be begun."""


@dataclass(slots=True)
class Breaker:
    """Who may ask the server, and when; for one event loop.

    Attributes:
        where: The server, for messages.
        patience_seconds: How long it may refuse everything before it is given up.
        halted: When true, whoever waits or comes is sent away with `Halted`.
        refused_since: When it first refused since it last answered; None while it answers.
        given_up: Why it was given up.
        next_try: When it may be asked again.
        num_pauses: Pauses of our own choice since it last answered.
        is_down: Whether one is to try before the others.
        tried_at: What `admit` gave that one while it is under way.
    """

    where: str
    patience_seconds: float
    halted: bool = False
    refused_since: float | None = None
    given_up: str | None = None
    next_try: float = 0.0
    num_pauses: int = 0
    is_down: bool = False
    tried_at: float | None = None

    async def admit(self, *, begun: bool = False) -> float:
        """Waits until the server may be asked; gives the time of that, which `refused` wants.

        Args:
            begun: What is asked ends something that was begun: it is still asked of a server that answers.

        Raises:
            Halted: Nothing further is to be begun.
            UnavailableError: The server has refused for longer than `patience_seconds`.
        """
        while True:
            if self.halted and not (begun and self.refused_since is None):
                raise Halted
            if self.given_up is not None:
                raise UnavailableError(
                    f"the server cannot be used: {self.given_up}",
                    where=self.where,
                    help="see to the server, then run the command again; what was kept stays, the rest is owed",
                )
            now = time.monotonic()
            if self.refused_since is None or (now >= self.next_try and self.tried_at is None):
                self.tried_at = now if self.is_down else None
                return now
            await asyncio.sleep(min(0.1, max(0.01, self.next_try - now)))

    def refused(self, admitted_at: float, reason: str, *, overloaded: bool, retry_after: float | None = None) -> None:
        """Note that the server does not take requests.

        Args:
            admitted_at: What `admit` gave the request that found out.
            reason: What it found.
            overloaded: Whether the server is up and merely wants fewer requests.
            retry_after: How long it wants to be left alone, in seconds.
        """
        now = time.monotonic()
        # What was under way when the pause began says nothing new, though it may lengthen it; the one that tries does.
        is_news = self.refused_since is None or admitted_at >= self.next_try or admitted_at == self.tried_at
        if is_news:
            self.is_down, self.tried_at = not overloaded, None
        if self.refused_since is None:
            self.refused_since = now
        if retry_after is None and is_news:
            longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self.num_pauses)
            retry_after = longest * random.uniform(0.5, 1.0)
            self.num_pauses += 1
        # Whoever set out before the pause that is on met the same failure, not another one.
        self.next_try = max(self.next_try, now + (retry_after or 0.0))
        if self.next_try - self.refused_since > self.patience_seconds:
            self.given_up = reason

    def answered(self) -> None:
        """Note that the server answers."""
        self.refused_since, self.num_pauses, self.is_down, self.tried_at = None, 0, False, None

    def undecided(self) -> None:
        """Note that a request ended without telling whether the server is up."""
        self.tried_at = None
