"""`pebr-data query`: one SELECT, and nothing that a SELECT could be used for beyond reading the catalog."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pebr_data.catalog.ask import ask
from pebr_data.cli import main as pebr_data
from pebr_data.errors import PebrError, RefusedError, UsageError
from tests.probed_store import fill


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("query") / "store"
    fill(store, {"train": 3})
    return store


def rows(store: Path, sql: str, **bounds: float) -> list[tuple[object, ...]]:
    return ask(store, sql, **{"limit": 10, "seconds": 20.0, "memory_gb": 1.0, **bounds}).rows.rows()  # type: ignore[arg-type]


def test_a_select_is_answered_in_each_form(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "SELECT question, keywords, position AS n, position AS n FROM samples ORDER BY position"
    assert pebr_data(["query", sql, "--json", "--limit", "2", "--store", str(store)]) == 0
    said = capsys.readouterr()
    assert [(row["n"], row["n_1"], row["keywords"]) for row in json.loads(said.out)] == [
        (0, 0, ["circle"]), (1, 1, ["circle"]),
    ]  # fmt: skip
    assert "only the first 2 rows" in said.err
    assert pebr_data(["query", sql, "--csv", "--store", str(store)]) == 0
    assert capsys.readouterr().out.splitlines()[1] == 'How many circles are there in picture 0?,"[""circle""]",0,0'


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM samples", "SELECT 1; SELECT 2", "", "SELEC 1", "SELECT nothing FROM samples",
        "ATTACH '/tmp/other.duckdb'", "COPY samples TO '/tmp/samples.csv'", "INSTALL httpfs", "LOAD httpfs",
        "SET memory_limit = '90GB'", "PRAGMA database_list", "CREATE TABLE t (x INTEGER)",
        "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/*')", "SELECT getenv('HOME')",
    ],
)  # fmt: skip
def test_anything_else_is_refused(store: Path, sql: str) -> None:
    with pytest.raises(UsageError):
        rows(store, sql)


def test_a_query_that_takes_too_long_is_ended(store: Path) -> None:
    with pytest.raises(RefusedError, match=r"within 0\.5 s"):
        rows(store, "SELECT count(*) FROM range(1000000000000) AS a WHERE hash(a.range) = 1", seconds=0.5)


def test_a_query_that_takes_too_much_memory_is_ended(store: Path) -> None:
    with pytest.raises(RefusedError, match="memory"):
        rows(store, "SELECT count(DISTINCT repeat(range::VARCHAR, 20)) FROM range(100000000)", memory_gb=0.3)


def test_where_there_is_no_catalog_the_error_is_the_usual_one(tmp_path: Path) -> None:
    with pytest.raises(PebrError, match="there is no catalog") as caught:
        rows(tmp_path, "SELECT 1")
    assert caught.value.exit_code == 65
