"""Selecting: from a probe's pass rates to frozen mixtures.

mixtures = select(config, store)          # again: the same mixtures, nothing written
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from pebr_data.catalog.mixtures import freeze_mixture
from pebr_data.catalog.rollouts import KnownProbe
from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig, MixtureConfig
from pebr_data.errors import ConfigError, DataError, RefusedError, UsageError
from pebr_data.hashing import digest
from pebr_data.select.default_probe import find_probe
from pebr_data.select.policies import POLICIES, Choice
from pebr_data.types import Band, Json, Mixture


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
    wanted = _names(config, names)
    probe, found = _bands(config, store, probe_id)

    def frozen_choice(name: str) -> tuple[Mixture, pl.DataFrame]:
        choice = choose(config, name, found, probe)
        settings = frozen_config(config, name, probe)
        return freeze_mixture(config.name, name, probe.probe_id, settings, choice.kept, choice.drops), choice.drops

    # Drawing one mixture is Python's work, digesting the other is not: two at a time keep two cores busy.
    with ThreadPoolExecutor(max_workers=2) as pool:
        chosen = dict(zip(wanted, pool.map(frozen_choice, wanted), strict=True))
    with Catalog.open(store, read_only=True) as catalog:
        new = [name for name in wanted if _newest(catalog, config, probe, name) != chosen[name][0].mixture_id]
    if new:
        with Catalog.open(store) as catalog:
            for name in new:
                catalog.save_mixture(*chosen[name])
    return [mixture for mixture, _ in chosen.values()]


def preview(
    config: CatalogConfig, store: Path, *, probe_id: str | None = None, names: Sequence[str] | None = None
) -> tuple[KnownProbe, dict[str, Choice]]:
    """The probe that `select` would go by and what each mixture would hold; nothing is written. Arguments likewise."""
    wanted = _names(config, names)
    probe, found = _bands(config, store, probe_id)
    return probe, {name: choose(config, name, found, probe) for name in wanted}


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


def choose(config: CatalogConfig, name: str, rates: pl.DataFrame, probe: KnownProbe) -> Choice:
    """What the mixture's policy takes. Pure: nothing is read or written.

    Args:
        config: The catalog YAML.
        name: A mixture in it.
        rates: `Catalog.bands` (or `Catalog.pass_rates`) of the whole catalog under `probe`, and `mark`: why a sample is
            left out whatever its band (`duplicate`, `in-benchmark`), or null.
        probe: Where the rates come from; named in errors.

    Raises:
        DataError: The mixture's split has no samples.
        RefusedError: None of them has a complete group, and the policy goes by pass rates.
    """
    mixture = config.mixtures[name]
    choice = POLICIES[mixture.policy](
        _pool(config, name, rates, probe),
        band=mixture.band,
        size=_size(config, mixture, rates, probe),
        salt=f"{config.name}/{name}/{mixture.seed}",
    )
    marked = rates.filter(pl.col("mark").is_not_null(), split=mixture.split).select("sample_id", reason="mark")
    return Choice(kept=choice.kept, drops=pl.concat([choice.drops, marked]).sort("sample_id"))


def frozen_config(config: CatalogConfig, name: str, probe: KnownProbe) -> Mapping[str, Json]:
    """What is frozen with a mixture: its part of the YAML, the group size its bands are made of, and who graded."""
    settings = config.mixtures[name].model_dump(mode="json")
    return {**settings, "rollouts": config.probe.rollouts, "grader_version": probe.grader_version}


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


def _bands(config: CatalogConfig, store: Path, asked: str | None) -> tuple[KnownProbe, pl.DataFrame]:
    with Catalog.open(store, read_only=True) as catalog:
        probe = find_probe(catalog, store, config, asked)
        bands = catalog.bands(probe.probe_id, config.probe.rollouts, config.name)
        marks = catalog.marks(config.name).rename({"reason": "mark"})
    return probe, bands.join(marks, on="sample_id", how="left", maintain_order="left")


def _size(config: CatalogConfig, mixture: MixtureConfig, rates: pl.DataFrame, probe: KnownProbe) -> int | None:
    if mixture.match is None:
        return mixture.limit
    matched = config.mixtures[mixture.match]
    pool = _pool(config, mixture.match, rates, probe)
    # Only a `pebr` mixture is ever matched: it holds its band, up to its limit.
    limits = [limit for limit in (matched.limit, mixture.limit) if limit is not None]
    return min([int((pool["band"] == str(matched.band)).sum()), *limits])


def _pool(config: CatalogConfig, name: str, rates: pl.DataFrame, probe: KnownProbe) -> pl.DataFrame:
    """What the mixture's policy chooses from; errors as in `choose`."""
    mixture = config.mixtures[name]
    pool = rates.filter(split=mixture.split).select("sample_id", "band", "mark", gap=_gap())
    if pool.is_empty():
        splits = ", ".join(sorted(set(rates["split"])))
        raise DataError(
            f"the mixture {name!r} takes from the split {mixture.split!r}, which has no samples; there are: {splits}",
            where=str(config.path),
            help="set the mixture's `split` to one of those, or add it to a source and build again",
        )
    if mixture.policy != "all" and (pool["band"] == str(Band.UNPROBED)).all():
        raise RefusedError(
            f"no sample of the split {mixture.split!r} has all its {config.probe.rollouts} rollouts",
            where=f"mixture {name}, probe {probe.probe_id}",
            help=f"finish probing {probe.fingerprint.model}: pebr-data probe {config.path} --model MODEL",
        )
    return pool.filter(pl.col("mark").is_null()).drop("mark")


def _gap() -> pl.Expr:
    """Why a sample is in no band."""
    return (
        pl.when(pl.col("num_ungradable") > 0).then(pl.lit("ungradable"))
        .when(pl.col("num_error") > 0).then(pl.lit("error"))
        .when(pl.col("num_rollouts") > 0).then(pl.lit("incomplete"))
        .otherwise(pl.lit("unprobed"))
    )  # fmt: skip


def _find(catalog: Catalog, config: CatalogConfig, probe: KnownProbe, name: str) -> Mixture | None:
    return catalog.find_mixture(config.name, name, probe.probe_id, digest(dict(frozen_config(config, name, probe))))


def _newest(catalog: Catalog, config: CatalogConfig, probe: KnownProbe, name: str) -> str | None:
    """The mixture last chosen under exactly these settings."""
    return catalog.find_mixture_id(config.name, name, probe.probe_id, digest(dict(frozen_config(config, name, probe))))
