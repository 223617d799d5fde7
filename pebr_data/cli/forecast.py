"""`pebr-data forecast`: what the first pass of training over each mixture will show, under settings one may vary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pebr_data.cli.options import DEFAULT_STORE, DEFAULT_WAIT, AsJson, CatalogPath, Mixtures, Probe, Store, Wait
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk
from pebr_data.types import ScaleRewards

if TYPE_CHECKING:
    from pebr_data.select.forecast import MixtureForecast


def forecast(
    catalog: CatalogPath,
    mixture: Mixtures = None,
    probe: Probe = None,
    num_generations: Annotated[
        int | None,
        typer.Option(
            "--num-generations",
            min=2,
            metavar="G",
            help="The training's G; by default the mixture's, else the probe's.",
        ),
    ] = None,
    scale_rewards: Annotated[
        ScaleRewards | None, typer.Option("--scale-rewards", help="The training's; by default the mixture's.")
    ] = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, metavar="N", help="Completions of an update, for its tokens.")
    ] = 1_024,
    store: Store = DEFAULT_STORE,
    wait: Wait = DEFAULT_WAIT,
    as_json: AsJson = False,
) -> None:
    """Say what the first pass over each mixture will show, without probing again.

    Of the mixtures as `select` would choose them now: the share of groups whose accuracy does not vary, mean reward,
    squared advantage, tokens of an update and how long the probe took for as many, each with its 95 % interval.
    Writes nothing.
    """
    from pebr_data.config import load_catalog_config
    from pebr_data.select.forecast import forecast_mixtures
    from pebr_data.select.mixture import preview

    config = load_catalog_config(catalog)
    rates, choices = preview(config, store, probe_id=probe, names=mixture)
    foreseen = forecast_mixtures(
        config,
        store,
        rates,
        {name: choice.kept for name, choice in choices.items()},
        num_generations=num_generations,
        scale_rewards=scale_rewards,
        batch_size=batch_size,
    )
    if as_json:
        told = [{"mixture": name, "forecast": None if one is None else one.to_json()} for name, one in foreseen.items()]
        print_json(told)
    else:
        print_forecasts(foreseen)
    name_next("pebr-data", "select", catalog, *store_arguments(store, DEFAULT_STORE))


def print_forecasts(foreseen: Mapping[str, MixtureForecast | None]) -> None:
    """A line per mixture that can be forecast; notes on priors that could not be fitted.

    `sampled in` is the time that the probe's engine took for as many tokens; training adds its own to it.
    """
    rows = []
    for name, one in foreseen.items():
        if one is None:
            continue
        told = one.to_json()
        rows.append(
            (
                name,
                f"{told['num_generations']}, {one.scale_rewards}",
                _figure(told["zero_variance"], 100, ".1f", " %"),
                _figure(told["mean_reward"], 100, ".1f", " %"),
                _figure(told["squared_advantage"], 1, ".3f"),
                _figure(told["tokens_per_update"], 1, ",.0f"),
                _figure(told["sampling_seconds_per_update"], 1, ",.1f", " s"),
            )
        )
    if not rows:
        return
    sizes = sorted({one.batch_size for one in foreseen.values() if one is not None})
    header = ("mixture", "G, scaled by", "zero-variance groups", "mean reward", "squared advantage")
    print_table((*header, f"tokens in {sizes[0]:,} completions", "sampled in"), rows)
    unfitted = {
        reason
        for one in foreseen.values()
        if one is not None
        for reason in one.priors
        if not reason.startswith("fitted")
    }
    for reason in sorted(unfitted):
        talk(f"note: of some samples the prior is {reason}")


def _figure(value: Mapping[str, Any] | None, scale: float, style: str, unit: str = "") -> str | None:
    if value is None:
        return None
    mean, low, high = (format(scale * value[name], style) for name in ("mean", "low", "high"))
    return f"{mean}{unit} ({low} to {high})"
