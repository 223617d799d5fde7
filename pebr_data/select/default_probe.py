"""Which probe a selection goes by when a catalog has been probed with several policies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pebr_data.catalog.rollouts import KnownProbe
from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.durable import write_whole
from pebr_data.errors import RefusedError, UsageError
from pebr_data.types import Band

LAST_FILE = "last.json"


def find_probe(catalog: Catalog, store: Path, config: CatalogConfig, asked: str | None = None) -> KnownProbe:
    """The probe to go by.

    Without `asked`, only probes made under the YAML's own `probe:` settings count; of several, the one that
    `pebr-data probe` ran last, else those that have a complete group (an evaluation of a model has none). A model's
    name likewise means its probe under the YAML's settings.

    Args:
        catalog: The open catalog.
        store: The store it lies in.
        config: The catalog YAML.
        asked: A probe's id, the beginning of one, or the name of the probed model.

    Raises:
        RefusedError: This catalog has not been probed, or not under these settings.
        UsageError: No probe, or more than one, is meant; the message lists them.
    """
    probes = catalog.known_probes(config.name)
    if asked is not None:
        meant = [probe for probe in probes if probe.probe_id.startswith(asked) or probe.fingerprint.model == asked]
        exact = [probe for probe in meant if probe.probe_id == asked]
        meant = exact or [probe for probe in meant if _fits(probe, config)] or meant
        return _only(catalog, config, meant, probes, f"--probe {asked} means")
    fitting = [probe for probe in probes if _fits(probe, config)]
    if not fitting:
        other = f" (it has been under others: {_listed(catalog, config, probes)})" if probes else ""
        raise RefusedError(
            f"the catalog {config.name!r} has not been probed under the settings in its YAML{other}",
            where=str(config.path),
            help=f"pebr-data probe {config.path} --model MODEL" + (", or name a probe with --probe" if probes else ""),
        )
    last = _last(store).get(config.name)
    meant = [probe for probe in fitting if probe.probe_id == last] or fitting
    if len(meant) > 1:
        meant = [probe for probe in fitting if _has_groups(catalog, probe, config)] or fitting
    return _only(catalog, config, meant, fitting, "the catalog has")


def remember_probe(store: Path, catalog: str, probe_id: str) -> None:
    """Note the probe that was run last for a catalog; `find_probe` prefers it."""
    text = json.dumps({**_last(store), catalog: probe_id}, indent=2) + "\n"
    write_whole(store / "probes" / LAST_FILE, text, is_durable=False)


def _last(store: Path) -> dict[str, str]:
    try:
        value = json.loads((store / "probes" / LAST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # A convenience: without it the choice is asked for.
        return {}
    return value if isinstance(value, dict) else {}


def _fits(probe: KnownProbe, config: CatalogConfig) -> bool:
    ours, theirs = config.probe, probe.fingerprint
    return (
        ours.template == theirs.template
        and ours.condition == theirs.condition
        and ours.temperature == theirs.temperature
        and ours.top_p == theirs.top_p
        and ours.max_completion_length == theirs.max_completion_length
        and ours.max_pixels == theirs.max_pixels
        and ours.policy_engine == theirs.engine
        and ours.shuffle_options == theirs.shuffle_options
    )


def _has_groups(catalog: Catalog, probe: KnownProbe, config: CatalogConfig) -> bool:
    found = catalog.bands(probe.probe_id, config.probe.rollouts, config.name)
    return bool((found["band"] != str(Band.UNPROBED)).any())


def _only(
    catalog: Catalog, config: CatalogConfig, meant: Sequence[KnownProbe], known: Sequence[KnownProbe], subject: str
) -> KnownProbe:
    if len(meant) == 1:
        return meant[0]
    listed = _listed(catalog, config, meant or known)
    what = f"{subject} {len(meant)} probes" if meant else f"{subject} no probe"
    raise UsageError(f"{what}: {listed}" if listed else what, help="name one with --probe ID")


def _listed(catalog: Catalog, config: CatalogConfig, probes: Sequence[KnownProbe]) -> str:
    wanted = {probe.probe_id for probe in probes}
    return ", ".join(
        f"{probe.probe_id} ({probe.fingerprint.model}, {probe.num_rollouts:,} rollouts)"
        for probe in catalog.probes(config.name)
        if probe.probe_id in wanted
    )
