"""`pebr-data build`: from a catalog YAML to samples and images in the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pebr_data.cli.options import DEFAULT_STORE, AsJson, CatalogPath, DryRun, Store
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk
from pebr_data.cli.progress import progress

if TYPE_CHECKING:
    from pebr_data.config import CatalogConfig


def build(catalog: CatalogPath, store: Store = DEFAULT_STORE, as_json: AsJson = False, dry_run: DryRun = False) -> None:
    """Read a catalog's sources into the store.

    A source that was read before and has not changed is not read again.
    """
    from pebr_data.config import load_catalog_config

    config = load_catalog_config(catalog)
    if dry_run:
        _print_plan(config, store, as_json)
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


def _print_plan(config: CatalogConfig, store: Path, as_json: bool) -> None:
    from pebr_data.catalog.pending import pending

    owed = set(pending(config, store))
    plan: list[dict[str, Any]] = [
        {"source": source.name, "type": source.type, "owed": source.name in owed} for source in config.sources
    ]
    if as_json:
        print_json({"catalog": config.name, "store": store, "sources": plan})
    else:
        rows = [(row["source"], row["type"], "read it" if row["owed"] else "nothing: built before") for row in plan]
        print_table(("source", "type", "would"), rows)
