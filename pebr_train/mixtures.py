"""The data a stage trains on: whatever of build, probe, select and export is still owed, then the manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pebr_data.config import CatalogConfig
from pebr_data.errors import DataError, RefusedError
from pebr_data.manifest import Manifest, load_manifest
from pebr_data.types import StopRule
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
    _probes: dict[tuple[str, int | None], str] = field(default_factory=dict)

    def open(self, stage: StageConfig) -> Manifest:
        """The stage's samples.

        Raises:
            PebrError: Whatever `pebr-data` would say to the same request.
        """
        if stage.shards is not None:
            return load_manifest(self.recipe.beside(stage.shards), format="trl")
        assert stage.mixture is not None
        from pebr_data.export.shards import export
        from pebr_data.select.mixture import select

        self.build()
        # A mixture that takes a whole split goes by no pass rate; one rollout makes the policy known to the catalog.
        whole_split = self.config.mixtures[stage.mixture].policy == "all"
        probe_id = self.probe(self.recipe.probe_of(stage), limit=1 if whole_split else None)
        (mixture,) = select(self.config, self.store, probe_id=probe_id, names=[stage.mixture])
        self.voice.say(f"mixture {mixture.name}: {len(mixture.sample_ids):,} samples ({mixture.mixture_id})")
        return load_manifest(export(self.store, mixture).directory)

    def reopen(self, stage: StageConfig, mixture_id: str) -> Manifest:
        """The samples that a stage is half trained on, whatever would be selected now; probes nothing.

        Raises:
            RefusedError: The store does not hold that mixture, or not all of it.
        """
        if stage.shards is not None:
            return load_manifest(self.recipe.beside(stage.shards), format="trl")
        from pebr_data.catalog.store import Catalog
        from pebr_data.export.shards import export

        try:
            with Catalog.open(self.store, read_only=True) as catalog:
                mixture = catalog.mixture(mixture_id)
            manifest = load_manifest(export(self.store, mixture).directory)
        except DataError as error:
            raise RefusedError(
                f"the stage {stage.name} is half trained on the mixture {stage.mixture} ({mixture_id}), "
                f"which cannot be opened any more: {error}",
                where=str(self.store),
                help="name the store it was begun with (--store), or remove the stage's directory to train it again",
            ) from error
        self.voice.say(f"mixture {mixture.name}: {manifest.num_samples:,} samples ({mixture_id}), as before")
        return manifest

    def build(self) -> None:
        """Read the catalog's sources into the store, where that is owed."""
        if self._built:
            return
        build_catalog(self.config, self.store, self.voice)
        self._built = True

    def probe(self, label: str, *, limit: int | None = None) -> str:
        """Probe the model of a label, where that is owed, on all samples or the first few; returns the probe's id."""
        if (label, limit) not in self._probes:
            from pebr_data.probe.run import probe

            with self.voice.progress(f"probe {label}", "rollouts") as update, self.interrupts.deferred():
                result = probe(
                    self.config,
                    self.store,
                    self.models(label),
                    limit=limit,
                    num_rollouts=None if limit is None else 1,
                    rule=None if limit is None else StopRule.NONE,
                    progress=update,
                    stop=lambda: self.interrupts.received,
                    resume=self.interrupts.resume,
                )
            if result.num_owed:
                self.voice.say(f"note: {result.num_owed:,} rollouts failed: {'; '.join(result.errors)}")
            self._probes[label, limit] = result.probe_id
        return self._probes[label, limit]


def build_catalog(config: CatalogConfig, store: Path, voice: Voice) -> None:
    """Read the catalog's sources into the store, where that is owed."""
    from pebr_data.catalog.ingest import build

    with voice.progress("build", "candidates") as update:
        build(config, store, progress=lambda source, done: update(done, note=source))
