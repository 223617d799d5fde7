"""A pilot: the full groups of a few of the samples that are to be probed, for a plan to go by."""

from __future__ import annotations

from pathlib import Path

from pebr_data.config import CatalogConfig
from pebr_data.engines.base import Engine
from pebr_data.probe.result import ProbeResult
from pebr_data.probe.run import probe
from pebr_data.probe.subset import Subset, read_samples
from pebr_data.types import StopRule


def make_pilot(
    config: CatalogConfig,
    store: Path,
    model: str,
    subset: Subset,
    num_samples: int,
    *,
    num_rollouts: int | None = None,
    engine: Engine | None = None,
) -> ProbeResult:
    """Makes and keeps all G rollouts of so many samples; arguments and errors as for `probe`.

    Ids are hashes, so those that come first are a draw, and always the same one.
    """
    drawn = sorted(one.sample_id for one in read_samples(config, store, subset))[:num_samples]
    return probe(
        config,
        store,
        model,
        subset=Subset(split=subset.split, sample_ids=tuple(drawn)),
        num_rollouts=num_rollouts,
        rule=StopRule.NONE,
        engine=engine,
        resume="the same command",
    )
