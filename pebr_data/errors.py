"""The exceptions a user can meet, each with its exit code and the next command.

    PebrError
    ├── UsageError          2   the command line is wrong
    ├── DataError          65   a sample, image, shard or catalog is not usable
    ├── UnavailableError   69   a server or model cannot be reached
    ├── StorageError       74   reading or writing failed
    ├── BusyError          75   somebody else holds the catalog: retry
    ├── RefusedError       77   refused by policy
    ├── ConfigError        78   a YAML or a recipe is wrong
    └── Interrupted   130, 143   SIGINT or SIGTERM; what was acknowledged is kept

Anything else that escapes is our bug (exit code 1).
"""

from __future__ import annotations

import signal


class PebrError(Exception):
    """Something the user can act on.

    Args:
        what: What went wrong and what was expected, in one line.
        where: The file, line, sample or command it concerns.
        help: The next command or change that gets the user on.
    """

    exit_code: int = 1

    def __init__(self, what: str, *, where: str | None = None, help: str | None = None) -> None:
        super().__init__(what if where is None else f"{what}, {where}")
        self.what = what
        self.where = where
        self.help = help


class UsageError(PebrError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = 2


class DataError(PebrError):
    """A sample, image, shard or catalog cannot be used."""

    exit_code = 65


class UnavailableError(PebrError):
    """A server, a model or an optional package cannot be reached."""

    exit_code = 69


class StorageError(PebrError):
    """Reading or writing a file failed."""

    exit_code = 74


class BusyError(PebrError):
    """Another process holds the catalog or the run; nothing was changed."""

    exit_code = 75


class RefusedError(PebrError):
    """pebr could do it, but doing so would damage or mix results."""

    exit_code = 77


class ConfigError(PebrError):
    """A YAML file is wrong.

    Args:
        problems: Every mistake found, each `file:line: message`, so that all are mended at once.
    """

    exit_code = 78

    def __init__(
        self, what: str, *, where: str | None = None, help: str | None = None, problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(what, where=where, help=help)
        self.problems = problems


class Interrupted(PebrError):
    """A signal ended the work early; everything acknowledged before is kept.

    Args:
        number: The signal; the exit code is 128 + its number, as shells have it.
        resume: The command that goes on.
    """

    exit_code = 130

    def __init__(self, number: signal.Signals, *, resume: str) -> None:
        super().__init__("interrupted", help=f"what was finished is kept; go on with: {resume}")
        self.number = number
        self.resume = resume
        self.exit_code = 128 + number
