"""The pool: the samples that a mixture's policy may choose from, with what the probe says of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from pebr_data.catalog.rollouts import KnownProbe
from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig, MixtureConfig
from pebr_data.errors import DataError, RefusedError
from pebr_data.select.default_probe import find_probe
from pebr_data.types import Band

if TYPE_CHECKING:
    from pebr_data.difficulty.known import Known

MIN_ROLLOUTS = 2
"""Rollouts from which `signal` judges a sample: one says neither that outcomes vary nor that they do not."""


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """What a probe says of a catalog.

    Attributes:
        probe: The probe.
        samples: `Catalog.bands` of the whole catalog, and `mark`: why a sample is left out whatever its band
            (`duplicate`, `in-benchmark`), or null.
        known: What is known of the samples of each split that is chosen from by signal, under priors fitted to all of
            its probed samples, marked or not.
        diagnoses: sample_id, diagnosis and `known.LEVEL`, where a mixture is chosen by diagnosis.
    """

    probe: KnownProbe
    samples: pl.DataFrame
    known: Mapping[str, Known]
    diagnoses: pl.DataFrame | None = None


def read_rates(config: CatalogConfig, store: Path, asked: str | None, names: Sequence[str]) -> Rates:
    """The rates that these mixtures go by.

    Args:
        config: The catalog YAML.
        store: The store it was built into.
        asked: The probe, as `find_probe` takes it.
        names: Mixtures of the YAML.
    """
    with Catalog.open(store, read_only=True) as catalog:
        probe = find_probe(catalog, store, config, asked)
        bands = catalog.bands(probe.probe_id, config.probe.rollouts, config.name)
        marks = catalog.marks(config.name).rename({"reason": "mark"})
        mixtures = [_judged_as(config, name) for name in names]
        diagnoses = None
        if any(mixture.policy == "diagnosis" for mixture in mixtures):
            # SciPy takes a moment to import, and selecting by bands alone needs none of it.
            from pebr_data.select.diagnoses import read_diagnoses, require_conditions

            found = read_diagnoses(catalog, probe, config.name, config.probe.rollouts)
            for name, mixture in zip(names, mixtures, strict=True):
                if mixture.policy == "diagnosis":
                    require_conditions(found, mixture.diagnosis, probe, f"mixture {name}, probe {probe.probe_id}")
            diagnoses = found.select("sample_id", "diagnosis", "level")
    if marks.is_empty():
        samples = bands.with_columns(mark=pl.lit(None, pl.String))
    else:
        samples = bands.join(marks, on="sample_id", how="left", maintain_order="left")
    splits = {mixture.split for mixture in mixtures if mixture.policy == "signal"}
    known = {split: learn_split(samples, split) for split in sorted(splits)}
    return Rates(probe, samples, known, diagnoses)


def learn_split(samples: pl.DataFrame, split: str) -> Known:
    """What is known of the samples of one split."""
    # SciPy takes a moment to import, and selecting by bands alone needs none of it.
    from pebr_data.difficulty.known import learn

    return learn(samples.filter(split=split))


def looked_at(mixture: MixtureConfig, rates: Rates) -> pl.DataFrame:
    """The samples of the mixture's split with all that its choice looked at, for `difficulty.known.learn`.

    Args:
        mixture: One of those that the rates were read for.
        rates: What it is chosen by.

    Returns:
        The rows of `Rates.samples`; with `known.LEVEL` where the mixture is chosen by diagnosis.
    """
    samples = rates.samples.filter(split=mixture.split)
    if mixture.policy != "diagnosis" or rates.diagnoses is None:
        return samples
    return samples.join(rates.diagnoses.select("sample_id", "level"), on="sample_id", how="left", maintain_order="left")


def pool_of(config: CatalogConfig, name: str, rates: Rates) -> pl.DataFrame:
    """What the mixture's policy chooses from: the columns of `policies.POOL`.

    Raises:
        DataError: The mixture's split has no samples.
        RefusedError: None of them was probed to the end, and the policy goes by pass rates.
    """
    mixture = config.mixtures[name]
    judged_as = _judged_as(config, name)
    samples = rates.samples.filter(split=mixture.split)
    if samples.is_empty():
        splits = ", ".join(sorted(set(rates.samples["split"])))
        raise DataError(
            f"the mixture {name!r} takes from the split {mixture.split!r}, which has no samples; there are: {splits}",
            where=str(config.path),
            help="set the mixture's `split` to one of those, or add it to a source and build again",
        )
    samples = samples.with_columns(gap=_gap(judged_as, config.probe.rollouts))
    if mixture.policy != "all" and samples["gap"].null_count() == 0:
        wanted = f"all its {config.probe.rollouts}" if judged_as.policy != "signal" else f"{MIN_ROLLOUTS}"
        raise RefusedError(
            f"no sample of the split {mixture.split!r} has {wanted} rollouts",
            where=f"mixture {name}, probe {rates.probe.probe_id}",
            help=f"finish probing {rates.probe.fingerprint.model}: pebr-data probe {config.path} --model MODEL",
        )
    signal = pl.lit(None, pl.Float64)
    if mixture.policy == "signal":
        known = rates.known[mixture.split]
        samples = known.join(samples, group_size(config, mixture), mixture.scale_rewards)
        signal = pl.when(pl.col("gap").is_null()).then("signal")
    diagnosis = pl.lit(None, pl.String)
    if mixture.policy == "diagnosis" and rates.diagnoses is not None:
        samples = samples.join(rates.diagnoses.drop("level"), on="sample_id", how="left", maintain_order="left")
        diagnosis = pl.col("diagnosis")
    pool = samples.filter(pl.coalesce("mark", where_reason(config, name)).is_null())
    return pool.select("sample_id", "source", "skill", "band", "gap", signal=signal, diagnosis=diagnosis)


def where_reason(config: CatalogConfig, name: str) -> pl.Expr:
    """Why the mixture may not take a sample at all: `other-source`, …, `other-pass-rate`, or null where it may."""
    where = _judged_as(config, name).where
    wanted = {key: its for key, its in where.model_dump(mode="json", exclude={"pass_rate"}).items() if its}
    held = {key: pl.col(key).is_in(its) for key, its in wanted.items()}
    if where.pass_rate is not None:
        held["pass_rate"] = pl.col("pass_rate").is_between(*where.pass_rate)
    reasons = [
        pl.when(~holds.fill_null(False)).then(pl.lit(f"other-{key.replace('_', '-')}")) for key, holds in held.items()
    ]
    return pl.coalesce(*reasons, pl.lit(None, pl.String))


def group_size(config: CatalogConfig, mixture: MixtureConfig) -> int:
    """The training's G as far as the catalog knows: the mixture's `num_generations`, else what is probed."""
    return config.probe.rollouts if mixture.num_generations is None else mixture.num_generations


def _judged_as(config: CatalogConfig, name: str) -> MixtureConfig:
    """Whose rules say which samples could be chosen: the mixture's own, or those of the one it matches."""
    mixture = config.mixtures[name]
    return mixture if mixture.match is None else config.mixtures[mixture.match]


def _gap(mixture: MixtureConfig, num_rollouts: int) -> pl.Expr:
    """Why a sample cannot be judged; null where it can.

    A full group without a band is one whose posterior is not sure of any.
    """
    judged = pl.col("band") != str(Band.UNPROBED)
    if mixture.policy == "signal":
        judged |= (pl.col("num_rollouts") >= MIN_ROLLOUTS) & (pl.col("num_ungradable") == 0)
    return (
        pl.when(judged).then(pl.lit(None, pl.String))
        .when(pl.col("num_ungradable") > 0).then(pl.lit("ungradable"))
        .when(pl.col("num_error") > 0).then(pl.lit("error"))
        .when(pl.col("num_rollouts") >= num_rollouts).then(pl.lit("unsure"))
        .when(pl.col("num_rollouts") > 0).then(pl.lit("incomplete"))
        .otherwise(pl.lit("unprobed"))
    )  # fmt: skip
