"""`pebr-train run`: everything from a recipe to a report, doing only what is owed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, DryRun, Store, Wait
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk
from pebr_data.cli.progress import progress

if TYPE_CHECKING:
    from pebr_train.plan import RunPlan

DEFAULT_RUNS = Path("runs")


def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.yaml", help="The recipe: model, catalog and stages.")],
    store: Store = DEFAULT_STORE,
    runs: Annotated[
        Path, typer.Option("--runs", envvar="PEBR_RUNS", help="The directory that holds runs, each under its name.")
    ] = DEFAULT_RUNS,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Instead of the recipe's; the run's name gets it as a suffix.")
    ] = None,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Train by a recipe.

    Builds, probes, selects and exports what is missing, trains each stage, evaluates, and writes a report. What was
    done before is not done again.
    """
    from pebr_train.recipe import load_recipe

    loaded, config = load_recipe(recipe)
    if seed is not None and seed != loaded.seed:
        loaded = loaded.model_copy(update={"seed": seed, "name": f"{loaded.name}-seed{seed}"})
    if dry_run:
        from pebr_train.plan import plan

        _print_plan(plan(loaded, config, store=store, runs=runs), as_json)
        return

    from pebr_train.runner import run as run_recipe
    from pebr_train.voice import Voice

    resume = shlex.join(["pebr-train", *(part for part in sys.argv[1:] if part != "--debug")])
    result = run_recipe(loaded, config, store=store, runs=runs, resume=resume, voice=Voice(say=talk, progress=progress))
    if as_json:
        print_json(
            {
                "run": result.directory,
                "trained": result.trained,
                "evaluated": result.evaluated,
                "report": result.report,
            }
        )
        return
    if not result.trained and not result.evaluated:
        talk("everything was done before")
    last = result.directory / loaded.stages[-1].name / "final"
    split = loaded.evaluation.split if loaded.evaluation else "test"
    here = store_arguments(store, DEFAULT_STORE)
    name_next("pebr-train", "evaluate", last, "--catalog", loaded.catalog_path, "--split", split, *here)
    print(result.report)


def _print_plan(plan: RunPlan, as_json: bool) -> None:
    if as_json:
        print_json(plan.to_json())
        return
    print_json(plan.recipe)
    rows: list[list[Any]] = [
        [
            stage.name,
            stage.state,
            stage.batches.num_samples,
            stage.batches.prompts_per_update,
            stage.batches.completions_per_update,
            stage.batches.prompts_per_generation,
            stage.batches.completions_per_generation,
            stage.batches.updates,
            stage.batches.optimizer_steps,
            stage.batches.epochs,
        ]
        for stage in plan.stages
    ]
    print_table(
        (
            "stage",
            "state",
            "samples",
            "prompts/update",
            "completions/update",
            "prompts/generation",
            "completions/generation",
            "updates",
            "optimizer steps",
            "epochs",
        ),
        rows,
    )
    for line in plan.notes:
        talk(f"note: {line}")
