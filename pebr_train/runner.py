"""`pebr-train run`: from a recipe to trained models, evaluations and a report, doing only what is owed.

    result = run(recipe, config, store=Path("store"), runs=Path("runs"), resume="pebr-train run …")

The order is the paper's zig-zag: probe the base, warm up on its hard samples, probe the warmed-up model, perception,
reasoning. What a run finished before is skipped; an interrupted stage goes on from its newest whole checkpoint.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pebr_data.config import CatalogConfig
from pebr_data.errors import RefusedError, StorageError
from pebr_data.manifest import load_manifest
from pebr_data.models import ResolvedModel, resolve_model
from pebr_train import metrics
from pebr_train.checkpoints import Checkpoint, newest_complete
from pebr_train.done import Done, check_files, check_identity, final_files, read_done, write_done
from pebr_train.evaluation import save_evaluation, saved_identity
from pebr_train.foreseen import check, foresee
from pebr_train.identity import Identities
from pebr_train.interrupts import Interrupts
from pebr_train.logs import logged
from pebr_train.mixtures import Mixtures
from pebr_train.recipe import BASE, GrpoStage, Recipe, SftStage, StageConfig
from pebr_train.rollouts import RolloutLog
from pebr_train.rundir import RunDir, StageDir, write_json
from pebr_train.started import check_content, check_started, read_started, write_started
from pebr_train.voice import Voice


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run has made.

    Attributes:
        directory: The run's directory.
        report: The report.
        trained: Stages that this attempt trained; the others were finished before.
        evaluated: Labels that this attempt evaluated.
    """

    directory: Path
    report: Path
    trained: tuple[str, ...]
    evaluated: tuple[str, ...]


def run(
    recipe: Recipe, config: CatalogConfig, *, store: Path, runs: Path, resume: str, voice: Voice | None = None
) -> RunResult:
    """Do everything the recipe asks for that is not done yet.

    Args:
        recipe: The recipe.
        config: Its catalog.
        store: The store shared with `pebr-data`.
        runs: The directory that holds runs; this one gets the recipe's name.
        resume: The command that goes on, should this be interrupted.
        voice: Told what is going on.

    Raises:
        BusyError: Another process works on the run.
        DataError: A mixture, a model or a record is unusable.
        Interrupted: A signal came; everything finished, and a checkpoint of the stage under way, is kept.
        RefusedError: A stage was trained with other settings than the recipe now has, or half trained on samples that
            are gone; or several processes are wanted.
        StorageError: The run's directory cannot be written.
        UnavailableError: A model is missing.
    """
    if runs.exists() and not runs.is_dir():
        raise StorageError("runs lie in a directory, and this is a file", where=str(runs), help="name one with --runs")
    directory = RunDir(runs / recipe.name)
    with Interrupts(resume) as interrupts:
        clip = recipe.reward_models.clip
        encoder = None if clip is None else _resolve(recipe, clip)
        identities = Identities(recipe, config, _resolve(recipe, recipe.model), encoder)
        attempt = _Attempt(recipe, config, store, directory, identities, interrupts, (voice or Voice()).on_record())
        attempt.check()
        with directory.locked():
            return attempt.go()


