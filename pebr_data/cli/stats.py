"""`pebr-data stats`: what the store holds, in numbers."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pebr_data.cli.diagnoses import diagnosis_stats
from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, Store, Wait
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments
from pebr_data.types import Band, Outcome

if TYPE_CHECKING:
    import polars as pl

    from pebr_data.catalog.mixtures import MixtureSummary
    from pebr_data.catalog.rollouts import Probe
    from pebr_data.catalog.stats import Stats


class By(StrEnum):
    """What samples can be counted by instead of by band."""

    DIAGNOSIS = "diagnosis"


def stats(
    catalog: Annotated[
        str | None, typer.Option("--catalog", metavar="NAME", help="Only this catalog; every one by default.")
    ] = None,
    rollouts: Annotated[
        int, typer.Option("--rollouts", min=1, metavar="G", help="Rollouts that make a group complete.")
    ] = 8,
    by: Annotated[
        By | None, typer.Option("--by", help="`diagnosis`: count why samples are not easy, instead of bands.")
    ] = None,
    store: Store = DEFAULT_STORE,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
) -> None:
    """Count samples, rollouts and mixtures.

    For each policy that was probed with complete groups the bands per skill; for every other a line of outcomes.
    """
    from pebr_data.catalog.store import Catalog

    if by is By.DIAGNOSIS:
        diagnosis_stats(catalog, rollouts, store, as_json)
        return
    with Catalog.open(store, read_only=True) as opened:
        counted = opened.stats(catalog, rollouts)
        mixtures = opened.mixtures(catalog)
    if as_json:
        print_json(_as_json(counted, mixtures))
        return
    _print_samples(counted)
    for probe in counted.probes:
        _print_bands(probe, counted)
    _print_others(counted, rollouts)
    _print_perception(counted)
    if mixtures:
        print()
        rows = [(one.catalog, one.name, one.num_samples, one.probe_id, one.mixture_id) for one in mixtures]
        print_table(("catalog", "mixture", "samples", "probe", "id"), rows)
    following = ("select", "CATALOG.yaml") if counted.probes else ("probe", "CATALOG.yaml", "--model", "MODEL")
    name_next("pebr-data", *following, *store_arguments(store, DEFAULT_STORE))


def _as_json(counted: Stats, mixtures: list[MixtureSummary]) -> dict[str, Any]:
    return {
        "probes": [
            {
                "probe_id": probe.probe_id,
                "fingerprint": probe.fingerprint.to_json(),
                "num_samples": probe.num_samples,
                "num_rollouts": probe.num_rollouts,
                "grader_version": probe.grader_version,
            }
            for probe in counted.probes
        ],
        "samples": counted.samples.to_dicts(),
        "rejects": counted.rejects.to_dicts(),
        "bands": counted.bands.to_dicts(),
        "outcomes": counted.outcomes.to_dicts(),
        "strata": counted.strata.to_dicts(),
        "perception": counted.perception.to_dicts(),
        "mixtures": [
            {
                "mixture_id": one.mixture_id,
                "catalog": one.catalog,
                "mixture": one.name,
                "probe_id": one.probe_id,
                "num_samples": one.num_samples,
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


def _print_bands(probe: Probe, counted: Stats) -> None:
    """For each split with complete groups: a line per skill with bands (samples) and outcomes (rollouts), their sum."""
    keys = ("catalog", "split", "skill")
    bands, outcomes = [str(band) for band in Band], [str(outcome) for outcome in Outcome]
    mine = counted.bands.filter(_is("probe_id", probe.probe_id), _complete()).join(
        counted.outcomes.drop("num_samples"),
        on=[*keys, "probe_id"],
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )
    if mine.is_empty():
        return
    shown = probe.fingerprint
    print(
        f"\nprobe {probe.probe_id}: {shown.model}, {shown.condition}, temperature {shown.temperature:g}, "
        f"top_p {shown.top_p:g}, {int(mine.select(outcomes).sum_horizontal().sum()):,} rollouts, "
        f"graded by {probe.grader_version}"
    )
    # A column that is zero everywhere says nothing.
    seen = [name for name in (*bands, *outcomes) if name in {"easy", "medium", "hard", "correct"} or mine[name].sum()]
    rows = mine.select(*keys, *seen).rows()
    if len(rows) > 1:
        rows.append(("all", "", "", *(int(mine[name].sum()) for name in seen)))
    print_table((*keys, *seen), rows)
    _print_strata(mine, counted)


def _print_strata(mine: pl.DataFrame, counted: Stats) -> None:
    """What is believed of the samples of each source and answer type in the splits of `mine`, and why."""
    known = counted.strata.join(
        mine.select("catalog", "probe_id", "split").unique(), on=["catalog", "probe_id", "split"]
    )
    # A chance that no stratum has a spike at says nothing.
    figures = ["pass_rate", "never", *(["guessed"] if known["guessed"].sum() else []), "always", "informative"]
    print("\npass rates behind the counts")
    shown = known.sort("catalog", "split", "source", "answer_type", "num_samples", nulls_last=True).select(
        "catalog", "split", "source", "answer_type", "num_samples", *figures, "prior"
    )
    names = {"answer_type": "answer type", "num_samples": "samples", "pass_rate": "mean"}
    print_table([names.get(name, name) for name in shown.columns], shown.rows())


def _print_others(counted: Stats, group_size: int) -> None:
    """What makes no bands: a line per probe and split, which are evaluations and probes that have just begun."""
    import polars as pl

    outcomes = [str(outcome) for outcome in Outcome]
    others = (
        counted.outcomes.join(
            counted.bands.filter(_complete()).select("catalog", "probe_id", "split").unique(),
            on=["catalog", "probe_id", "split"],
            how="anti",
            maintain_order="left",
        )
        .group_by("catalog", "probe_id", "split", maintain_order=True)
        .agg(pl.col("num_samples", *outcomes).sum())
    )
    if others.is_empty():
        return
    probes = {probe.probe_id: probe for probe in counted.probes}
    seen = [name for name in outcomes if name in {"correct", "wrong"} or others[name].sum()]
    rows = []
    for row in others.iter_rows(named=True):
        policy = probes[row["probe_id"]].fingerprint
        judged = sum(row[name] for name in outcomes if name not in {Outcome.UNGRADABLE, Outcome.ERROR})
        sampling = "greedy" if policy.temperature == 0 else f"temperature {policy.temperature:g}"
        rate = row["correct"] / judged if judged else None
        found = (row["num_samples"], *(row[name] for name in seen), rate)
        rows.append((row["catalog"], row["split"], policy.model, policy.condition, sampling, *found, row["probe_id"]))
    print(f"\nwithout a complete group of {group_size}: evaluations, and probes that are not finished")
    header = ("catalog", "split", "model", "condition", "sampling", "samples", *seen, "share correct", "probe")
    print_table(header, rows)


def _print_perception(counted: Stats) -> None:
    """What each part of the perception reward is worth, and whether a sample's rollouts differ in it."""
    if counted.perception.is_empty():
        return
    models = {probe.probe_id: probe.fingerprint.model for probe in counted.probes}
    rows = [
        (row["catalog"], row["split"], models.get(row["probe_id"]), row["part"], row["num_samples"], row["mean"],
         row["deviation"], row["without_spread"], row["reliability"])
        for row in counted.perception.iter_rows(named=True)
    ]  # fmt: skip
    print("\nperception reward of the same rollouts: its parts, and how a sample's rollouts differ in them")
    header = ("catalog", "split", "model", "part", "samples", "mean", "deviation", "share without", "share real")
    print_table(header, rows)


def _complete() -> pl.Expr:
    """Of `Stats.bands`: the splits in which a probe has finished at least one group."""
    import polars as pl

    return pl.sum_horizontal("easy", "medium", "hard").sum().over("catalog", "probe_id", "split") > 0


def _is(column: str, value: str) -> pl.Expr:
    import polars as pl

    return pl.col(column) == value


def _sum(column: str) -> pl.Expr:
    import polars as pl

    return pl.col(column).sum()
