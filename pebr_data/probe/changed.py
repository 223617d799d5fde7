"""Whether a probe is meant to be another one than the model has: settings that changed by accident are refused."""

from __future__ import annotations

from pathlib import Path

from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.errors import RefusedError
from pebr_data.probe.run import fingerprint_of, model_of
from pebr_data.types import Fingerprint, Json


def require_unchanged(config: CatalogConfig, store: Path, model: str, split: str | None = None) -> None:
    """Passes when this probe is under way already, or is the model's first under its condition on the split.

    Arguments as for `probe`.

    Raises:
        BusyError, ConfigError, DataError, UnavailableError: As for `probe`.
        RefusedError: The model was probed there under other settings only; the message names those that differ from the
            most similar probe's.
    """
    wanted = fingerprint_of(config, model_of(config, model))
    within = config.probe.split if split is None else split
    with Catalog.open(store, read_only=True) as catalog:
        probes = [probe.fingerprint for probe in catalog.known_probes(config.name, within)]
    alike = [one for one in probes if (one.revision, one.condition) == (wanted.revision, wanted.condition)]
    if not alike or wanted in alike:
        return
    # The newest of those that differ least.
    nearest = min(reversed(alike), key=lambda one: len(differences(one, wanted)))
    changed = ", ".join(
        f"{key} {before!r} -> {after!r}" for key, (before, after) in differences(nearest, wanted).items()
    )
    raise RefusedError(
        f"{wanted.model} was probed here under other settings: {changed}; the rollouts of two policies are never mixed",
        where=f"{config.path}, probe {nearest.probe_id}",
        help="set them back in the YAML to go on with that probe, or begin another one with --new",
    )


def differences(before: Fingerprint, after: Fingerprint) -> dict[str, tuple[Json, Json]]:
    """The settings that differ between two policies, but not what the model is called: name -> (before, after)."""
    old, new = before.to_json(), after.to_json()
    pairs = {key: (old.get(key, False), new.get(key, False)) for key in {**old, **new} if key != "model"}
    return {key: (one, other) for key, (one, other) in pairs.items() if one != other}