@dataclass(slots=True)
class _Attempt:
    recipe: Recipe
    config: CatalogConfig
    store: Path
    directory: RunDir
    identities: Identities
    interrupts: Interrupts
    voice: Voice
    trained: list[str] = field(default_factory=list)
    evaluated: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Refuse, before anything is written, what cannot end well."""
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        if processes > 1 or self.recipe.num_processes > 1:
            raise RefusedError(
                f"training takes one process so far, the recipe wants {self.recipe.num_processes}, given {processes}",
                where=str(self.recipe.path),
                help="set `num_processes: 1` and raise gradient_accumulation_steps to match, or look only: --dry-run",
            )
        for stage in self.recipe.stages:
            directory, identity = self.directory.stage(stage.name), self.identities.stage(stage)
            done = read_done(directory)
            if done is not None:
                check_identity(directory, done, identity)
                continue
            started = read_started(directory)
            if started is not None:
                check_started(directory, started, identity)
            if stage.shards is not None:
                load_manifest(self.recipe.beside(stage.shards), format="trl")

    def go(self) -> RunResult:
        """Train, evaluate and report what is owed, in the recipe's order."""
        owed = [label for label in (BASE, *(stage.name for stage in self.recipe.stages)) if self._owes(label)]
        if owed:
            self.voice.say(f"{self.directory.path}: to do: {', '.join(owed)}")
            self.directory.report.unlink(missing_ok=True)
            write_json(self.directory.recipe, self.recipe.model_dump(mode="json"))
            with logged(self.directory.new_log()):
                self._do()
        if owed or not self.directory.report.is_file():
            self._report()
        return RunResult(self.directory.path, self.directory.report, tuple(self.trained), tuple(self.evaluated))

    def _owes(self, label: str) -> bool:
        untrained = label != BASE and read_done(self.directory.stage(label)) is None
        return untrained or (label in self.recipe.evaluated and not self._is_evaluated(label))

    def _do(self) -> None:
        mixtures = Mixtures(self.recipe, self.config, self.store, self._model, self.voice, self.interrupts)
        self._evaluate(BASE, mixtures)
        for position, stage in enumerate(self.recipe.stages):
            if read_done(self.directory.stage(stage.name)) is None:
                before = BASE if position == 0 else self.recipe.stages[position - 1].name
                self._train(stage, before, mixtures)
            else:
                self.voice.say(f"stage {stage.name}: finished before")
            self._evaluate(stage.name, mixtures)

    def _model(self, label: str) -> str:
        if label == BASE:
            return self.recipe.model_reference(self.recipe.model)
        directory = self.directory.stage(label)
        done = read_done(directory)
        assert done is not None
        check_files(directory, done)
        return str(directory.final)

    def _train(self, stage: StageConfig, before: str, mixtures: Mixtures) -> None:
        from pebr_train.stages.base import StageRequest, total_steps

        directory, identity = self.directory.stage(stage.name), self.identities.stage(stage)
        half = read_started(directory)
        manifest = mixtures.open(stage) if half is None else mixtures.reopen(stage, half.mixture_id)
        self.interrupts.check()
        if half is None:
            write_started(directory, identity, manifest)
        else:
            check_content(directory, half, manifest)
        foreseen = foresee(stage, manifest, self.recipe, self.config, self.store, self.directory, self.voice)
        checkpoint = self._resume_from(directory)
        started = time.monotonic()
        with self.voice.progress(f"stage {stage.name}", "steps") as update, self.interrupts.deferred():
            request = StageRequest(
                stage=stage,
                seed=self.recipe.seed,
                num_processes=self.recipe.num_processes,
                model=resolve_model(self._model(before)),
                manifest=manifest,
                directory=directory,
                checkpoint=checkpoint,
                encoder=self.identities.clip,
                stop_requested=self.interrupts.stop_requested,
                progress=lambda done, total, values: update(done, total, _note(values)),
            )
            steps = _run_stage(stage, request)
        if steps < total_steps(request):
            self.interrupts.check()
            raise RuntimeError(f"the stage {stage.name} ended after {steps} of {total_steps(request)} steps")
        done = Done(
            stage=stage.name,
            identity=identity,
            identity_digest=self.identities.model(stage.name),
            optimizer_steps=steps,
            num_samples=manifest.num_samples,
            mixture_id=manifest.mixture_id,
            probe_id=manifest.probe_id,
            seconds=time.monotonic() - started,
            files=final_files(directory.final),
            first_pass=None if foreseen is None else check(foreseen, directory, before, self.voice),
        )
        write_done(directory, done)
        for leftover in (directory.checkpoints, directory.cache):
            shutil.rmtree(leftover, ignore_errors=True)
        self.trained.append(stage.name)
        self.voice.say(f"stage {stage.name}: {steps:,} steps in {done.seconds:.0f} s -> {directory.final}")
        self.interrupts.check()

    def _resume_from(self, directory: StageDir) -> Checkpoint | None:
        checkpoint, torn = newest_complete(directory.checkpoints)
        for path in torn:
            self.voice.say(f"note: {path} was cut short while it was written; it is not used")
        step = 0 if checkpoint is None else checkpoint.step
        if checkpoint is not None:
            self.voice.say(f"going on from {checkpoint.path}")
        metrics.forget_after(directory.metrics, step)
        RolloutLog(directory.rollouts).forget_from(step)
        return checkpoint

    def _is_evaluated(self, label: str) -> bool:
        return bool(saved_identity(self.directory.evaluation(label)) == self.identities.evaluation(label))

    def _evaluate(self, label: str, mixtures: Mixtures) -> None:
        settings = self.recipe.evaluation
        if settings is None or label not in self.recipe.evaluated or self._is_evaluated(label):
            return
        from pebr_train.evaluate import evaluate

        mixtures.build()
        with self.voice.progress(f"evaluate {label}", "rollouts") as update, self.interrupts.deferred():
            evaluation = evaluate(
                self._model(label),
                self.config,
                self.store,
                split=settings.split,
                limit=settings.limit,
                num_samples=settings.num_samples,
                progress=update,
                stop=lambda: self.interrupts.received,
                resume=self.interrupts.resume,
            )
        save_evaluation(evaluation, self.directory.evaluation(label), identity=self.identities.evaluation(label))
        self.evaluated.append(label)
        self.interrupts.check()

    def _report(self) -> None:
        from pebr_train.report.write import write_report

        probes: dict[str, str] = {}
        for stage in self.recipe.stages:
            done = read_done(self.directory.stage(stage.name))
            if done is not None and stage.mixture is not None:
                probes.setdefault(self.recipe.probe_of(stage), done.probe_id)
        write_report(
            self.directory.path,
            store=self.store,
            config=self.config,
            probes=probes,
            stages=[stage.name for stage in self.recipe.stages],
        )


def _resolve(recipe: Recipe, model: str) -> ResolvedModel:
    return resolve_model(recipe.model_reference(model))


def _run_stage(stage: StageConfig, request: object) -> int:
    from pebr_train.stages.base import StageRequest

    assert isinstance(request, StageRequest)
    if isinstance(stage, SftStage):
        from pebr_train.stages.warmup import train_sft

        return train_sft(stage, request)
    assert isinstance(stage, GrpoStage)
    from pebr_train.stages.grpo import train_grpo

    return train_grpo(stage, request)


def _note(values: Mapping[str, float]) -> str:
    shown = {"reward": "reward", "rewards/accuracy/mean": "accuracy", "loss": "loss"}
    parts = [f"{title} {values[key]:.2f}" for key, title in shown.items() if key in values]
    return ", ".join(parts[:2])
