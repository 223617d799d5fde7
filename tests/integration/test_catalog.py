"""Opening the catalog: creation, locks, schema versions, damaged files."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest

from pebr_data.catalog import connection as connection_module
from pebr_data.catalog import schema
from pebr_data.catalog.connection import CATALOG_FILE, connect, transaction
from pebr_data.catalog.store import Catalog
from pebr_data.errors import BusyError, DataError, RefusedError, StorageError


def test_opening_creates_the_store_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    store = tmp_path / "deep" / "store"
    with Catalog.open(store) as catalog:
        assert catalog.names() == []
        assert catalog.samples() == []
    assert [path.name for path in store.iterdir()] == [CATALOG_FILE]


def test_reading_a_store_without_a_catalog_names_the_build_and_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no catalog") as caught, Catalog.open(tmp_path / "none", read_only=True):
        pass
    assert "pebr-data build" in str(caught.value.help)
    assert not (tmp_path / "none").exists()


def test_a_store_that_cannot_be_created_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="could not be created"), Catalog.open(tmp_path / "file" / "store"):
        pass


def test_two_threads_may_create_the_same_catalog(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def create() -> None:
        try:
            with Catalog.open(tmp_path / "store") as catalog:
                catalog.names()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [path.name for path in (tmp_path / "store").iterdir()] == [CATALOG_FILE]


def test_a_closed_catalog_cannot_be_used(tmp_path: Path) -> None:
    with Catalog.open(tmp_path) as catalog:
        pass
    with pytest.raises(duckdb.ConnectionException):
        catalog.names()


HOLD = """
import sys
from pathlib import Path
from pebr_data.catalog.store import Catalog
with Catalog.open(Path(sys.argv[1]), read_only=sys.argv[2] == "read"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def hold(tmp_path: Path):
    holders: list[subprocess.Popen[str]] = []

    def start(mode: str) -> subprocess.Popen[str]:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        return holder

    yield start
    for holder in holders:
        holder.communicate("done\n", timeout=240)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_held_catalog_is_busy_and_names_the_holder(tmp_path: Path, hold, read_only: bool) -> None:
    holder = hold("write")
    with (
        pytest.raises(BusyError, match=rf"process {holder.pid} \(-c .*, writing since .*\) holds the catalog"),
        Catalog.open(tmp_path, read_only=read_only, wait_seconds=0.2),
    ):
        pass


def test_opening_waits_until_the_holder_lets_go(tmp_path: Path, hold) -> None:
    holder = hold("write")
    assert holder.stdin is not None
    timer = threading.Timer(0.3, lambda: (holder.stdin.write("done\n"), holder.stdin.flush()))
    timer.start()
    with Catalog.open(tmp_path, wait_seconds=240.0) as catalog:
        assert catalog.names() == []


def test_readers_share_the_catalog_and_keep_writers_out(tmp_path: Path, hold) -> None:
    with Catalog.open(tmp_path):
        pass
    hold("read")
    with Catalog.open(tmp_path, read_only=True, wait_seconds=0) as catalog:
        assert catalog.names() == []
    with pytest.raises(BusyError), Catalog.open(tmp_path, wait_seconds=0.1):
        pass


def test_a_reading_thread_waits_for_a_writing_thread_of_the_same_process(tmp_path: Path) -> None:
    with Catalog.open(tmp_path):
        with pytest.raises(BusyError, match="another thread"), Catalog.open(tmp_path, read_only=True, wait_seconds=0.1):
            pass
        seen: list[list[str]] = []

        def read() -> None:
            with Catalog.open(tmp_path, read_only=True) as catalog:
                seen.append(catalog.names())

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.1)
        assert seen == []
    thread.join()
    assert seen == [[]]


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    with connect(tmp_path, read_only=False, wait_seconds=0):
        pass
    with connect(tmp_path, read_only=True, wait_seconds=0) as connection, pytest.raises(duckdb.Error):
        connection.execute("DELETE FROM samples")


