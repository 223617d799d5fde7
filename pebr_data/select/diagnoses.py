"""Diagnoses of a catalog's samples, from a probe under `image` and what the same policy did `blind` and `described`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from pebr_data.catalog.rollouts import KnownProbe
from pebr_data.catalog.store import Catalog
from pebr_data.difficulty.diagnosis import diagnose
from pebr_data.difficulty.explain import explain
from pebr_data.errors import RefusedError
from pebr_data.types import Condition, Diagnosis, Json, Sample

NEEDED: Mapping[Diagnosis, tuple[str, ...]] = {
    Diagnosis.PERCEPTION_BOUND: ("described",),
    Diagnosis.REASONING_BOUND: ("described",),
    Diagnosis.IMAGE_NOT_NEEDED: ("blind",),
    Diagnosis.HARD: ("blind", "described"),
}
"""The conditions without which nobody has the diagnosis; the others need none."""


def require_conditions(found: pl.DataFrame, asked: Iterable[Diagnosis], probe: KnownProbe, where: str) -> None:
    """Passes when the policy was probed under what one of the diagnoses, at least, needs.

    Args:
        found: What `read_diagnoses` gave.
        asked: The diagnoses.
        probe: The probe it was asked for.
        where: For the message.

    Raises:
        RefusedError: It was not, so that no sample can have any of them.
    """
    probed = {condition for condition in ("blind", "described") if found[f"{condition}_rollouts"].sum()}
    missing = [sorted({*NEEDED.get(one, ())} - probed) for one in asked]
    if all(missing):
        fewest = min(missing, key=len)
        raise RefusedError(
            f"no sample can be {' or '.join(asked)}: {probe.fingerprint.model} was not probed {' and '.join(fewest)}",
            where=where,
            help=f"pebr-data probe CATALOG.yaml --model {probe.fingerprint.model} --condition {fewest[0]}",
        )


def read_diagnoses(
    catalog: Catalog, probe: KnownProbe, name: str | None, group_size: int, split: str | None = None
) -> pl.DataFrame:
    """`Catalog.evidence` with the columns of `diagnose` beside it, by sample_id.

    Args:
        catalog: The open catalog.
        probe: The probe that showed the policy the images.
        name: The catalog's name; None takes all samples with rollouts.
        group_size: Rollouts in a complete group.
        split: Only this split. Each is diagnosed by itself: what is measured on one must not move another.

    Raises:
        RefusedError: The probe was made under another condition.
    """
    if probe.fingerprint.condition is not Condition.IMAGE:
        raise RefusedError(
            f"a diagnosis begins with what the policy does when shown the image, and this probe is "
            f"{probe.fingerprint.condition}",
            where=f"probe {probe.probe_id}",
            help="name the probe under the condition `image` with --probe",
        )
    seen = catalog.evidence(probe.probe_id, group_size, name, split)
    parts = [part.hstack(diagnose(part).drop("sample_id")) for part in seen.partition_by("split")]
    return pl.concat(parts).sort("sample_id") if parts else seen.hstack(diagnose(seen).drop("sample_id"))


def diagnosis_of(catalog: Catalog, sample: Sample, group_size: int = 8) -> dict[str, dict[str, Json]]:
    """A sample's diagnosis by each probe that showed it, by probe id: diagnosis (or None), suspicion, diagnosis_reason.

    Args:
        catalog: The open catalog.
        sample: The sample; it is judged among those of the first catalog that holds it.
        group_size: Rollouts in a complete group.
    """
    _, names = catalog.origin(sample.sample_id)
    told: dict[str, dict[str, Json]] = {}
    for probe in catalog.known_probes():
        if probe.fingerprint.condition is Condition.IMAGE and catalog.rollouts(probe.probe_id, [sample.sample_id]):
            found = read_diagnoses(catalog, probe, names[0] if names else None, group_size, sample.split)
            row = found.row(by_predicate=pl.col("sample_id") == sample.sample_id, named=True)
            reason = explain(row)
            told[probe.probe_id] = {**{key: row[key] for key in ("diagnosis", "suspicion")}, "diagnosis_reason": reason}
    return told
