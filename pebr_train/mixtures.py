"""The data a stage trains on: whatever of build, probe, select and export is still owed, then the manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pebr_data.config import CatalogConfig
from pebr_data.manifest import Manifest, load_manifest
from pebr_train.interrupts import Interrupts
from pebr_train.recipe import Recipe, StageConfig
from pebr_train.voice import Voice


@dataclass(slots=True)
class Mixtures:
    """Opens mixtures, each step of the way at most once a run.

    Attributes:
        recipe: The recipe.
        config: Its catalog.
        store: The store.
        models: Gives the model of a label, `base` or a finished stage, as `resolve_model` takes it.
        voice: Told what is going on.
        interrupts: Asked while probing.
    """

    recipe: Recipe
    config: CatalogConfig
    store: Path
    models: Callable[[str], str]
    voice: Voice
    interrupts: Interrupts
    _built: bool = False
    _probes: dict[str, str] = field(default_factory=dict)

    def open(self, stage: StageConfig) -> Manifest:
        """The stage's samples.

        Raises:
            PebrError: Whatever `pebr-data` would say to the same request.
        """
        if stage.shards is not None:
            return load_manifest(self.recipe.base_dir / stage.shards)
        assert stage.mixture is not None
        from pebr_data.export.shards import export
        from pebr_data.select.mixture import select

        self.build()
        probe_id = self.probe(self.recipe.probe_of(stage))
        (mixture,) = select(self.config, self.store, probe_id=probe_id, names=[stage.mixture])
        self.voice.say(f"mixture {mixture.name}: {len(mixture.sample_ids):,} samples ({mixture.mixture_id})")
        return load_manifest(export(self.store, mixture).directory)

    def build(self) -> None:
        """Read the catalog's sources into the store, where that is owed."""
        if self._built:
            return
        build_catalog(self.config, self.store, self.voice)
        self._built = True

    def probe(self, label: str) -> str:
        """Probe the model of a label, where that is owed; returns the probe's id."""
        if label not in self._probes:
            from pebr_data.probe.run import probe

            with self.voice.progress(f"probe {label}", "rollouts") as update, self.interrupts.deferred():
                result = probe(
                    self.config,
                    self.store,
                    self.models(label),
                    progress=update,
                    stop=lambda: self.interrupts.received,
                    resume=self.interrupts.resume,
                )
            self._probes[label] = result.probe_id
        return self._probes[label]


def build_catalog(config: CatalogConfig, store: Path, voice: Voice) -> None:
    """Read the catalog's sources into the store, where that is owed."""
    from pebr_data.catalog.ingest import build

    with voice.progress("build", "candidates") as update:
        build(config, store, progress=lambda source, done: update(done, note=source))