def test_catalog_sql_reaches_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    with connect(tmp_path, read_only=False, wait_seconds=0) as connection, pytest.raises(duckdb.PermissionException):
        connection.execute(f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')")


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    with connect(tmp_path, read_only=False, wait_seconds=0) as connection:
        with pytest.raises(ZeroDivisionError), transaction(connection):
            connection.execute("INSERT INTO catalogs VALUES ('x', TIMESTAMP '2026-01-01')")
            raise ZeroDivisionError
        assert connection.execute("SELECT count(*) FROM catalogs").fetchall() == [(0,)]


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    with connect(tmp_path, read_only=False, wait_seconds=0) as connection:
        connection.execute("INSERT INTO migrations VALUES (1000, 'm1000_later', TIMESTAMP '2099-01-01')")
    for read_only in (True, False):
        with pytest.raises(RefusedError, match="schema 1000") as caught, Catalog.open(tmp_path, read_only=read_only):
            pass
        assert caught.value.exit_code == 77
        assert "upgrade pebr" in str(caught.value.help)


@pytest.mark.parametrize("read_only", [True, False])
def test_an_older_schema_is_migrated_once_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool
) -> None:
    with Catalog.open(tmp_path):
        pass

    def m998_notes(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("CREATE TABLE notes (note VARCHAR)")

    migrations = (*schema.MIGRATIONS, m998_notes)
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 998)
    monkeypatch.setattr(connection_module, "SCHEMA_VERSION", 998)
    for _ in range(2):
        with connect(tmp_path, read_only=read_only, wait_seconds=5) as connection:
            names = connection.execute("SELECT name FROM migrations ORDER BY number").fetchall()
            assert names == [(migration.__name__,) for migration in migrations]
            assert connection.execute("SELECT count(*) FROM notes").fetchall() == [(0,)]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Catalog.open(tmp_path):
        pass

    def m999_broken(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("CREATE TABLE notes (note VARCHAR)")
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, m999_broken))
        patch.setattr(connection_module, "SCHEMA_VERSION", 999)
        patch.setattr(schema, "SCHEMA_VERSION", 999)
        with pytest.raises(ZeroDivisionError), Catalog.open(tmp_path):
            pass
    with connect(tmp_path, read_only=True, wait_seconds=0) as connection:
        assert connection.execute("SELECT max(number) FROM migrations").fetchall() == [(schema.SCHEMA_VERSION,)]
        assert connection.execute("SELECT * FROM duckdb_tables() WHERE table_name = 'notes'").fetchall() == []


def test_every_migration_is_named_by_its_number() -> None:
    numbers = [schema.number_of(migration) for migration in schema.MIGRATIONS]
    assert numbers == sorted(set(numbers))
    for migration in schema.MIGRATIONS:
        assert re.fullmatch(r"m\d{3}_[a-z_]+", migration.__name__)
        assert migration.__doc__


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 1000], ids=["empty", "text"])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path, content: bytes, read_only: bool) -> None:
    (tmp_path / CATALOG_FILE).write_bytes(content)
    with (
        pytest.raises(DataError, match="not a readable DuckDB database") as caught,
        Catalog.open(tmp_path, read_only=read_only),
    ):
        pass
    assert str(tmp_path / CATALOG_FILE) in str(caught.value)
    assert (tmp_path / CATALOG_FILE).read_bytes() == content


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    other = duckdb.connect(str(tmp_path / CATALOG_FILE))
    other.execute("CREATE TABLE theirs (x INTEGER)")
    other.close()
    with pytest.raises(DataError, match="not a pebr catalog"), Catalog.open(tmp_path):
        pass


def test_a_file_where_the_store_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("x", encoding="utf-8")
    for read_only in (True, False):
        with pytest.raises(StorageError, match="this is a file"), Catalog.open(tmp_path / "store", read_only=read_only):
            pass
