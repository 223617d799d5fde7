"""The probe: generate what is owed, grade it, spool it, merge it into the catalog.

    result = probe(load_catalog_config(path), Path("store"), "pebr-tiny")

Running it again does what is owed and nothing else. A rollout is safe once it is in the spool; the catalog is opened
for moments only, so it can be read while a probe runs.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.engines.base import Engine, open_engine, require_engine
from pebr_data.errors import BusyError, Interrupted, StorageError, UnavailableError, UsageError
from pebr_data.models import ResolvedModel, resolve_model, served_model
from pebr_data.probe.early_stop import (
    CONFIDENCE,
    Stopping,
    count_splits,
    end_posterior_stop,
    note_exact_stop,
    open_rounds,
    read_so_far,
)
from pebr_data.probe.estimate import estimate
from pebr_data.probe.fingerprint import write_fingerprint
from pebr_data.probe.found import Found, find
from pebr_data.probe.generate import GIVE_UP_AFTER, Stop, generate_owed
from pebr_data.probe.in_force import grading_in_force, with_golds
from pebr_data.probe.keep import Keeper, Progress
from pebr_data.probe.lock import probe_lock
from pebr_data.probe.pace import find_pace, own_pace
from pebr_data.probe.perception import score_perception
from pebr_data.probe.plan import ProbePlan, make_plan, owed_keys
from pebr_data.probe.recover import recover
from pebr_data.probe.result import ProbeResult
from pebr_data.probe.shard import WHOLE, Shard
from pebr_data.probe.spool import read_spool
from pebr_data.probe.stop import stop_on_signals
from pebr_data.probe.subset import Subset, read_samples
from pebr_data.prompts import open_template
from pebr_data.shuffled import say_unshuffled
from pebr_data.types import Fingerprint, Json, Sample, StopRule


def model_of(config: CatalogConfig, model: str | Path) -> ResolvedModel:
    """The model that a name means to a catalog's engine.

    Raises:
        UnavailableError: There is no such model.
    """
    return served_model(model) if config.probe.policy_engine == "server" else resolve_model(model)


def fingerprint_of(config: CatalogConfig, model: ResolvedModel) -> Fingerprint:
    """The policy that a catalog's probe settings make of a model.

    Raises:
        ConfigError: The prompt template or the engine does not exist.
    """
    settings = config.probe
    return Fingerprint(
        model=model.name,
        revision=model.revision,
        template=open_template(settings.template).name,
        condition=settings.condition,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_completion_length=settings.max_completion_length,
        max_pixels=settings.max_pixels,
        engine=require_engine(settings.policy_engine),
        shuffle_options=settings.shuffle_options,
    )


def plan_probe(
    config: CatalogConfig,
    store: Path,
    model: str,
    *,
    split: str | None = None,
    limit: int | None = None,
    subset: Subset | None = None,
    num_rollouts: int | None = None,
    rule: StopRule | None = None,
    confidence: float | None = None,
    max_rollouts: int | None = None,
    shard: Shard = WHOLE,
) -> ProbePlan:
    """What `probe` with the same arguments would do; loads no model and changes nothing.

    Raises:
        BusyError: Another process holds the catalog.
        ConfigError: The prompt template or the engine does not exist.
        DataError: The catalog has not been built, or has no such samples.
        RefusedError: Something is owed, and what counts of this probe so far was graded by another pebr's rules.
        UnavailableError: There is no such model.
    """
    fingerprint = fingerprint_of(config, model_of(config, model))
    probe_id = fingerprint.probe_id
    samples = read_samples(config, store, Subset(split=split, limit=limit) if subset is None else subset)
    directory = _directory(store, probe_id)
    covered = count_splits(samples)
    samples = list(shard.part(samples))
    stopping = _stopping(config, num_rollouts, rule, confidence, max_rollouts)
    with Catalog.open(store, read_only=True) as catalog:
        kept = catalog.rollout_keys(probe_id)
        so_far = read_so_far(catalog, fingerprint, stopping)
        pace = find_pace(store, fingerprint, [probe.fingerprint for probe in catalog.probes()])
    unmerged = {
        rollout.key: rollout.grade.outcome
        for segment in read_spool(directory / "spool", skip=kept)
        for rollout in segment.rollouts
        if rollout.generation.finish_reason != "error"
    }
    kept |= {(key.sample_id, key.index) for key in unmerged}
    owed = owed_keys(probe_id, samples, stopping.most, kept)
    so_far = so_far.and_these({key: outcome for key, outcome in unmerged.items() if key.index < stopping.most})
    rounds = open_rounds(probe_id, samples, owed, stopping, so_far, covered=covered)
    plan = make_plan(fingerprint, len(samples), stopping.most, rounds, pace)
    if not plan.num_owed:
        return plan
    with Catalog.open(store, read_only=True) as catalog:
        grading_in_force(catalog, fingerprint)
        if catalog.grader_version(probe_id) is None:
            return plan
        counts = catalog.bands(probe_id, stopping.most, by_rule=False)
        lengths = catalog.completion_lengths(probe_id, [one.sample_id for one in samples], stopping.most)
    return replace(plan, estimate=estimate(samples, counts, lengths, plan.num_owed, stopping, own_pace(directory)))


def probe(
    config: CatalogConfig,
    store: Path,
    model: str,
    *,
    split: str | None = None,
    limit: int | None = None,
    subset: Subset | None = None,
    num_rollouts: int | None = None,
    rule: StopRule | None = None,
    confidence: float | None = None,
    max_rollouts: int | None = None,
    shard: Shard = WHOLE,
    engine: Engine | None = None,
    engine_options: Mapping[str, Json] | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
    resume: str | None = None,
) -> ProbeResult:
    """Probes a model on a catalog's samples, as far as that has not been done.

    Args:
        config: The catalog YAML; `config.probe` says how.
        store: The store that the catalog was built into.
        model: A name that `resolve_model` understands; for a server, `served_model`.
        split: The split to probe, instead of the configured one.
        limit: Only the first samples, this many.
        subset: Which samples, instead of `split` and `limit`.
        num_rollouts: Completions of each sample, instead of the configured number.
        rule: When a sample has enough of them, instead of the configured rule.
        confidence: Of the rule `posterior`, instead of the configured one.
        max_rollouts: The most that `posterior` makes of a sample, likewise.
        shard: Only this part of those samples; the others may be probed at the same time.
        engine: The engine with this very model loaded; by default it is loaded when something is owed.
        engine_options: How it is run then; each replaces the configured one.
        progress: Called as rollouts are kept.
        stop: Ends the probe in good order when it returns true. By default SIGINT and SIGTERM do.
        resume: The command to name when interrupted.

    Raises:
        BusyError: Another run of this probe is under way, or another process holds the catalog.
        ConfigError: The prompt template or the engine does not exist, or its options are wrong.
        DataError: The catalog has not been built, or has no such samples.
        Interrupted: It was stopped; everything generated so far is kept.
        RefusedError: Something is owed, and what counts of this probe so far was graded by another pebr's rules.
        StorageError: The disk refused.
        UnavailableError: There is no such model, it cannot be loaded, or all that it generates fails.
        UsageError: `engine` is not the configured one.
    """
    config = config.with_engine_options(engine_options or {})
    resolved = model_of(config, model)
    fingerprint = fingerprint_of(config, resolved)
    if engine is not None and engine.name != fingerprint.engine:
        raise UsageError(
            f"the catalog is probed with the engine {fingerprint.engine!r}, not {engine.name!r}",
            help=f"set `probe.engine: {engine.name}` in the catalog, which makes it another probe",
        )
    if resume is None:
        resume = f"pebr-data probe {config.path} --model {model} --store {store}"
    name, options, max_pixels = config.probe.engine, config.probe.engine_options, fingerprint.max_pixels
    stopping = _stopping(config, num_rollouts, rule, confidence, max_rollouts)
    result = run_probe(
        store,
        read_samples(config, store, Subset(split=split, limit=limit) if subset is None else subset),
        fingerprint,
        lambda: engine if engine is not None else open_engine(name, resolved, max_pixels=max_pixels, **options),
        num_rollouts=stopping.group_size,
        rule=stopping.rule,
        confidence=stopping.confidence,
        max_rollouts=stopping.max_rollouts,
        shard=shard,
        progress=progress,
        stop=stop,
        resume=resume,
    )
    score_perception(store, result.probe_id, config.probe.perception)
    return result


def run_probe(
    store: Path,
    samples: Sequence[Sample],
    fingerprint: Fingerprint,
    load_engine: Callable[[], Engine],
    *,
    num_rollouts: int = 8,
    rule: StopRule = StopRule.NONE,
    confidence: float = CONFIDENCE,
    max_rollouts: int | None = None,
    shard: Shard = WHOLE,
    progress: Progress | None = None,
    stop: Stop | None = None,
    resume: str = "the same command",
) -> ProbeResult:
    """Makes and keeps the owed rollouts of these samples under one policy; see `probe`.

    Args:
        store: The store; its catalog holds the samples.
        samples: What to probe.
        fingerprint: The policy that `load_engine` gives.
        load_engine: Called once, when something is owed.
        num_rollouts: Completions wanted of each sample.
        rule: Whether a sample gets fewer, or more, depending on what its first ones came to.
        confidence: Of the rule `posterior`; see `Stopping`.
        max_rollouts: Of the rule `posterior`, likewise.
        shard: Only this part of the samples.
        progress: Called as rollouts are kept.
        stop: Ends the probe in good order when it returns true. By default SIGINT and SIGTERM do.
        resume: The command to name when interrupted.

    Raises:
        BusyError: Another run of this probe is under way, or another process holds the catalog.
        Interrupted: It was stopped; everything generated so far is kept.
        RefusedError: Something is owed, and what counts of this probe so far was graded by another pebr's rules.
        StorageError: The disk refused.
        UnavailableError: All that was generated failed, and nothing was kept before or a great many were tried.
    """
    started = time.monotonic()
    directory = _directory(store, fingerprint.probe_id)
    probe_id = fingerprint.probe_id
    covered = count_splits(samples)
    samples = shard.part(samples)
    stopping = Stopping(rule, num_rollouts, confidence, max_rollouts)
    num_wanted = len(samples) * stopping.most

    def look(*, keeps: bool = True) -> Found:
        return find(store, fingerprint, samples, stopping, covered, keeps=keeps)

    with ExitStack() as held:
        try:
            held.enter_context(probe_lock(directory, shard))
        except (BusyError, StorageError):
            # Where nothing is owed, another run of this probe is not in the way.
            if look(keeps=False).rounds.num_owed:
                raise
        stop_requested = held.enter_context(nullcontext(stop) if stop is not None else stop_on_signals())
        found = look()
        rounds, grading = found.rounds, found.grading
        num_kept = num_wanted - rounds.num_owed - rounds.num_spared
        num_recovered = 0
        damaged: list[str] = []
        if rounds.num_owed and recover(store, fingerprint, grading, directory / "spool", found.kept, damaged, shard):
            rounds = look().rounds
            num_recovered = num_wanted - num_kept - rounds.num_owed - rounds.num_spared
        stops_at = num_rollouts if rule is StopRule.EXACT else None
        if stops_at is not None and rounds.num_spared:
            note_exact_stop(store, probe_id, stops_at)
        if rule is not StopRule.POSTERIOR:
            end_posterior_stop(store, found.stop_rules, covered, num_rollouts)
        num_done = num_kept + num_recovered
        num_left = rounds.num_owed + rounds.num_spared
        keeper = Keeper(store, shard, fingerprint, grading, num_done, num_left, rounds, stops_at, progress)
        if rounds.num_owed and not stop_requested():
            if fingerprint.shuffle_options:
                say_unshuffled(samples)
            write_fingerprint(directory, fingerprint)
            keeper.note()
            asked = samples if found.golds == grading.golds else with_golds(store, samples, grading)
            generate_owed(load_engine(), asked, keeper, stop_requested)
        result = ProbeResult(
            probe_id=probe_id,
            fingerprint=fingerprint,
            num_samples=len(samples),
            num_rollouts=stopping.most,
            num_kept=num_kept,
            num_recovered=num_recovered,
            num_spared=rounds.num_spared,
            num_generated=keeper.num_generated,
            num_failed=keeper.num_failed,
            outcomes=dict(keeper.outcomes),
            errors=tuple(keeper.errors),
            damaged=tuple(damaged),
            seconds=time.monotonic() - started,
        )
        if stop_requested() and result.num_owed:
            received = stop_requested()
            number = received if isinstance(received, signal.Signals) else signal.SIGINT
            raise Interrupted(number, resume=resume)
    # A few samples that no policy can be asked about fail each time; they must not undo what the others gave.
    if keeper.all_failed and (not keeper.num_done or keeper.num_generated >= GIVE_UP_AFTER):
        raise UnavailableError(
            f"everything that was generated failed: {keeper.errors[0]}",
            where=f"model {fingerprint.model}",
            help="mend that, then run the command again; failed rollouts are owed",
        )
    return result


def _stopping(
    config: CatalogConfig,
    num_rollouts: int | None,
    rule: StopRule | None,
    confidence: float | None,
    max_rollouts: int | None,
) -> Stopping:
    """When a sample has enough: as configured, but for what is asked for otherwise."""
    settings = config.probe
    return Stopping(
        rule=settings.stop if rule is None else rule,
        group_size=settings.rollouts if num_rollouts is None else num_rollouts,
        confidence=settings.confidence if confidence is None else confidence,
        max_rollouts=settings.max_rollouts if max_rollouts is None else max_rollouts,
    )


def _directory(store: Path, probe_id: str) -> Path:
    return store / "probes" / probe_id
