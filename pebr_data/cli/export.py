"""`pebr-data export`: write the frozen mixtures for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, CatalogPath, DryRun, Mixtures, Probe, Store, Wait
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk
from pebr_data.export.formats import FORMATS
from pebr_data.types import ImagePlacement


def export(
    catalog: CatalogPath,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Write each mixture to DIR/<mixture>; inside the store by default."),
    ] = None,
    format: Annotated[
        str,
        typer.Option("--format", metavar="NAME", help=f"The framework that will train on it: {', '.join(FORMATS)}."),
    ] = "trl",
    images: Annotated[
        ImagePlacement | None,
        typer.Option(
            "--images",
            help="Put images into the rows, or beside them as files; by default as the README says of the format.",
        ),
    ] = None,
    mixture: Mixtures = None,
    probe: Probe = None,
    store: Store = DEFAULT_STORE,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Write the selected mixtures for training.

    Each becomes a directory of shards and images with a checksummed manifest, a card that says how to train on it in
    the framework, and, where that needs one, the reward. The controls that `select` makes of itself are written where
    --mixture names them.
    """
    from pebr_data.config import load_catalog_config
    from pebr_data.export.card import CARD_FILE
    from pebr_data.export.shards import default_directory, layout_of
    from pebr_data.export.shards import export as export_mixture
    from pebr_data.select.mixture import frozen

    layout_of(format, images)
    config = load_catalog_config(catalog)
    names = mixture or [name for name in config.mixtures if name not in config.controls]
    mixtures = frozen(config, store, probe_id=probe, names=names)
    targets = [default_directory(store, one, format, images) if to is None else to / one.name for one in mixtures]
    wanted = [(one, target) for one, target in zip(mixtures, targets, strict=True) if one.sample_ids or mixture]
    for one in mixtures:
        if not one.sample_ids and not mixture:
            talk(f"note: the mixture {one.name} is empty and has nothing to export")
    if dry_run:
        rows = [(one.name, len(one.sample_ids), target) for one, target in wanted]
        if as_json:
            print_json([{"mixture": name, "num_samples": size, "directory": target} for name, size, target in rows])
        else:
            print_table(("mixture", "samples", "would write"), rows)
        return
    manifests = [export_mixture(store, one, target, format=format, images=images) for one, target in wanted]
    if as_json:
        print_json([{**manifest.model_dump(mode="json"), "directory": manifest.directory} for manifest in manifests])
    else:
        rows = [(manifest.mixture, manifest.num_samples, manifest.directory) for manifest in manifests]
        print_table(("mixture", "samples", "directory"), rows)
    if format != "trl" and manifests:
        name_next("cat", manifests[0].directory / CARD_FILE)
        return
    name_next("pebr-train", "run", "RECIPE.yaml", *store_arguments(store, DEFAULT_STORE))
