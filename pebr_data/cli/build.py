"""`pebr-data build`: from a catalog YAML to samples and images in the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, CatalogPath, Store, Wait
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk
from pebr_data.cli.progress import progress

if TYPE_CHECKING:
    from pebr_data.config import CatalogConfig
    from pebr_data.errors import PebrError
    from pebr_data.sources.preview import RowView, SourcePreview
    from pebr_data.types import Json

_CELL_CHARS = 60


def build(
    catalog: CatalogPath,
    store: Store = DEFAULT_STORE,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what the first rows of each source become; change nothing.")
    ] = False,
    num_rows: Annotated[
        int, typer.Option("--rows", min=1, max=1000, help="How many rows of each source --dry-run shows.")
    ] = 3,
) -> None:
    """Read a catalog's sources into the store.

    A source that was read before and has not changed is not read again.
    """
    from pebr_data.config import load_catalog_config

    config = load_catalog_config(catalog)
    if dry_run:
        _show_plan(config, store, as_json, num_rows)
        name_next("pebr-data", "build", catalog, *store_arguments(store, DEFAULT_STORE))
        return

    from pebr_data.catalog.ingest import build as build_catalog

    with progress("build", "candidates") as update:
        result = build_catalog(config, store, progress=lambda source, done: update(done, note=source))
    if as_json:
        print_json(
            {
                "catalog": result.catalog,
                "built": result.built,
                "skipped": result.skipped,
                "samples": dict(result.samples),
                "num_new": result.num_new,
                "num_existing": result.num_existing,
                "rejects": dict(result.rejects),
            }
        )
    else:
        rows = [*result.samples.items(), *((f"rejected: {reason}", count) for reason, count in result.rejects.items())]
        print_table((result.catalog, "samples"), rows)
    for source in result.skipped:
        talk(f"note: {source} was built before and has not changed")
    name_next("pebr-data", "probe", catalog, "--model", "MODEL", *store_arguments(store, DEFAULT_STORE))


def _show_plan(config: CatalogConfig, store: Path, as_json: bool, num_rows: int) -> None:
    """Print what a build would read and what the first rows become; then raise what would stop it."""
    from pebr_data.catalog.pending import pending
    from pebr_data.errors import DataError, UnavailableError
    from pebr_data.sources import preview

    owed = set(pending(config, store))
    plan: list[dict[str, Any]] = []
    failed: PebrError | None = None
    for source in config.sources:
        entry: dict[str, Any] = {"source": source.name, "type": source.type, "owed": source.name in owed}
        view = None
        try:
            view = preview.preview(source, config.base_dir, num_shown=num_rows)
            entry |= preview.as_json(view)
        except UnavailableError as error:
            entry["problem"] = f"its rows are not on this machine: {error}"
        except DataError as error:
            entry["problem"] = str(error)
            failed = failed or error
        plan.append(entry)
        if not as_json:
            _print_source(entry, view)
    if as_json:
        print_json({"catalog": config.name, "store": store, "sources": plan})
    if failed is not None:
        raise failed


def _print_source(entry: dict[str, Any], view: SourcePreview | None) -> None:
    would = "read it" if entry["owed"] else "nothing: built before"
    print_table(("source", "type", "would"), [(entry["source"], entry["type"], would)])
    if view is None:
        print(f"\n  {entry['problem']}\n")
        return
    total = "" if view.num_rows is None else f" of {view.num_rows:,}"
    print(f"\nthe first {view.num_looked_at}{total} rows: {view.num_candidates} samples")
    for reason, count in view.rejects.items():
        print(f"  {count} rejected: {reason}")
    for row in view.rows:
        _print_row(row)
    for warning in view.warnings:
        print(f"warning: {warning}")
    print()


def _print_row(row: RowView) -> None:
    print(f"\n{row.where}" + ("" if row.reason is None else f": rejected, {row.reason}"))
    cells = [
        (one.field, ", ".join(one.columns) or "–", _cell(one.raw), "–" if row.reason else _cell(one.value))
        for one in row.fields
    ]
    print_table(("field", "column", "holds", "becomes"), cells)


def _cell(value: Json) -> str:
    """A value on one line, cut to what a terminal shows."""
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return text if len(text) <= _CELL_CHARS else text[: _CELL_CHARS - 1] + "…"
