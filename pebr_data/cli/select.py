"""`pebr-data select`: freeze the mixtures of a catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pebr_data.cli.forecast import print_forecasts
from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, CatalogPath, DryRun, Mixtures, Probe, Store, Wait
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk

GAPS = ("unprobed", "incomplete", "error")
"""Drop reasons that more probing would settle."""


EMPTY = {
    "pebr": "no sample falls into its band",
    "signal": "no sample has that much signal",
    "diagnosis": "no sample has its diagnosis; pebr-data stats --by diagnosis",
}


def select(
    catalog: CatalogPath,
    mixture: Mixtures = None,
    probe: Probe = None,
    store: Store = DEFAULT_STORE,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Choose and freeze the samples of each mixture.

    The pass rates of one probe decide. Every sample that is left out has a reason. Then says what the first pass of
    training over each mixture will show, with 95 % intervals.
    """
    import polars as pl

    from pebr_data.catalog.store import Catalog
    from pebr_data.config import load_catalog_config
    from pebr_data.select.forecast import forecast_mixtures
    from pebr_data.select.mixture import preview, rates_for, select_by

    config = load_catalog_config(catalog)
    policies = {name: one.policy for name, one in config.mixtures.items()}
    if dry_run:
        rates, choices = preview(config, store, probe_id=probe, names=mixture)
        kept = {name: choice.kept for name, choice in choices.items()}
        rows = [
            _row(name, policies[name], None, len(choice.kept), choice.reasons(), rates.probe.probe_id)
            for name, choice in choices.items()
        ]
    else:
        rates = rates_for(config, store, probe_id=probe, names=mixture)
        mixtures = select_by(config, store, rates, names=mixture)
        kept = {one.name: pl.Series("sample_id", one.sample_ids, dtype=pl.String) for one in mixtures}
        rows = [
            _row(one.name, policies[one.name], one.mixture_id, len(one.sample_ids), one.drops, one.probe_id)
            for one in mixtures
        ]
    foreseen = forecast_mixtures(config, store, rates, kept)
    if as_json:
        told = {name: None if one is None else one.to_json() for name, one in foreseen.items()}
        print_json([{**row, "forecast": told[row["mixture"]]} for row in rows])
    else:
        _print(rows)
        if any(foreseen.values()):
            print("\nforecast of the first pass")
            print_forecasts(foreseen)
    with Catalog.open(store, read_only=True) as opened:
        outdated = opened.outdated_searches(config.name)
        was_deduplicated = opened.was_deduplicated(config.name)
        stops_early = any(
            row["probe_id"]
            and (
                opened.stop_rules.is_exact(row["probe_id"], config.probe.rollouts)
                or opened.stop_rules.of(row["probe_id"])
            )
            for row in rows
        )
    _warn(rows, stops_early)
    if not was_deduplicated:
        talk(f"note: duplicates are not left out, because nobody has looked for them: pebr-data dedupe {catalog}")
    for benchmark in outdated:
        again = f"decontaminate {catalog} --against the YAML of {benchmark}" if benchmark else f"dedupe {catalog}"
        talk(f"note: something was built since its marks were made; make them again: pebr-data {again}")
    following = "select" if dry_run else "export"
    asked = ["--probe", probe] if probe else []
    name_next("pebr-data", following, catalog, *asked, *store_arguments(store, DEFAULT_STORE))


def _row(
    name: str, policy: str, mixture_id: str | None, size: int, drops: Mapping[str, int], probe_id: str | None
) -> dict[str, Any]:
    return {
        "mixture": name,
        "policy": policy,
        "mixture_id": mixture_id,
        "probe_id": probe_id,
        "num_samples": size,
        "drops": dict(sorted(drops.items())),
    }


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    table = [
        (
            row["mixture"],
            row["policy"],
            row["num_samples"],
            ", ".join(f"{reason} {count:,}" for reason, count in row["drops"].items()) or None,
            row["mixture_id"],
        )
        for row in rows
    ]
    print_table(("mixture", "policy", "samples", "left out", "id"), table)


def _warn(rows: Sequence[Mapping[str, Any]], stops_early: bool) -> None:
    for row in rows:
        if not row["num_samples"]:
            why = EMPTY.get(row["policy"], "so is what it matches")
            talk(f"note: the mixture {row['mixture']} is empty: {why}")
    open_ends = max(sum(row["drops"].get(gap, 0) for gap in GAPS) for row in rows)
    if open_ends:
        talk(f"note: {open_ends:,} samples without a complete group were left out; probing on would settle them")
        if stops_early:
            talk("note: this probe settles medium samples first, so until then they are too many among the others")
