"""`pebr-train evaluate`: measure one model on held-out samples."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, Store, Wait
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk
from pebr_data.cli.progress import progress


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A directory, a shipped model's name, or a hub id.")],
    catalog: Annotated[Path, typer.Option("--catalog", metavar="CATALOG.yaml", help="Where the samples come from.")],
    split: Annotated[str, typer.Option("--split", help="The held-out split.")] = "test",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="The first N samples of the split.")] = None,
    num_samples: Annotated[int, typer.Option("--num-samples", min=1, help="Sampled completions per sample.")] = 4,
    store: Store = DEFAULT_STORE,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
) -> None:
    """Measure a model on held-out samples.

    Gives pass@1 at the probe's temperature, greedy accuracy, and how much of the scene descriptions get right, each
    with a 95 % interval.
    """
    from pebr_data.config import load_catalog_config
    from pebr_train.evaluate import evaluate as evaluate_model
    from pebr_train.evaluation import METRICS
    from pebr_train.mixtures import build_catalog
    from pebr_train.voice import Voice

    config = load_catalog_config(catalog)
    build_catalog(config, store, Voice(talk, progress))
    with progress("evaluate", "rollouts") as update:
        found = evaluate_model(
            model,
            config,
            store,
            split=split,
            limit=limit,
            num_samples=num_samples,
            progress=update,
            resume=shlex.join(["pebr-train", *(part for part in sys.argv[1:] if part != "--debug")]),
        )
    if as_json:
        print_json(found.to_json())
    else:
        estimates = [(metric, found.estimate(metric)) for metric in METRICS]
        rows = [(metric, one.mean, one.low, one.high, one.num_samples) for metric, one in estimates if one is not None]
        print_table(("metric", "mean", "low", "high", "samples"), rows)
    name_next("pebr-data", "stats", *store_arguments(store, DEFAULT_STORE))
