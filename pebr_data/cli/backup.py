"""`pebr-data backup`: a checksummed copy of the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, DryRun, Store, Wait
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments


def backup(
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="The directory that gets the copy; backups/ in the store by default."),
    ] = None,
    keep: Annotated[
        int, typer.Option("--keep", min=1, metavar="N", help="How many backups stay there, the newest ones.")
    ] = 5,
    store: Store = DEFAULT_STORE,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Copy the catalog while nobody writes it.

    The copy is read to its end before it counts. Images and spooled rollouts never change once written: any file copy
    keeps those.
    """
    from pebr_data.catalog.backup import backup as make_backup
    from pebr_data.catalog.backup import default_directory, list_backups
    from pebr_data.catalog.connection import CATALOG_FILE
    from pebr_data.catalog.store import Catalog

    root = default_directory(store) if to is None else to
    if dry_run:
        with Catalog.open(store, read_only=True):
            num_bytes = (store / CATALOG_FILE).stat().st_size
        dropped = [one.directory for one in list_backups(root)[keep - 1 :]]
        if as_json:
            print_json({"directory": root, "bytes": num_bytes, "dropped": dropped})
        else:
            rows = [("copy", store / CATALOG_FILE, num_bytes), *(("drop", old, None) for old in dropped)]
            print_table(("would", "what", "bytes"), rows)
        return
    made = make_backup(store, to, keep=keep)
    if as_json:
        print_json({"directory": made.directory, "created": made.created, "files": made.files})
    else:
        print(made.directory)
    name_next("pebr-data", "doctor", *store_arguments(store, DEFAULT_STORE))
