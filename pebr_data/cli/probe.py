"""`pebr-data probe`: sample completions of a policy for the catalog's questions, and grade them."""

from __future__ import annotations

from typing import Annotated

import typer

from pebr_data.cli.options import DEFAULT_STORE, AsJson, CatalogPath, DryRun, Store


def probe(
    catalog: CatalogPath,
    model: Annotated[
        str, typer.Option("--model", metavar="MODEL", help="pebr-tiny, a directory, or a hub id with @revision.")
    ],
    split: Annotated[
        str | None, typer.Option("--split", help="The split to probe; the one in the YAML by default.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Probe the first N samples of the split.")] = None,
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Sample and grade a policy's answers.

    Only what is still owed is generated: an interrupted probe goes on where it stopped.
    """
