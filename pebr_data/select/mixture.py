"""Selecting: from a probe's pass rates to frozen mixtures.

mixtures = select(config, store)          # again: the same mixtures, nothing written
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import polars as pl

from pebr_data.catalog.mixtures import asked_digest, freeze_mixture
from pebr_data.catalog.rollouts import KnownProbe
from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.errors import ConfigError, RefusedError, UsageError
from pebr_data.select.default_probe import find_probe
from pebr_data.select.policies import POLICIES, Choice, Terms
from pebr_data.select.pool import Rates, pool_of, read_rates, where_reason
from pebr_data.types import Json, Mixture


def select(
    config: CatalogConfig, store: Path, *, probe_id: str | None = None, names: Sequence[str] | None = None
) -> list[Mixture]:
    """Choose and freeze the mixtures of a catalog.

    The choice depends on the YAML, the rollouts' grades and what `dedupe` and `decontaminate` have marked, alone. Where
    none of them has changed, the mixtures that were frozen before are returned.

    Args:
        config: The catalog YAML.
        store: The store it was built into.
        probe_id: The probe to go by, as `find_probe` takes it; its default when not given.
        names: The mixtures wanted; all by default.

    Returns:
        The mixtures, in the order of `names` or of the YAML. One whose band holds no sample is empty.

    Raises:
        ConfigError: The YAML has no mixtures.
        DataError: A mixture takes from a split without samples.
        RefusedError: No sample of a mixture's split has a complete group of rollouts.
        UsageError: There is no such mixture or probe.
    """
    return select_by(config, store, rates_for(config, store, probe_id=probe_id, names=names), names=names)


def rates_for(
    config: CatalogConfig, store: Path, *, probe_id: str | None = None, names: Sequence[str] | None = None
) -> Rates:
    """What `select` goes by. Arguments and errors as there."""
    return read_rates(config, store, probe_id, _names(config, names))


def select_by(config: CatalogConfig, store: Path, rates: Rates, *, names: Sequence[str] | None = None) -> list[Mixture]:
    """What `select` does, by rates that `rates_for` gave for the same mixtures."""
    wanted = _names(config, names)
    probe = rates.probe
    with Catalog.open(store, read_only=True) as catalog:
        newest = {name: _newest(catalog, config, probe, name) for name in wanted}

    def frozen_choice(name: str) -> tuple[Mixture, pl.DataFrame]:
        choice = choose(config, name, rates)
        settings = frozen_config(config, name, probe, rates)
        return freeze_mixture(config.name, name, probe.probe_id, settings, choice.kept, choice.drops), choice.drops

    for name in wanted:
        pool_of(config, name, rates)  # where one is refused, none is written
    mixtures = []
    # Two at a time keep two cores busy. The catalog is held once there is something to write, for the rest of it.
    with ThreadPoolExecutor(max_workers=2) as pool, ExitStack() as opened:
        writer: Catalog | None = None
        for name, (mixture, drops) in zip(wanted, pool.map(frozen_choice, wanted), strict=True):
            if newest[name] != mixture.mixture_id:
                writer = writer or opened.enter_context(Catalog.open(store))
                writer.save_mixture(mixture, drops)
            mixtures.append(mixture)
    return mixtures


def preview(
    config: CatalogConfig, store: Path, *, probe_id: str | None = None, names: Sequence[str] | None = None
) -> tuple[Rates, dict[str, Choice]]:
    """The pass rates that `select` would go by and what each mixture would hold; nothing is written."""
    rates = rates_for(config, store, probe_id=probe_id, names=names)
    return rates, {name: choose(config, name, rates) for name in _names(config, names)}


def frozen(
    config: CatalogConfig, store: Path, *, probe_id: str | None = None, names: Sequence[str] | None = None
) -> list[Mixture]:
    """The mixtures as they were last selected, without selecting. Arguments and errors as for `select`.

    Raises:
        RefusedError: One has not been selected under the YAML as it is.
    """
    wanted = _names(config, names)
    with Catalog.open(store, read_only=True) as catalog:
        probe = find_probe(catalog, store, config, probe_id)
        found = {name: _find(catalog, config, probe, name) for name in wanted}
    missing = [name for name in wanted if found[name] is None]
    if missing:
        raise RefusedError(
            f"not selected yet under probe {probe.probe_id} and these settings: {', '.join(missing)}",
            where=str(config.path),
            help=f"pebr-data select {config.path} --probe {probe.probe_id}",
        )
    return [mixture for name in wanted if (mixture := found[name]) is not None]


def choose(config: CatalogConfig, name: str, rates: Rates) -> Choice:
    """What the mixture's policy takes. Pure: nothing is read or written.

    Args:
        config: The catalog YAML.
        name: A mixture in it.
        rates: What the probe says of the whole catalog.

    Raises:
        DataError: The mixture's split has no samples.
        RefusedError: None of them has a complete group, and the policy goes by pass rates.
    """
    mixture = config.mixtures[name]
    terms = Terms(
        salt=f"{config.name}/{name}/{mixture.seed}",
        size=mixture.limit,
        band=mixture.band,
        threshold=mixture.threshold,
        quotas=None if mixture.match is None else _quotas(config, mixture.match, rates),
        caps=mixture.caps.model_dump(exclude_none=True),
        diagnoses=mixture.diagnosis,
        least=mixture.quotas.model_dump(exclude_none=True),
        cover=mixture.cover,
    )
    choice = POLICIES[mixture.policy](pool_of(config, name, rates), terms)
    kept_out = pl.coalesce("mark", where_reason(config, name))
    others = rates.samples.filter(split=mixture.split).select("sample_id", reason=kept_out).drop_nulls("reason")
    return Choice(kept=choice.kept, drops=choice.drops.merge_sorted(others, "sample_id"))


ALWAYS_FROZEN = {"policy", "band", "match", "split", "limit", "seed"}
"""Keys that are frozen with their defaults; others only where they say something, so that mixtures keep their ids."""


def frozen_config(
    config: CatalogConfig, name: str, probe: KnownProbe, rates: Rates | None = None
) -> Mapping[str, Json]:
    """What is frozen with a mixture: its part of the YAML, the group size its bands are made of, and who graded.

    A mixture chosen by signal has `priors` as well, where `rates` is given: what its signal was computed under.
    """
    mixture = config.mixtures[name]
    settings = mixture.model_dump(mode="json", include=ALWAYS_FROZEN)
    settings |= mixture.model_dump(mode="json", exclude_defaults=True, exclude={"control"})
    settings |= {"rollouts": config.probe.rollouts, "grader_version": probe.grader_version}
    if rates is not None and mixture.policy == "signal":
        settings["priors"] = rates.known[mixture.split].to_json()
    return settings


def _names(config: CatalogConfig, names: Sequence[str] | None) -> list[str]:
    if not config.mixtures:
        raise ConfigError("the catalog YAML declares no mixtures", where=str(config.path), help="add `mixtures:` to it")
    unknown = [name for name in names or () if name not in config.mixtures]
    if unknown:
        raise UsageError(
            f"there is no mixture named {', '.join(map(repr, unknown))}",
            where=str(config.path),
            help=f"the mixtures are: {', '.join(config.mixtures)}",
        )
    return list(dict.fromkeys(names)) if names else list(config.mixtures)


def _quotas(config: CatalogConfig, name: str, rates: Rates) -> Mapping[str, int]:
    """How many samples of each source a mixture holds."""
    mixture = config.mixtures[name]
    pool = pool_of(config, name, rates)
    if mixture.policy == "pebr" and mixture.limit is None and not mixture.caps.model_dump(exclude_none=True):
        held = pool.filter(band=str(mixture.band))
    else:
        held = choose(config, name, rates).kept.to_frame("sample_id").join(pool, on="sample_id")
    return dict(held.group_by("source").len().iter_rows())


def _find(catalog: Catalog, config: CatalogConfig, probe: KnownProbe, name: str) -> Mixture | None:
    return catalog.find_mixture(config.name, name, probe.probe_id, asked_digest(frozen_config(config, name, probe)))


def _newest(catalog: Catalog, config: CatalogConfig, probe: KnownProbe, name: str) -> str | None:
    """The mixture last chosen under exactly these settings."""
    return catalog.find_mixture_id(config.name, name, probe.probe_id, asked_digest(frozen_config(config, name, probe)))
