"""How a run tells people what it is doing: lines, and progress of what takes long. The command line brings its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

Update = Callable[..., None]
"""Called as `update(done, total=None, note="")`."""


@contextmanager
def _no_progress(title: str, unit: str) -> Iterator[Update]:
    yield lambda done, total=None, note="": None


@dataclass(frozen=True, slots=True)
class Voice:
    """Silent unless told otherwise.

    Attributes:
        say: Takes one line.
        progress: Opens the progress of what the `with` block does, by title and unit.
    """

    say: Callable[[str], None] = lambda line: None
    progress: Callable[[str, str], AbstractContextManager[Update]] = _no_progress

    def on_record(self) -> Voice:
        """The same, with every line in the log as well."""

        def say(line: str) -> None:
            logging.getLogger("pebr_train").info(line)
            self.say(line)

        return Voice(say, self.progress)
