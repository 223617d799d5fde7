"""From exceptions to exit codes: the one place where a command ends.

    code = run_app(app, argv)      # prints `error: …` and `help: …` on stderr; a traceback only with --debug

Exit codes: 0 done; 1 our bug; 2 usage; 65 bad data; 69 unavailable; 74 I/O; 75 busy, retry; 77 refused by policy;
78 bad configuration; 130 and 143 interrupted.
"""

from __future__ import annotations

import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import typer
from typer.exceptions import TyperException

from pebr_data.errors import ConfigError, Interrupted, PebrError, StorageError, UnavailableError

BUG = 1
TRAIN_PACKAGES = frozenset({"accelerate", "datasets", "huggingface_hub", "jinja2", "torch", "transformers", "trl"})
"""What the extra `train` brings. Without it such a package is missing, which is no bug."""


def run_app(app: typer.Typer, argv: Sequence[str] | None = None) -> int:
    """Run a typer application and return its exit code, with every error told in pebr's style.

    `--debug` is understood anywhere on the command line and adds the traceback.

    Args:
        app: The application; its `name` is the program's name.
        argv: The arguments without the program's name; those of the process by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    program = app.info.name if isinstance(app.info.name, str) else "pebr"
    command = shlex.join([program, *arguments])
    try:
        with _terminable(command):
            result = app(arguments, prog_name=program, standalone_mode=False)
    except TyperException as error:
        tell(error.format_message().rstrip("."), help=f"{_help_command(program, error)}")
        return error.exit_code
    except PebrError as error:
        _traceback(debug)
        tell_error(error)
        return error.exit_code
    except OSError as error:
        _traceback(debug)
        where = f", {error.filename}" if error.filename else ""
        tell(f"{error.strerror or error}{where}", help=f"see to that, then run it again: {command}")
        return StorageError.exit_code
    except Exception as error:
        _traceback(debug)
        if isinstance(error, ModuleNotFoundError) and error.name in TRAIN_PACKAGES:
            tell(f"this needs a package that is not installed: {error.name}", help="pip install 'pebr[train]'")
            return UnavailableError.exit_code
        seen = "see the traceback above" if debug else f"{command} --debug shows the traceback"
        tell(f"unexpected {type(error).__name__}: {error}", help=f"this is a bug in pebr; {seen}")
        return BUG
    if result == Interrupted.exit_code:
        # Typer makes this of a KeyboardInterrupt.
        tell_error(Interrupted(signal.SIGINT, resume=command))
    return result if isinstance(result, int) else 0


def tell_error(error: PebrError) -> None:
    """Print an error on stderr: what and where, every problem of a configuration, and the next command."""
    tell(str(error), problems=error.problems if isinstance(error, ConfigError) else (), help=error.help)


def tell(what: str, *, problems: Sequence[str] = (), help: str | None = None) -> None:
    """Print `error: what`, one line a problem, and `help: …` on stderr."""
    lines = [f"error: {what}", *(f"  {problem}" for problem in problems)]
    if help is not None:
        lines.append(f"help: {help}")
    print("\n".join(lines), file=sys.stderr, flush=True)


@contextmanager
def _terminable(command: str) -> Iterator[None]:
    """SIGTERM ends the command like Ctrl-C does, with clean-up and the command to go on, instead of at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise Interrupted(signal.Signals(number), resume=command)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _help_command(program: str, error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else program
    return f"{path} --help"


def _traceback(debug: bool) -> None:
    if debug:
        traceback.print_exc(file=sys.stderr)
