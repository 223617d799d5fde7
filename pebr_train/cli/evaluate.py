"""`pebr-train evaluate`: measure one model on held-out samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pebr_data.cli.options import DEFAULT_STORE, AsJson, Store
from pebr_data.cli.output import print_json, print_table, talk
from pebr_data.cli.progress import progress


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A directory, a shipped model's name, or a hub id.")],
    catalog: Annotated[Path, typer.Option("--catalog", metavar="CATALOG.yaml", help="Where the samples come from.")],
    split: Annotated[str, typer.Option("--split", help="The held-out split.")] = "test",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="The first N samples of the split.")] = None,
    num_samples: Annotated[int, typer.Option("--num-samples", min=1, help="Sampled completions per sample.")] = 4,
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Measure a model on held-out samples.

    Gives pass@1 at the probe's temperature, greedy accuracy, and how much of the scene descriptions get right, each
    with a 95 % interval.
    """
    from pebr_data.config import load_catalog_config
    from pebr_data.models import resolve_model
    from pebr_train.evaluate import evaluate as evaluate_model
    from pebr_train.evaluation import METRICS
    from pebr_train.mixtures import build_catalog
    from pebr_train.voice import Voice

    config = load_catalog_config(catalog)
    build_catalog(config, store, Voice(talk, progress))
    found = evaluate_model(resolve_model(model), config, store, split=split, limit=limit, num_samples=num_samples)
    if as_json:
        print_json(found.to_json())
        return
    rows = []
    for metric in METRICS:
        estimate = found.estimate(metric)
        if estimate is not None:
            rows.append((metric, estimate.mean, estimate.low, estimate.high, estimate.num_samples))
    print_table(("metric", "mean", "low", "high", "samples"), rows)
