"""`pebr-data regrade`: judge stored rollouts anew, and say what that changes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pebr_data.cli.options import DEFAULT_STORE, AsJson, CatalogPath, DryRun, GraderName, Store
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk
from pebr_data.cli.progress import duration, progress

if TYPE_CHECKING:
    from pebr_data.catalog.rollouts import Probe
    from pebr_data.config import CatalogConfig
    from pebr_data.regrade.compare import BandChange, Comparison
    from pebr_data.regrade.run import Regraded, RegradePlan
    from pebr_data.types import Json

ALL = "all"


def regrade(
    catalog: CatalogPath,
    probe: Annotated[
        str | None,
        typer.Option(
            "--probe",
            metavar="ID",
            help="The probe whose rollouts to grade, or `all`; the one that `select` goes by when not given.",
        ),
    ] = None,
    grader: GraderName = "pebr",
    golds: Annotated[
        Path | None,
        typer.Option(
            "--golds",
            metavar="FILE",
            help="Corrected golds, JSONL or CSV: sample_id, answer, perhaps reason; or an edited review list. The "
            "sources' when not given.",
        ),
    ] = None,
    use: Annotated[
        bool,
        typer.Option("--use", help="Let the new grades count, and the corrected golds, instead of only adding them."),
    ] = False,
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Grade stored rollouts anew, without a model.

    The grades that are there stay. Shows how outcomes and bands differ from those that count.
    """
    from pebr_data.config import load_catalog_config
    from pebr_data.regrade.run import plan_regrade, seconds_expected
    from pebr_data.regrade.run import regrade as run_regrade

    config = load_catalog_config(catalog)
    here = store_arguments(store, DEFAULT_STORE)
    chosen = ["--grader", grader, *(["--golds", str(golds)] if golds else []), *(["--probe", probe] if probe else [])]
    command = ["pebr-data", "regrade", str(catalog), *chosen]
    plan = plan_regrade(config, store, _probes(config, store, probe), profile=grader, golds=golds)
    if dry_run:
        _print_plan(plan, seconds_expected(plan), as_json)
        name_next(*command, *(["--use"] if use else []), *here)
        return
    with progress("regrade", "rollouts") as update:
        results = run_regrade(
            plan, use=use, progress=update, resume=shlex.join([*command, *(["--use"] if use else []), *here])
        )
    if as_json:
        print_json(
            {
                "grader_version": plan.version,
                "num_corrected_golds": len(plan.fixes),
                "in_force": use,
                "probes": [_as_json(result, plan) for result in results],
            }
        )
    else:
        for position, result in enumerate(results):
            _print_result(result, plan, position)
    if plan.golds != plan.golds_before:
        when = "samples have them from now on" if use else "those in force are others"
        talk(f"note: graded against {_golds(len(plan.fixes))}; {when}")
    if plan.reviews:
        kept = "is noted" if use else "is not noted without --use"
        talk(f"note: what the review says of {len(plan.reviews):,} golds {kept}")
    if use:
        talk(f"note: {plan.version} counts from now on; mixtures chosen before stay as they are")
    if use or all(one.grader_version == plan.version for one in plan.probes):
        name_next("pebr-data", "select", catalog, *here)
    else:
        name_next(*command, "--use", *here)


def _probes(config: CatalogConfig, store: Path, asked: str | None) -> Sequence[Probe]:
    from pebr_data.catalog.store import Catalog
    from pebr_data.errors import RefusedError
    from pebr_data.select.default_probe import find_probe

    with Catalog.open(store, read_only=True) as catalog:
        probes = catalog.probes(config.name)
        if asked != ALL:
            wanted = find_probe(catalog, store, config, asked).probe_id
            return [probe for probe in probes if probe.probe_id == wanted]
    if not probes:
        raise RefusedError(
            f"the catalog {config.name!r} has not been probed, so there is nothing to grade",
            where=str(config.path),
            help=f"pebr-data probe {config.path} --model MODEL",
        )
    return probes


def _golds(num_fixes: int) -> str:
    return f"{num_fixes:,} corrected golds" if num_fixes else "the sources' golds"


def _print_plan(plan: RegradePlan, seconds: float | None, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "grader_version": plan.version,
                "num_corrected_golds": len(plan.fixes),
                "expected_seconds": seconds,
                "probes": [
                    {
                        "probe_id": probe.probe_id,
                        "counts": probe.grader_version,
                        "num_rollouts": plan.num_rollouts[probe.probe_id],
                        "num_owed": plan.num_owed[probe.probe_id],
                    }
                    for probe in plan.probes
                ],
            }
        )
        return
    rows = [
        (
            probe.probe_id, probe.fingerprint.model, probe.grader_version,
            plan.num_rollouts[probe.probe_id], plan.num_owed[probe.probe_id],
        )
        for probe in plan.probes
    ]  # fmt: skip
    print_table(("probe", "model", "counts now", "rollouts", f"to be graded by {plan.version}"), rows)
    if seconds is None:
        talk("note: everything was graded before")
    else:
        talk(f"note: about {duration(seconds)}, going by the first few rollouts, graded for this and thrown away")


def _as_json(result: Regraded, plan: RegradePlan) -> Json:
    found = result.comparison
    return {
        "probe_id": result.probe.probe_id,
        "before": result.probe.grader_version,
        "after": plan.version,
        "num_rollouts": plan.num_rollouts[result.probe.probe_id],
        "num_graded": result.num_graded,
        "num_changed": found.num_changed if found else 0,
        "confusion": [
            {"before": str(before), "after": str(after), "num_rollouts": count}
            for (before, after), count in (found.confusion if found else {}).items()
        ],
        "bands": [
            {
                "before": str(change.before),
                "after": str(change.after),
                "num_samples": change.num_samples,
                "sample_ids": list(change.sample_ids),
            }
            for change in (found.band_changes if found else ())
        ],
    }


def _print_result(result: Regraded, plan: RegradePlan, position: int) -> None:
    probe, found = result.probe, result.comparison
    total = plan.num_rollouts[probe.probe_id]
    print("\n" * (position > 0), end="")
    print(f"probe {probe.probe_id}: {probe.fingerprint.model}, {result.num_graded:,} of {total:,} rollouts graded now")
    if found is None or found.before == found.after:
        print(f"by {plan.version}, which counts already: there is nothing to compare")
        return
    _print_confusion(found)
    if not found.band_changes:
        print("\nno sample changes its band")
        return
    print()
    rows = [(change.before, change.after, change.num_samples, _examples(change)) for change in found.band_changes]
    print_table(("band", "would be", "samples", "such as"), rows)


def _print_confusion(found: Comparison) -> None:
    """A row for each outcome before, a column for each after, those that occur."""
    from pebr_data.types import Outcome

    befores = [one for one in Outcome if any(before == one for before, _ in found.confusion)]
    afters = [one for one in Outcome if any(after == one for _, after in found.confusion)]
    rows = [(before, *(found.confusion.get((before, after), 0) for after in afters)) for before in befores]
    print_table((f"{found.before} \\ {found.after}", *afters), rows)
    print(f"{found.num_changed:,} of {sum(found.confusion.values()):,} rollouts change")


def _examples(change: BandChange) -> str:
    more = ["…"] if change.num_samples > len(change.sample_ids) else []
    return " ".join([*change.sample_ids, *more])
