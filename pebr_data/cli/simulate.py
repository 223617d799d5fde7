"""`pebr-data simulate`: try stopping rules and policies on samples whose pass rates are known."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pebr_data.cli.options import AsJson
from pebr_data.cli.output import name_next, print_json, print_table
from pebr_data.types import Diagnosis

if TYPE_CHECKING:
    from pebr_data.select.simulate import Trial


class PopulationName(StrEnum):
    """The names in `pebr_data.difficulty.populations.POPULATIONS`."""

    UNIFORM = "uniform"
    U_SHAPED = "u_shaped"
    HARD = "hard"
    TWO_SOURCE = "two_source"
    GUESSERS = "guessers"


class PolicyName(StrEnum):
    """The policies that can be simulated."""

    PEBR = "pebr"
    SIGNAL = "signal"
    DIAGNOSIS = "diagnosis"
    RANDOM = "random"


class StopName(StrEnum):
    """The stopping rules."""

    FIXED = "fixed"
    EXACT = "exact"
    POSTERIOR = "posterior"


def simulate(
    population: Annotated[
        list[PopulationName] | None,
        typer.Option("--population", help="The true pass rates; may be given several times. All by default."),
    ] = None,
    policy: Annotated[
        list[PolicyName] | None,
        typer.Option("--policy", help="Who chooses; may be given several times. All by default."),
    ] = None,
    stop: Annotated[
        list[StopName] | None,
        typer.Option(
            "--stop", help="When a sample has rollouts enough; may be given several times. `fixed` by default."
        ),
    ] = None,
    rollouts: Annotated[
        int, typer.Option("--rollouts", min=2, metavar="N", help="Rollouts of a group; the most that a sample gets.")
    ] = 8,
    max_rollouts: Annotated[
        int | None,
        typer.Option("--max-rollouts", min=2, metavar="N", help="The most under `posterior`; twice --rollouts."),
    ] = None,
    confidence: Annotated[
        float,
        typer.Option("--confidence", min=0.5, max=1.0, metavar="P", help="Under `posterior`: how sure a band must be."),
    ] = 0.9,
    num_generations: Annotated[
        int, typer.Option("--num-generations", min=3, metavar="G", help="The training's G.")
    ] = 8,
    samples: Annotated[int, typer.Option("--samples", min=100, metavar="N", help="Samples of a population.")] = 10_000,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, metavar="N", help="Take at most this many; by default as many as are medium."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of everything that is drawn.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Try stopping rules and policies before paying for a probe.

    Draws samples with known pass rates, probes, chooses and forecasts them as real ones are, and says how many of the
    chosen teach (precision), how many of those that teach were chosen (recall), what it cost, and how far the forecast
    of the zero-variance share was off. `diagnosis` takes what it finds perception-bound, and again what it finds
    reasoning-bound: its precision and recall are of samples that truly are so, and its rollouts those of all three
    conditions. The other policies all take the same number of samples.
    """
    from pebr_data.select.simulate import simulate

    bounds = (Diagnosis.PERCEPTION_BOUND, Diagnosis.REASONING_BOUND)
    trials = [
        trial
        for name in population or PopulationName
        for rule in stop or (StopName.FIXED,)
        for who in policy or PolicyName
        for bound in (bounds if who is PolicyName.DIAGNOSIS else bounds[-1:])
        if (
            trial := simulate(
                name.value,
                rule.value,
                who.value,
                diagnosis=bound,
                num_samples=samples,
                max_rollouts=(max_rollouts or 2 * rollouts) if rule is StopName.POSTERIOR else rollouts,
                confidence=confidence,
                num_generations=num_generations,
                limit=limit,
                seed=seed,
            )
        )
    ]
    if as_json:
        print_json([trial.to_json() for trial in trials])
    else:
        header = ("population", "stop", "policy", "chosen", "precision", "recall", "rollouts a sample")
        rows = [_row(trial, samples) for trial in trials]
        print_table((*header, "zero variance", "forecast error", "in its interval"), rows)
    name_next("pebr-data", "probe", "CATALOG.yaml", "--model", "MODEL")


def _row(trial: Trial, num_samples: int) -> tuple[object, ...]:
    seen = trial.verdict
    return (
        trial.population, trial.stop, trial.diagnosis or trial.policy, seen.num_chosen, f"{100 * seen.precision:.1f} %",
        f"{100 * seen.recall:.1f} %", f"{seen.num_rollouts / num_samples:.2f}", f"{100 * seen.zero_variance:.1f} %",
        f"{100 * seen.forecast_error:+.1f} points", "yes" if seen.within else "no",
    )  # fmt: skip
