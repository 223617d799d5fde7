"""`pebr-data stats --by diagnosis`: why the samples that are not easy are not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pebr_data.cli.options import DEFAULT_STORE
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk
from pebr_data.types import Band, Condition, Diagnosis

if TYPE_CHECKING:
    import polars as pl

    from pebr_data.catalog.store import Catalog

UNPROBED = "unprobed"
NOT_DIAGNOSED = "not diagnosed"


def diagnosis_stats(name: str | None, group_size: int, store: Path, as_json: bool) -> None:
    """Print, for each probe that showed images, how many samples of each split have which diagnosis.

    Args:
        name: Only this catalog.
        group_size: Rollouts in a complete group.
        store: The store.
        as_json: Print JSON.
    """
    from pebr_data.catalog.store import Catalog

    with Catalog.open(store, read_only=True) as catalog:
        names = catalog.names() if name is None else [name]
        probed = [one for each in names for one in _probed(catalog, each, group_size)]
    if as_json:
        print_json(probed)
    else:
        for position, one in enumerate(probed):
            _print(one, position)
        if not probed:
            talk("note: nothing was probed under the condition `image` with a complete group")
    name_next("pebr-data", "review", "CATALOG.yaml", "--to", "review.jsonl", *store_arguments(store, DEFAULT_STORE))


def _probed(catalog: Catalog, name: str, group_size: int) -> list[dict[str, Any]]:
    """What is told of each probe and split of a catalog."""
    from pebr_data.difficulty.diagnosis import reads_descriptions
    from pebr_data.select.diagnoses import read_diagnoses

    told = []
    for probe in catalog.known_probes(name):
        if probe.fingerprint.condition is not Condition.IMAGE:
            continue
        rates = catalog.pass_rates(probe.probe_id, group_size, catalog=name)
        found = read_diagnoses(catalog, probe, name, group_size).join(
            rates.select("sample_id", "pass_rate", "posterior_mean"), on="sample_id", maintain_order="left"
        )
        for part in found.partition_by("split"):
            if (part["band"] != str(Band.UNPROBED)).any():
                told.append(
                    {
                        "catalog": name,
                        "split": part["split"][0],
                        "probe_id": probe.probe_id,
                        "model": probe.fingerprint.model,
                        "num_blind": int((part["blind_rollouts"] > 0).sum()),
                        "num_described": int((part["described_rollouts"] > 0).sum()),
                        "reads_descriptions": reads_descriptions(part),
                        "diagnoses": _counts(part),
                    }
                )
    return told


def _counts(part: pl.DataFrame) -> list[dict[str, Any]]:
    import polars as pl

    band = pl.col("band")
    kind = (
        pl.when(band.is_in([str(Band.EASY), str(Band.UNPROBED)])).then(band)
        .otherwise(pl.col("diagnosis").fill_null(NOT_DIAGNOSED))
    )  # fmt: skip
    order = [str(Band.EASY), *map(str, Diagnosis), NOT_DIAGNOSED, UNPROBED]
    judged = band != str(Band.UNPROBED)
    # Of a sample that was stopped for what it said, k/n is biased, and the posterior is not.
    rate = pl.coalesce("pass_rate", "posterior_mean").filter(judged).mean()
    counted = part.group_by(diagnosis=kind).agg(num_samples=pl.len(), pass_rate=rate)
    total = counted.filter(pl.col("diagnosis") != UNPROBED)["num_samples"].sum()
    share = pl.when(pl.col("diagnosis") != UNPROBED).then(pl.col("num_samples") / total)
    return (
        counted.with_columns(share=share, place=pl.col("diagnosis").replace_strict(order, range(len(order))))
        .sort("place")
        .select("diagnosis", "num_samples", "share", "pass_rate")
        .to_dicts()
    )


def _print(one: Mapping[str, Any], position: int) -> None:
    print("\n" * (position > 0), end="")
    print(f"probe {one['probe_id']}: {one['model']}, catalog {one['catalog']}, split {one['split']}")
    rows = [tuple(row.values()) for row in one["diagnoses"]]
    print_table(("diagnosis", "samples", "share", "mean pass rate"), rows)
    for condition in ("blind", "described"):
        if not one[f"num_{condition}"]:
            talk(f"note: not probed {condition}: pebr-data probe CATALOG.yaml --model MODEL --condition {condition}")
    if one["reads_descriptions"] is False:
        talk("note: described, the policy fails at most of what it solves when shown, so that condition tells nothing")
