"""`pebr-data why`: everything that was decided about a sample, and by what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, Store, Wait
from pebr_data.cli.output import name_next, print_json, store_arguments
from pebr_data.errors import DataError

if TYPE_CHECKING:
    from pebr_data.catalog.mixtures import Decision
    from pebr_data.catalog.rollouts import KnownProbe
    from pebr_data.catalog.store import Catalog
    from pebr_data.types import Rollout, Sample


POSTERIOR = ("posterior_mean", "posterior_low", "posterior_high", "informative", "prior")
"""What `Catalog.pass_rates` knows of a pass rate."""


def why(
    asked: Annotated[
        str, typer.Argument(metavar="SAMPLE_ID", help="The sample's 16 hex digits, or SOURCE:ROW, counted from 0.")
    ],
    rollouts: Annotated[
        int, typer.Option("--rollouts", min=1, metavar="G", help="Rollouts that make a group complete.")
    ] = 8,
    store: Store = DEFAULT_STORE,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
) -> None:
    """Say what was decided about a sample, or a row of a source, and by what.

    Where it comes from and how it is graded, what else is as good as it and which benchmark has it, what each probe
    counted and how sure that makes its pass rate, what every mixture decided and under which policy, and the exports of
    the store that hold it. Of a row that became no sample, why not.
    """
    from pebr_data.catalog.store import Catalog
    from pebr_data.cli.why_marked import marks_as_json, print_marks
    from pebr_data.export.membership import exports_of
    from pebr_data.grading.versions import SOURCE_GOLDS
    from pebr_data.select.diagnoses import diagnosis_of

    with Catalog.open(store, read_only=True) as catalog:
        sample_id = asked
        if ":" in asked:
            found = _sample_of_row(catalog, asked, as_json)
            if found is None:
                return
            sample_id = found
        sample = catalog.samples(sample_ids=[sample_id])[0]
        source_answer = catalog.samples(sample_ids=[sample_id], golds=SOURCE_GOLDS)[0].answer
        golds = catalog.golds_in_force()
        fixes = [fix for fix in catalog.golds(golds) if fix.sample_id == sample_id]
        told = diagnosis_of(catalog, sample, rollouts)
        position, catalogs = catalog.origin(sample_id)
        images = catalog.image_facts(sample.image_hashes)
        clusters, overlaps = catalog.clusters_of(sample_id), catalog.overlaps_of(sample_id)
        probed = [
            (
                probe,
                [one for one in its if one.key.index < _num_counted(catalog, probe.probe_id, sample, rollouts)],
                _rates(catalog, probe.probe_id, sample, catalogs, rollouts),
            )
            for probe in catalog.known_probes()
            if (its := catalog.rollouts(probe.probe_id, [sample_id]))
        ]
        decisions = catalog.decisions(sample_id)
    exports = exports_of(store)
    probes = [{**_judge(probe, its, rates), **told.get(probe.probe_id, {})} for probe, its, rates in probed]
    mixtures = [_decision(one, exports.get(one.mixture_id, ())) for one in decisions]
    correction = {"answer": source_answer, "golds": golds, "reason": fixes[0].reason} if fixes else None
    if as_json:
        print_json(
            {
                "sample_id": sample_id,
                "source": sample.source, "position": position, "split": sample.split, "catalogs": catalogs,
                "answer": sample.answer, "answer_type": sample.answer_type,
                "answer_type_reason": sample.answer_type_reason, "corrected": correction,
                "images": [{"image_hash": one.image_hash, "flags": list(one.flags)} for one in images],
                **marks_as_json(clusters, overlaps),
                "probes": probes,
                "mixtures": mixtures,
            }
        )  # fmt: skip
        return
    print(f"sample {sample_id}: {sample.question}")
    print(f"  from the source {sample.source}, candidate {position}, split {sample.split}")
    print(f"  in the catalogs {', '.join(catalogs)}" if catalogs else "  in no catalog: its source no longer yields it")
    print(f"  answer {sample.answer!r}, graded as {sample.answer_type}: {sample.answer_type_reason}")
    if correction is not None:
        because = f": {correction['reason']}" if correction["reason"] else ""
        print(f"    corrected by the golds {golds}{because}; the source says {source_answer!r}")
    for one in images:
        flags = f"; {', '.join(one.flags)}" if one.flags else ""
        print(f"  image {one.image_hash[:16]}…: {one.width}x{one.height} {one.format}{flags}")
    print_marks(sample_id, clusters, overlaps)
    _print_probes(probes, rollouts)
    _print_mixtures(mixtures)
    name_next("pebr-data", "show", sample_id, *store_arguments(store, DEFAULT_STORE))


def _sample_of_row(catalog: Catalog, asked: str, as_json: bool) -> str | None:
    """The sample that SOURCE:ROW became, None when it became none; what catalogs that rejected it say is said.

    Raises:
        DataError: No catalog of the store knows such a row.
    """
    source, _, row = asked.rpartition(":")
    position = int(row) if row.isdecimal() else -1
    refused = catalog.refusals_at(source, position)
    sample_id = catalog.sample_at(source, position)
    if sample_id is None and not refused:
        raise DataError(
            f"no row {row} of a source {source} in the store",
            help="rows count from 0; these became no samples: pebr-data query 'SELECT source, position FROM rejects'",
        )
    if sample_id is None and as_json:
        print_json({"sample_id": None, "rejects": [asdict(one) for one in refused]})
    elif not as_json:
        for one in refused:
            print(f"{source}, candidate {one.position} ({one.location}): rejected for the catalog {one.catalog}")
            print(f"  {one.reason}")
    return sample_id


def _rates(
    catalog: Catalog, probe_id: str, sample: Sample, catalogs: Sequence[str], group_size: int
) -> Mapping[str, Any]:
    """The sample's row of `Catalog.pass_rates`, among those of the first catalog that holds it."""
    import polars as pl

    rates = catalog.pass_rates(probe_id, group_size, catalogs[0] if catalogs else None, sample.split)
    return rates.row(by_predicate=pl.col("sample_id") == sample.sample_id, named=True)


