"""What the first pass over a frozen mixture will show, under the mixture's own settings; for its card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pebr_data.types import Mixture, ScaleRewards

if TYPE_CHECKING:
    from pebr_data.catalog.store import Catalog
    from pebr_data.difficulty.forecast import Forecast


def foresee(catalog: Catalog, mixture: Mixture) -> tuple[Forecast, ScaleRewards] | None:
    """The forecast by the rollouts that the mixture's probe has now, and the `scale_rewards` it holds under.

    None where none of the mixture's samples was probed.
    """
    from pebr_data.difficulty.known import learn

    if mixture.probe_id is None:
        return None
    config = mixture.config
    samples = _looked_at(catalog, mixture.probe_id, mixture)
    kept = pl.DataFrame({"sample_id": mixture.sample_ids}, schema={"sample_id": pl.String})
    chosen = samples.join(kept, on="sample_id", how="semi")
    if not chosen["num_rollouts"].sum():
        return None
    known = learn(samples)
    group_size = max(config.get("num_generations") or config["rollouts"], 2)
    scale: ScaleRewards = config.get("scale_rewards", "group")
    return known.forecast(chosen, group_size, scale, redrawn=known.redrawn()), scale


def _looked_at(catalog: Catalog, probe_id: str, mixture: Mixture) -> pl.DataFrame:
    """The samples of the mixture's split with all that its choice looked at, for `learn`."""
    asked = (probe_id, mixture.config["rollouts"], mixture.catalog, mixture.config["split"])
    if mixture.config["policy"] != "diagnosis":
        return catalog.bands(*asked)
    from pebr_data.difficulty.diagnosis import diagnose

    evidence = catalog.evidence(*asked)
    return evidence.hstack([diagnose(evidence)["level"]])
