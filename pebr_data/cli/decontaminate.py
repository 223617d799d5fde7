"""`pebr-data decontaminate`: mark samples that a benchmark has too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, CatalogPath, DryRun, Forget, Radius, Store, Wait
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk
from pebr_data.errors import UsageError

if TYPE_CHECKING:
    from pebr_data.select.decontaminate import Overlap


def decontaminate(
    catalog: CatalogPath,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", metavar="BENCHMARK.yaml", help="A benchmark's catalog; may be given several times."),
    ] = None,
    more: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[BENCHMARK.yaml]...", help="Further benchmarks, as a shell's * gives."),
    ] = None,
    radius: Radius = 6,
    forget: Forget = False,
    store: Store = DEFAULT_STORE,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Mark samples whose image or question a benchmark has too; `select` leaves them out.

    Benchmarks are catalogs; those that the store does not hold yet are built into it. Nothing is deleted.
    """
    from pebr_data.catalog.store import Catalog
    from pebr_data.config import load_catalog_config
    from pebr_data.select.decontaminate import decontaminate as find

    config = load_catalog_config(catalog)
    if forget:
        if not dry_run:
            with Catalog.open(store) as opened:
                opened.forget_overlaps(config.name)
        talk(f"{'would take' if dry_run else 'took'} the benchmark marks off {config.name}")
        return
    paths = [*(against or ()), *(more or ())]
    if not paths:
        raise UsageError("no benchmark is named", help=f"pebr-data decontaminate {catalog} --against BENCHMARK.yaml")
    overlaps = find(config, store, [load_catalog_config(path) for path in paths], radius=radius, dry_run=dry_run)
    if as_json:
        print_json({"catalog": config.name, "benchmarks": [_as_json(one) for one in overlaps]})
    else:
        header = ("benchmark", "its samples", "of them seen", *(overlaps[0].reasons()), "left out")
        rows = [
            (one.benchmark, one.num_benchmark_samples, one.num_seen, *one.reasons().values(), len(one.overlaps))
            for one in overlaps
        ]
        print_table(header, rows)
    for one in overlaps:
        if one.num_benchmark_samples is None:
            talk(f"note: {one.benchmark} is not built yet and was not compared; without --dry-run it is built")
        if one.num_unknown_images:
            talk(f"note: {one.num_unknown_images:,} gone or damaged images were not compared with {one.benchmark}")
    if dry_run:
        asked = [part for path in paths for part in ("--against", path)]
        name_next("pebr-data", "decontaminate", catalog, *asked, *store_arguments(store, DEFAULT_STORE))
    else:
        name_next("pebr-data", "select", catalog, *store_arguments(store, DEFAULT_STORE))


def _as_json(overlap: Overlap) -> dict[str, Any]:
    return {
        "benchmark": overlap.benchmark,
        "num_samples": overlap.num_samples,
        "num_benchmark_samples": overlap.num_benchmark_samples,
        "num_seen": overlap.num_seen,
        "num_unknown_images": overlap.num_unknown_images,
        "overlaps": overlap.reasons(),
        "samples": overlap.overlaps.to_dicts(),
    }
