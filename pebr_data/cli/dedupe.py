"""`pebr-data dedupe`: mark samples that another one of the catalog makes superfluous."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, CatalogPath, DryRun, Forget, Radius, Store, Wait
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk

if TYPE_CHECKING:
    from pebr_data.select.dedupe import Disagreement

NUM_LISTED = 5
"""Disagreements that are printed; `--json` has all of them."""


def dedupe(
    catalog: CatalogPath,
    radius: Radius = 6,
    embed: Annotated[
        str | None,
        typer.Option(
            "--embed",
            metavar="MODEL",
            help="A CLIP-like model: images are alike when its embeddings are close, too.",
        ),
    ] = None,
    min_cosine: Annotated[
        float, typer.Option("--min-cosine", min=0, max=1, help="How close the embeddings of alike images are at least.")
    ] = 0.98,
    forget: Forget = False,
    store: Store = DEFAULT_STORE,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Mark samples that are as good as another one; `select` leaves them out.

    Same question about the same or alike images; of each cluster the first sample is kept. Nothing is deleted.
    """
    from pebr_data.catalog.store import Catalog
    from pebr_data.config import load_catalog_config
    from pebr_data.models import resolve_model
    from pebr_data.select.dedupe import dedupe as find

    config = load_catalog_config(catalog)
    if forget:
        if not dry_run:
            with Catalog.open(store) as opened:
                opened.forget_duplicates(config.name)
        talk(f"{'would take' if dry_run else 'took'} the duplicate marks off {config.name}")
        return
    model = None if embed is None else resolve_model(embed)
    found = find(config, store, radius=radius, embed=model, min_cosine=min_cosine, dry_run=dry_run)
    if as_json:
        print_json(
            {
                "catalog": config.name,
                "num_samples": found.num_samples,
                "num_clusters": found.num_clusters,
                "duplicates": found.reasons(),
                "samples": found.duplicates.to_dicts(),
                "contradictions": _as_json(found.contradictions),
                "look_alikes": _as_json(found.look_alikes),
                "unknown_images": dict(found.unknown_images),
            }
        )
    else:
        rows = [(f"duplicate: {reason}", count) for reason, count in found.reasons().items()]
        print_table(
            (config.name, "samples"), [("compared", found.num_samples), ("clusters", found.num_clusters), *rows]
        )
        _list("golds contradict inside a cluster", found.contradictions)
        _list("same question, images that look the same, other gold; both kept", found.look_alikes)
    if found.unknown_images:
        talk(f"note: {len(found.unknown_images):,} images are gone or damaged and were compared by their bytes alone")
    following = "dedupe" if dry_run else "select"
    name_next("pebr-data", following, catalog, *store_arguments(store, DEFAULT_STORE))


def _as_json(disagreements: Sequence[Disagreement]) -> list[list[dict[str, Any]]]:
    return [[{"sample_id": sample_id, "gold": gold} for sample_id, gold in one.golds] for one in disagreements]


def _list(title: str, disagreements: Sequence[Disagreement]) -> None:
    if not disagreements:
        return
    print(f"\n{title}: {len(disagreements):,}")
    for one in disagreements[:NUM_LISTED]:
        print("  " + "; ".join(f"{sample_id} {gold!r}" for sample_id, gold in one.golds))
    if len(disagreements) > NUM_LISTED:
        print(f"  … and {len(disagreements) - NUM_LISTED:,} more (--json lists all)")
