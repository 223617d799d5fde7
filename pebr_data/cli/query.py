"""`pebr-data query`: one SELECT over the catalog."""

from __future__ import annotations

import csv
import json
import sys
from typing import Annotated

import typer

from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, Store, Wait
from pebr_data.cli.output import print_json, print_table, talk


def query(
    sql: Annotated[str, typer.Argument(metavar="SELECT", help="One SELECT statement; 'SHOW TABLES' lists the tables.")],
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="How many rows to print at most.")] = 1000,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, metavar="SECONDS", help="How long it may take.")
    ] = 30.0,
    memory: Annotated[
        float, typer.Option("--memory", min=0.1, metavar="GB", help="How much memory it may take.")
    ] = 2.0,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the rows as CSV on stdout.")] = False,
    store: Store = DEFAULT_STORE,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
) -> None:
    """Answer one SELECT over the catalog.

    It is opened for reading, with files, extensions and settings locked, and bounded in memory and time.
    """
    from pebr_data.catalog.ask import ask

    answer = ask(store, sql, limit=limit, seconds=seconds, memory_gb=memory)
    if as_json:
        print_json(answer.rows.to_dicts())
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.rows.columns)
        writer.writerows([_plain(value) for value in row] for row in answer.rows.iter_rows())
    else:
        print_table(answer.rows.columns, [[_plain(value) for value in row] for row in answer.rows.iter_rows()])
    if answer.is_cut:
        talk(f"note: only the first {limit:,} rows are shown; --limit N shows more")


def _plain(value: object) -> object:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else value
