"""Selecting: from a probe's pass rates to frozen mixtures.

mixtures = select(config, store)          # again: the same mixtures, nothing written
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pebr_data.catalog.rollouts import Probe
from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig, MixtureConfig
from pebr_data.errors import ConfigError, DataError, RefusedError, UsageError
from pebr_data.hashing import digest
from pebr_data.select.default_probe import find_probe
from pebr_data.select.policies import POLICIES, Choice, Pooled
from pebr_data.types import Band, Json, Mixture

if TYPE_CHECKING:
    import polars as pl


def select(
    config: CatalogConfig, store: Path, *, probe_id: str | None = None, names: Sequence[str] | None = None
) -> list[Mixture]:
    """Choose and freeze the mixtures of a catalog.

    The choice depends on the YAML and the rollouts' grades alone. Where neither has changed, the mixtures that were
    frozen before are returned.

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
    probe, choices = preview(config, store, probe_id=probe_id, names=names)
    with Catalog.open(store, read_only=True) as catalog:
        found = {name: _same(catalog, config, probe, name, choice) for name, choice in choices.items()}
    if None not in found.values():
        return [mixture for mixture in found.values() if mixture is not None]
    with Catalog.open(store) as catalog:
        return [
            found[name]
            or catalog.save_mixture(
                config.name, name, probe.probe_id, frozen_config(config, name, probe), choice.kept, choice.drops
            )
            for name, choice in choices.items()
        ]


def preview(
    config: CatalogConfig, store: Path, *, probe_id: str | None = None, names: Sequence[str] | None = None
) -> tuple[Probe, dict[str, Choice]]:
    """The probe that `select` would go by and what each mixture would hold; nothing is written. Arguments likewise."""
    wanted = _names(config, names)
    with Catalog.open(store, read_only=True) as catalog:
        probe = find_probe(catalog, store, config, probe_id)
        rates = catalog.pass_rates(probe.probe_id, config.probe.rollouts, catalog=config.name)
    return probe, {name: choose(config, name, rates, probe) for name in wanted}


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


def choose(config: CatalogConfig, name: str, rates: pl.DataFrame, probe: Probe) -> Choice:
    """What the mixture's policy takes. Pure: nothing is read or written.

    Args:
        config: The catalog YAML.
        name: A mixture in it.
        rates: `Catalog.pass_rates` of the whole catalog under `probe`.
        probe: Where the rates come from; named in errors.

    Raises:
        DataError: The mixture's split has no samples.
        RefusedError: None of them has a complete group, and the policy goes by pass rates.
    """
    mixture = config.mixtures[name]
    pool = _pool(rates, mixture.split)
    if not pool:
        splits = ", ".join(sorted(set(rates["split"])))
        raise DataError(
            f"the mixture {name!r} takes from the split {mixture.split!r}, which has no samples; there are: {splits}",
            where=str(config.path),
            help="set the mixture's `split` to one of those, or add it to a source and build again",
        )
    if mixture.policy != "all" and all(sample.band == Band.UNPROBED for sample in pool):
        raise RefusedError(
            f"no sample of the split {mixture.split!r} has all its {config.probe.rollouts} rollouts",
            where=f"mixture {name}, probe {probe.probe_id}",
            help=f"finish probing {probe.fingerprint.model}: pebr-data probe {config.path} --model MODEL",
        )
    return POLICIES[mixture.policy](
        pool,
        band=mixture.band,
        size=_size(config, mixture, rates, probe),
        salt=f"{config.name}/{name}/{mixture.seed}",
    )


def frozen_config(config: CatalogConfig, name: str, probe: Probe) -> Mapping[str, Json]:
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


def _size(config: CatalogConfig, mixture: MixtureConfig, rates: pl.DataFrame, probe: Probe) -> int | None:
    if mixture.match is None:
        return mixture.limit
    matched = len(choose(config, mixture.match, rates, probe).kept)
    return matched if mixture.limit is None else min(matched, mixture.limit)


def _pool(rates: pl.DataFrame, split: str) -> list[Pooled]:
    columns = ("sample_id", "split", "band", "num_rollouts", "num_ungradable", "num_error")
    return [
        Pooled(sample_id, Band(band), _gap(num_rollouts, num_ungradable, num_error))
        for sample_id, its_split, band, num_rollouts, num_ungradable, num_error in rates.select(columns).iter_rows()
        if its_split == split
    ]


def _gap(num_rollouts: int, num_ungradable: int, num_error: int) -> str:
    if num_ungradable:
        return "ungradable"
    if num_error:
        return "error"
    return "incomplete" if num_rollouts else "unprobed"


def _find(catalog: Catalog, config: CatalogConfig, probe: Probe, name: str) -> Mixture | None:
    return catalog.find_mixture(config.name, name, probe.probe_id, digest(dict(frozen_config(config, name, probe))))


def _same(catalog: Catalog, config: CatalogConfig, probe: Probe, name: str, choice: Choice) -> Mixture | None:
    """The frozen mixture that holds exactly this choice."""
    found = _find(catalog, config, probe, name)
    if found is None or found.sample_ids != choice.kept:
        return None
    return found if catalog.drop_reasons(found.mixture_id) == dict(choice.drops) else None
