"""A question to the catalog in SQL: one SELECT, which can read nothing else and ends in time.

The statement runs in a process of its own: DuckDB's memory limit is no bound (it counts its buffers alone), and not
every operator looks whether it was interrupted. The process is.
"""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl
from pyarrow import ipc

from pebr_data.catalog.connection import connect, patience
from pebr_data.errors import PebrError, RefusedError, UsageError

GRACE_SECONDS = 5.0
"""How long a statement may take to notice that its time is over, and a process to start, before it is killed."""

_LOCKED = (
    "SET threads = 2",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET max_temp_directory_size = '4GB'",
    "SET lock_configuration = true",
)
_REFUSED, _WRONG, _OTHER = 3, 4, 5

MISTAKES = (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError, duckdb.PermissionException)
"""What DuckDB raises for a statement that cannot be answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a SELECT gave: its first rows, and whether there were more."""

    rows: pl.DataFrame
    is_cut: bool


def ask(store: Path, sql: str, *, limit: int, seconds: float, memory_gb: float) -> Answer:
    """The first rows of one SELECT over the store's catalog.

    It can read no file, load no extension and change nothing.

    Args:
        store: The store's directory.
        sql: The statement.
        limit: Rows to give at most.
        seconds: Time it may take, waiting for other processes not counted.
        memory_gb: Memory it may take.

    Raises:
        RefusedError: It took too long or too much memory.
        UsageError: It is not one SELECT, or not one that DuckDB understands.
        PebrError: The catalog cannot be opened.
    """
    wait = patience.get()
    question = {
        "store": str(store), "sql": sql, "limit": limit, "seconds": seconds, "memory_gb": memory_gb, "wait": wait,
        "argv": sys.argv,
    }  # fmt: skip
    child = subprocess.Popen(
        [sys.executable, "-m", "pebr_data.catalog.ask"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = child.communicate(json.dumps(question).encode(), timeout=wait + seconds + GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        raise _too_slow(seconds) from None
    finally:
        child.kill()
        child.wait()
    if child.returncode == 0:
        rows = pl.read_ipc_stream(io.BytesIO(out))
        return Answer(rows.head(limit), len(rows) > limit)
    if child.returncode in (_REFUSED, _WRONG, _OTHER):
        told = json.loads(err.decode().strip().splitlines()[-1])
        error = {_REFUSED: RefusedError, _WRONG: UsageError}.get(child.returncode, PebrError)(
            told["what"], where=told["where"], help=told["help"]
        )
        error.exit_code = told["exit_code"]
        raise error
    # The system refused it memory where nobody asks.
    raise _too_large(memory_gb)


def _answer(question: dict[str, object]) -> bytes:
    """The answer as an Arrow stream; runs in the child."""
    sql, limit, seconds = str(question["sql"]), int(str(question["limit"])), float(str(question["seconds"]))
    memory_gb = float(str(question["memory_gb"]))
    with connect(Path(str(question["store"])), read_only=True, wait_seconds=float(str(question["wait"]))) as connection:
        require_one_select(connection, sql)
        connection.execute(f"SET memory_limit = '{memory_gb * 0.8:.3f}GB'")
        for setting in _LOCKED:
            connection.execute(setting)
        _bound(memory_gb, seconds)
        timer = threading.Timer(seconds, connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            found = connection.sql(sql)
            names = _distinct(found.columns)
            table = found.limit(limit + 1).to_arrow_table().rename_columns(names)
            stream = io.BytesIO()
            with ipc.new_stream(stream, table.schema) as writer:
                writer.write_table(table)
            return stream.getvalue()
        except duckdb.InterruptException:
            raise _too_slow(seconds) from None
        except (duckdb.OutOfMemoryException, MemoryError):
            raise _too_large(memory_gb) from None
        except MISTAKES as error:
            raise mistaken(error) from None
        finally:
            timer.cancel()


def require_one_select(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Checks that a text is one SELECT.

    Raises:
        UsageError: It is something else.
    """
    help = "pebr-data query 'SHOW TABLES' lists what there is to select from"
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise UsageError(_first_line(error), help=help) from None
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise UsageError("one SELECT is answered, and nothing else", help=help)


def mistaken(error: duckdb.Error) -> UsageError:
    """What one of `MISTAKES` comes to."""
    return UsageError(_first_line(error), help="pebr-data query 'DESCRIBE samples' lists a table's columns")


def _bound(memory_gb: float, seconds: float) -> None:
    """Holds this process to that much more memory, and to the processor time that two threads have."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if _has_proc() else 2**32
    resource.setrlimit(resource.RLIMIT_AS, (used + int(memory_gb * 1e9),) * 2)
    cpu = int(2 * (seconds + GRACE_SECONDS)) + 10
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _has_proc() -> bool:
    return os.path.exists("/proc/self/statm")  # noqa: PTH110


def _first_line(error: duckdb.Error) -> str:
    return str(error).strip().splitlines()[0]


def _distinct(names: list[str]) -> list[str]:
    """Column names of which no two are alike: a frame cannot have them."""
    found: list[str] = []
    for name in names:
        number, candidate = 1, name
        while candidate in found:
            candidate, number = f"{name}_{number}", number + 1
        found.append(candidate)
    return found


def _too_slow(seconds: float) -> RefusedError:
    return RefusedError(
        f"the query did not finish within {seconds:g} s", help="ask for less, or allow more with --seconds"
    )


def _too_large(memory_gb: float) -> RefusedError:
    return RefusedError(
        f"the query needs more than {memory_gb:g} GB of memory", help="ask for less, or allow more with --memory"
    )


def _main() -> int:
    question = json.loads(sys.stdin.buffer.read())
    sys.argv = question["argv"]
    try:
        sys.stdout.buffer.write(_answer(question))
        sys.stdout.buffer.flush()
        return 0
    except PebrError as error:
        told = {"what": error.what, "where": error.where, "help": error.help, "exit_code": error.exit_code}
        print(json.dumps(told), file=sys.stderr)
        return _REFUSED if isinstance(error, RefusedError) else _WRONG if isinstance(error, UsageError) else _OTHER


if __name__ == "__main__":
    # Straight out: freeing what the answer took is the system's business.
    code = _main()
    sys.stderr.flush()
    os._exit(code)
