"""`pebr-data stats`: what the store holds, in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pebr_data.cli.options import DEFAULT_STORE, AsJson, Store
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments
from pebr_data.types import Band, Outcome

if TYPE_CHECKING:
    import polars as pl

    from pebr_data.catalog.rollouts import Probe
    from pebr_data.catalog.stats import Stats
    from pebr_data.types import Mixture


def stats(
    catalog: Annotated[
        str | None, typer.Option("--catalog", metavar="NAME", help="Only this catalog; every one by default.")
    ] = None,
    rollouts: Annotated[
        int, typer.Option("--rollouts", min=1, metavar="G", help="Rollouts that make a group complete.")
    ] = 8,
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Count samples, and per policy and skill the bands."""
    from pebr_data.catalog.store import Catalog

    with Catalog.open(store, read_only=True) as opened:
        counted = opened.stats(catalog, rollouts)
        mixtures = opened.mixtures(catalog)
    if as_json:
        print_json(_as_json(counted, mixtures))
        return
    _print_samples(counted)
    for probe in counted.probes:
        _print_probe(probe, counted)
    if mixtures:
        print()
        rows = [(one.catalog, one.name, len(one.sample_ids), one.probe_id, one.mixture_id) for one in mixtures]
        print_table(("catalog", "mixture", "samples", "probe", "id"), rows)
    following = ("select", "CATALOG.yaml") if counted.probes else ("probe", "CATALOG.yaml", "--model", "MODEL")
    name_next("pebr-data", *following, *store_arguments(store, DEFAULT_STORE))


def _as_json(counted: Stats, mixtures: list[Mixture]) -> dict[str, Any]:
    return {
        "probes": [
            {
                "probe_id": probe.probe_id,
                "fingerprint": probe.fingerprint.to_json(),
                "num_samples": probe.num_samples,
                "num_rollouts": probe.num_rollouts,
            }
            for probe in counted.probes
        ],
        "samples": counted.samples.to_dicts(),
        "rejects": counted.rejects.to_dicts(),
        "bands": counted.bands.to_dicts(),
        "outcomes": counted.outcomes.to_dicts(),
        "mixtures": [
            {
                "mixture_id": one.mixture_id,
                "catalog": one.catalog,
                "mixture": one.name,
                "probe_id": one.probe_id,
                "num_samples": len(one.sample_ids),
                "drops": dict(one.drops),
            }
            for one in mixtures
        ],
    }


def _print_samples(counted: Stats) -> None:
    by_split = counted.samples.group_by("catalog", "source", "split", maintain_order=True).agg(_sum("num_samples"))
    print_table(("catalog", "source", "split", "samples"), by_split.rows())
    if len(counted.rejects):
        print()
        print_table(("catalog", "source", "rejected because", "candidates"), counted.rejects.rows())


def _print_probe(probe: Probe, counted: Stats) -> None:
    """One table per policy: a line per skill with bands (samples) and outcomes (rollouts), and their sum."""
    keys = ("catalog", "split", "skill")
    bands, outcomes = [str(band) for band in Band], [str(outcome) for outcome in Outcome]
    mine = counted.bands.filter(_is("probe_id", probe.probe_id)).join(
        counted.outcomes.filter(_is("probe_id", probe.probe_id)),
        on=[*keys, "probe_id"],
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )
    shown = probe.fingerprint
    print(
        f"\nprobe {probe.probe_id}: {shown.model}, {shown.condition}, temperature {shown.temperature:g}, "
        f"top_p {shown.top_p:g}, {probe.num_rollouts:,} rollouts of {probe.num_samples:,} samples"
    )
    # A column that is zero everywhere says nothing.
    seen = [name for name in (*bands, *outcomes) if name in {"easy", "medium", "hard", "correct"} or mine[name].sum()]
    rows = mine.select(*keys, *seen).rows()
    if len(rows) > 1:
        rows.append(("all", "", "", *(int(mine[name].sum()) for name in seen)))
    print_table((*keys, *seen), rows)


def _is(column: str, value: str) -> pl.Expr:
    import polars as pl

    return pl.col(column) == value


def _sum(column: str) -> pl.Expr:
    import polars as pl

    return pl.col(column).sum()
