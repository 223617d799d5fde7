"""`pebr-data probe`: sample completions of a policy for the catalog's questions, and grade them."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, CatalogPath, DryRun, Store, Wait
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk
from pebr_data.cli.progress import duration, progress, rate_text
from pebr_data.errors import UsageError
from pebr_data.types import Condition, StopRule

if TYPE_CHECKING:
    from pebr_data.probe.estimate import Estimate
    from pebr_data.probe.plan import ProbePlan
    from pebr_data.probe.result import ProbeResult


def probe(
    catalog: CatalogPath,
    model: Annotated[
        str, typer.Option("--model", metavar="MODEL", help="pebr-tiny, a model's directory, or a hub id[@revision].")
    ],
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="The split to probe; the one in the YAML by default.")
    ] = None,
    condition: Annotated[
        Condition | None,
        typer.Option("--condition", help="What the policy is shown; the condition in the YAML by default."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Probe only the first N samples of the split.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="KEY=VALUE",
            help="Probe only samples with this source, skill or answer_type; may be given several times, values of one "
            "key are alternatives.",
        ),
    ] = None,
    mixture: Annotated[
        str | None,
        typer.Option("--mixture", metavar="NAME", help="Probe only the samples of this mixture, as last selected."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DATE", help="Probe only samples that were built then (UTC) or later."),
    ] = None,
    rollouts: Annotated[
        int | None,
        typer.Option(
            "--rollouts", min=1, metavar="G", help="Rollouts of each sample; the number in the YAML by default."
        ),
    ] = None,
    stop: Annotated[
        StopRule | None,
        typer.Option(
            "--stop",
            help="`exact`: no more rollouts of a sample once the band of all G is certain; `posterior`: until its own "
            "band is sure; `none`: all of them. The rule in the YAML by default.",
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            "--confidence",
            metavar="P",
            help="With the rule `posterior`: the probability that a band must have; above 1/3, below 1.",
        ),
    ] = None,
    max_rollouts: Annotated[
        int | None,
        typer.Option(
            "--max-rollouts",
            min=1,
            metavar="N",
            help="With the rule `posterior`: rollouts of a sample at most; twice --rollouts by default.",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="I/N", help="Probe only part I of N, disjoint from the others, which may run beside it."
        ),
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Begin another probe of a model that was probed under other settings.")
    ] = False,
    engine_options: Annotated[
        list[str] | None,
        typer.Option(
            "--engine-option",
            metavar="KEY=VALUE",
            help="How the engine is run (batch_size, base_url, …), before the YAML's; may be given several times.",
        ),
    ] = None,
    pilot: Annotated[
        int | None,
        typer.Option(
            "--pilot",
            min=1,
            metavar="N",
            help="With --dry-run: first make all rollouts of N samples, which are kept, and estimate by them.",
        ),
    ] = None,
    store: Store = DEFAULT_STORE,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Sample and grade a policy's answers.

    Only what is still owed is generated: an interrupted probe goes on where it stopped.
    """
    from pebr_data.config import load_catalog_config, under
    from pebr_data.engine_options import open_options, parse_options
    from pebr_data.probe.changed import require_unchanged
    from pebr_data.probe.pilot import make_pilot
    from pebr_data.probe.run import plan_probe
    from pebr_data.probe.run import probe as run_probe
    from pebr_data.probe.shard import WHOLE, parse_shard
    from pebr_data.probe.subset import Subset, parse_since, parse_where
    from pebr_data.select.default_probe import remember_probe

    given_config = load_catalog_config(catalog)
    config = given_config if condition is None else under(given_config, condition)
    part = WHOLE if shard is None else parse_shard(shard)
    here = store_arguments(store, DEFAULT_STORE)
    given_options = {
        "--split": split,
        "--condition": condition,
        "--limit": limit,
        "--mixture": mixture,
        "--since": since,
        "--rollouts": rollouts,
        "--stop": stop,
        "--confidence": confidence,
        "--max-rollouts": max_rollouts,
        "--shard": shard,
    }
    rule = config.probe.stop if stop is None else stop
    if rule is not StopRule.POSTERIOR and (confidence is not None or max_rollouts is not None):
        raise UsageError("--confidence and --max-rollouts belong to the rule `posterior`", help="--stop posterior")
    given = [word for name, value in given_options.items() if value is not None for word in (name, str(value))]
    given += [word for text in where or () for word in ("--where", text)]
    given += [word for text in engine_options or () for word in ("--engine-option", text)]
    moment = None if since is None else parse_since(since)
    subset = Subset(split=split, where=parse_where(where or ()), mixture=mixture, since=moment, limit=limit)
    again = ["pebr-data", "probe", str(catalog), "--model", model, *given, *(["--new"] if new else []), *here]
    config = config.with_engine_options(parse_options(engine_options or ()))
    # Wrong ones are told at once, whether or not anything is owed.
    open_options(config.probe.engine, config.probe.engine_options)
    if not new:
        require_unchanged(config, store, model, split)
    if pilot is not None and not dry_run:
        raise UsageError("--pilot belongs to --dry-run", help="leave it out: a probe needs no pilot")
    if dry_run:
        if pilot is not None:
            make_pilot(config, store, model, subset, pilot, num_rollouts=rollouts)
        plan = plan_probe(
            config,
            store,
            model,
            subset=subset,
            num_rollouts=rollouts,
            rule=stop,
            confidence=confidence,
            max_rollouts=max_rollouts,
            shard=part,
        )
        _print_plan(plan, as_json, at_most=rule is not StopRule.NONE)
        name_next(*(again if plan.num_owed else ["pebr-data", "select", str(catalog), *here]))
        return
    with progress("probe", "rollouts") as update:
        result = run_probe(
            config,
            store,
            model,
            subset=subset,
            num_rollouts=rollouts,
            rule=stop,
            confidence=confidence,
            max_rollouts=max_rollouts,
            shard=part,
            progress=update,
            resume=shlex.join(again),
        )
    if config.probe.condition is given_config.probe.condition:
        # Another condition is a look aside: `select` goes on by the one in the YAML.
        remember_probe(store, config.name, result.probe_id)
    _print_result(result, as_json)
    for place in result.damaged:
        talk(f"note: the spool is damaged at {place}; what it held was made again")
    if result.num_owed:
        talk(f"note: {result.num_owed:,} rollouts failed and are still owed: {'; '.join(result.errors)}")
        name_next(*again)
    else:
        name_next("pebr-data", "select", catalog, *here)


