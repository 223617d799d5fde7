"""`pebr-data review`: list suspected golds for a person to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, CatalogPath, Probe, Store, Wait
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk

MAX_SHOWN = 48
"""Characters of a text in the table; the list has all of it."""


def review(
    catalog: CatalogPath,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write the list there to be edited: JSONL or CSV.")
    ] = None,
    probe: Probe = None,
    store: Store = DEFAULT_STORE,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
) -> None:
    """List the samples whose gold the policy's answers speak against.

    A person fills in `verdict` (right, wrong, drop) and, where the gold is wrong, `answer`; `regrade --golds` reads it.
    """
    from pebr_data.catalog.store import Catalog
    from pebr_data.config import load_catalog_config
    from pebr_data.images import ImageStore
    from pebr_data.regrade.review import review_rows, write_review
    from pebr_data.select.default_probe import find_probe
    from pebr_data.select.diagnoses import read_diagnoses

    config = load_catalog_config(catalog)
    with Catalog.open(store, read_only=True) as opened:
        found = read_diagnoses(opened, find_probe(opened, store, config, probe), config.name, config.probe.rollouts)
        suspected = found.filter(diagnosis="suspected-gold")["sample_id"].to_list()
        samples = {one.sample_id: one for one in opened.samples(sample_ids=suspected)}
    rows = review_rows(found, samples, ImageStore(store / "images"))
    if to is not None:
        write_review(rows, to)
        talk(f"note: {len(rows):,} suspected golds written to {to}; fill in `verdict`, and `answer` where one is wrong")
    if as_json:
        print_json(rows)
    elif to is None:
        table = [
            (
                *(row["sample_id"], _shown(row["question"]), _shown(row["gold"]), _shown(row["majority"])),
                *(row["num_majority"], row["num_correct"], row["num_rollouts"], row["suspicion"]),
            )
            for row in rows
        ]
        header = ("sample", "question", "gold", "majority", "rollouts for it", "for the gold", "of", "P(gold wrong)")
        print_table(header, table)
    here = store_arguments(store, DEFAULT_STORE)
    if to is None:
        name_next("pebr-data", "review", catalog, "--to", "review.jsonl", *here)
    else:
        name_next("pebr-data", "regrade", catalog, "--golds", to, "--probe", "all", "--use", *here)


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_SHOWN else line[: MAX_SHOWN - 1] + "…"