def _num_counted(catalog: Catalog, probe_id: str, sample: Sample, group_size: int) -> int:
    """How many of its rollouts count: those of a group, or all that the probe may make by its posterior."""
    rules = catalog.stop_rules.of(probe_id)
    sizes = [one.max_rollouts for one in rules if (one.split, one.group_size) == (sample.split, group_size)]
    return max(sizes, default=group_size)


def _judge(probe: KnownProbe, counted: Sequence[Rollout], rates: Mapping[str, Any]) -> dict[str, Any]:
    outcomes = Counter(one.grade.outcome for one in counted)
    return {
        "probe_id": probe.probe_id,
        "model": probe.fingerprint.model,
        "condition": str(probe.fingerprint.condition),
        "temperature": probe.fingerprint.temperature,
        "outcomes": {str(outcome): count for outcome, count in sorted(outcomes.items())},
        "graders": sorted({one.grade.grader_version for one in counted}),
        **{key: rates[key] for key in ("band", *POSTERIOR)},
    }


def _decision(one: Decision, exports: Sequence[Path]) -> dict[str, Any]:
    return {
        "mixture_id": one.mixture_id,
        "catalog": one.catalog,
        "mixture": one.name,
        "probe_id": one.probe_id,
        "policy": one.config.get("policy"),
        "config": dict(one.config),
        "selected": one.created.isoformat(timespec="seconds"),
        "code_version": one.code_version,
        "decision": one.decision,
        "position": one.position,
        "exports": list(exports) if one.decision == "kept" else [],
    }


def _print_probes(probes: Sequence[dict[str, Any]], group_size: int) -> None:
    if not probes:
        print("  never probed")
    for one in probes:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in one["outcomes"].items())
        print(f"  probe {one['probe_id']} ({one['model']}, {one['condition']}, temperature {one['temperature']:g})")
        print(f"    {counts}; grader {', '.join(one['graders'])}")
        sure = ""
        if one["posterior_mean"] is not None:
            sure = (
                f"; pass rate {one['posterior_mean']:.2f}, with 95 % between {one['posterior_low']:.2f} "
                f"and {one['posterior_high']:.2f}; such a group teaches with probability {one['informative']:.2f} "
                f"(prior {one['prior']})"
            )
        print(f"    band of a group of {group_size}: {one['band']}{sure}")
        if "diagnosis" in one:
            print(f"    diagnosis {one['diagnosis_reason']}")


def _print_mixtures(mixtures: Sequence[dict[str, Any]]) -> None:
    if not mixtures:
        print("  no mixture has decided about it")
    for one in mixtures:
        decision = one["decision"]
        told = f"kept, number {one['position'] + 1:,}" if decision == "kept" else f"left out: {decision}"
        settings = ", ".join(
            f"{key} {value}" for key, value in one["config"].items() if value is not None and key != "priors"
        )
        print(f"  mixture {one['catalog']}/{one['mixture']} ({one['mixture_id']}, selected {one['selected']}): {told}")
        code = f"pebr {one['code_version']}" if one["code_version"] else "an older pebr"
        print(f"    by {settings}; probe {one['probe_id'] or 'none'}; {code}")
        for directory in one["exports"]:
            print(f"    exported to {directory}")