def _print_plan(plan: ProbePlan, as_json: bool, *, at_most: bool) -> None:
    if as_json:
        print_json(
            {
                "probe_id": plan.probe_id,
                "fingerprint": plan.fingerprint.to_json(),
                "num_samples": plan.num_samples,
                "num_rollouts": plan.num_rollouts,
                "num_kept": plan.num_kept,
                "num_spared": plan.num_spared,
                "num_owed": plan.num_owed,
                "max_tokens": plan.max_tokens,
                "expected_tokens": plan.expected_tokens,
                "expected_seconds": plan.expected_seconds,
                "estimate": None if plan.estimate is None else asdict(plan.estimate),
            }
        )
        return
    rows: list[tuple[str, int]] = [
        ("samples", plan.num_samples),
        ("rollouts of each, at most" if at_most else "rollouts of each", plan.num_rollouts),
        ("rollouts kept", plan.num_kept),
        *([("rollouts not needed", plan.num_spared)] if plan.num_spared else []),
        ("rollouts owed, at most" if at_most else "rollouts owed", plan.num_owed),
        ("tokens to generate, at most", plan.max_tokens),
    ]
    if plan.num_owed and plan.estimate is None and plan.expected_tokens is not None:
        rows.append(("tokens to generate, at the mean length so far", plan.expected_tokens))
    print_table((f"probe {plan.probe_id}: {plan.fingerprint.model}", ""), rows)
    if plan.estimate is not None:
        _print_estimate(plan.estimate)
    if not plan.num_owed:
        talk("note: everything was probed before")
    elif plan.estimate is not None and plan.estimate.seconds is not None:
        talk("note: loading the model comes on top; the time goes by this probe's pace here")
    elif plan.pace is None or plan.expected_seconds is None:
        talk("note: how long that takes is known once this model was probed here; --pilot 8 finds out")
    else:
        rate = rate_text(plan.pace.num_rollouts / plan.pace.seconds)
        measured = f"{rate} measured here on {plan.pace.num_rollouts:,} rollouts"
        talk(f"note: about {duration(plan.expected_seconds)}, going by {measured}, and loading the model")


def _print_estimate(told: Estimate) -> None:
    """What is still to be made, with intervals."""
    rows = [
        (name, *(show(one) for one in (amount.mean, amount.low, amount.high)))
        for name, amount, show in (
            ("rollouts", told.rollouts, lambda value: f"{value:,.0f}"),
            ("tokens", told.tokens, lambda value: f"{value:,.0f}"),
            ("time", told.seconds, duration),
        )
        if amount is not None
    ]
    print(f"\nstill to be made, going by the rollouts of {told.num_measured:,} samples; 95 times in 100 between")
    print_table(("", "expected", "at least", "at most"), rows)


def _print_result(result: ProbeResult, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "probe_id": result.probe_id,
                "fingerprint": result.fingerprint.to_json(),
                "num_samples": result.num_samples,
                "num_rollouts": result.num_rollouts,
                "num_kept": result.num_kept,
                "num_recovered": result.num_recovered,
                "num_generated": result.num_generated,
                "num_spared": result.num_spared,
                "num_owed": result.num_owed,
                "outcomes": {str(outcome): count for outcome, count in result.outcomes.items()},
                "errors": list(result.errors),
                "damaged": list(result.damaged),
                "seconds": round(result.seconds, 3),
            }
        )
        return
    rows = [
        ("samples", result.num_samples),
        ("rollouts kept from before", result.num_kept + result.num_recovered),
        ("rollouts generated", result.num_generated),
        *((f"  {outcome}", result.outcomes[outcome]) for outcome in sorted(result.outcomes)),
        *([("rollouts not needed", result.num_spared)] if result.num_spared else []),
    ]
    print_table((f"probe {result.probe_id}: {result.fingerprint.model}", ""), rows)
    if result.num_generated:
        rate = result.num_generated / result.seconds
        talk(f"note: {duration(result.seconds)}, {rate:,.0f} rollouts/s")
