"""The regrade: stored rollouts through a grader again, batch by batch, beside the grades that are there.

    plan = plan_regrade(config, store, probes, golds=Path("golds.jsonl"))
    result = regrade(plan)

What a grading has judged it does not judge again, so an interrupted regrade is simply run again. The catalog is opened
for moments, and no more than a batch of completions is held at a time.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from pebr_data.catalog.golds import GoldFix, golds_name
from pebr_data.catalog.reviews import GoldReview
from pebr_data.catalog.rollouts import Probe
from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.errors import BusyError, Interrupted, UsageError
from pebr_data.grading import Grader
from pebr_data.grading.versions import SOURCE_GOLDS, Grading
from pebr_data.probe.lock import probe_lock
from pebr_data.probe.stop import stop_on_signals
from pebr_data.prompts import open_template
from pebr_data.regrade.compare import Comparison, compare
from pebr_data.regrade.golds import corrections, read_gold_file, reviews, with_fix
from pebr_data.shuffled import reordered
from pebr_data.types import Grade, RolloutKey

BATCH_SIZE = 4096
"""Rollouts that are read, judged and written at a time."""

TRIAL_SIZE = 256
"""Rollouts that are judged to tell how long the rest will take."""

Progress = Callable[[int, int, str], None]
"""Called with the rollouts judged, those to be judged, and the probe's model."""

Stop = Callable[[], object]


@dataclass(frozen=True, slots=True)
class RegradePlan:
    """What a regrade would do.

    Attributes:
        config: The catalog YAML.
        store: The store it was built into.
        probes: Whose rollouts are judged.
        profile: The grader's profile.
        version: The grading that the new grades are from.
        fixes: The corrected golds that it goes by, by sample id; those of other catalogs' samples included.
        golds_before: The set of corrected golds in force.
        reviews: What a person said of golds; kept when this grading is put in force.
        num_rollouts: Rollouts of each probe, by its id.
        num_owed: Those among them that this grading has not judged.
    """

    config: CatalogConfig
    store: Path
    probes: tuple[Probe, ...]
    profile: str
    version: str
    fixes: Mapping[str, GoldFix] = field(repr=False)
    golds_before: str
    reviews: tuple[GoldReview, ...] = field(repr=False)
    num_rollouts: Mapping[str, int]
    num_owed: Mapping[str, int]

    @property
    def golds(self) -> str:
        """The name of the set of corrected golds."""
        return golds_name(self.fixes.values())

    def grading(self, probe: Probe) -> Grading:
        """Who judges this probe's rollouts."""
        return Grading(Grader(self.profile, open_template(probe.fingerprint.template).extractors), self.golds)


@dataclass(frozen=True, slots=True)
class Regraded:
    """What a regrade made of one probe.

    Attributes:
        probe: The probe, with the grading that was in force before.
        num_graded: Rollouts judged now.
        comparison: What changes from the grading that was in force; None where nothing had been graded.
    """

    probe: Probe
    num_graded: int
    comparison: Comparison | None


def plan_regrade(
    config: CatalogConfig, store: Path, probes: Sequence[Probe], *, profile: str = "pebr", golds: Path | None = None
) -> RegradePlan:
    """What there is to judge; changes nothing.

    Args:
        config: The catalog YAML.
        store: The store it was built into.
        probes: Whose rollouts to judge.
        profile: The grader's profile.
        golds: A file of corrected golds for samples of this catalog; without it they have their sources' golds. What
            is corrected of other catalogs in the store stays so; if it is a review list, all that it does not answer.

    Raises:
        BusyError: Another process holds the catalog.
        ConfigError: There is no such profile, or the golds cannot be used.
        DataError: The catalog has not been built.
    """
    grader = Grader(profile)
    file = None if golds is None else read_gold_file(golds)
    with Catalog.open(store, read_only=True) as catalog:
        before = catalog.golds_in_force()
        in_force = catalog.golds(before)
        ids = [row.sample_id for row in (file.rows if file else ())] + [fix.sample_id for fix in in_force]
        now = {one.sample_id: one.answer for one in catalog.samples(config.name, sample_ids=ids)}
        ours = {one.sample_id: one for one in catalog.samples(config.name, sample_ids=ids, golds=SOURCE_GOLDS)}
    fixes = [] if file is None else corrections(file, ours, config.name, grader)
    replaced = file.answered if file is not None and file.is_review else frozenset(ours)
    fixes += [fix for fix in in_force if fix.sample_id not in replaced]
    version = Grading(grader, golds_name(fixes)).version
    with Catalog.open(store, read_only=True) as catalog:
        ids_of_probes = [probe.probe_id for probe in probes]
        return RegradePlan(
            config=config,
            store=store,
            probes=tuple(probes),
            profile=profile,
            version=version,
            fixes={fix.sample_id: fix for fix in fixes},
            golds_before=before,
            reviews=() if file is None else tuple(reviews(file, now)),
            num_rollouts={probe_id: catalog.num_rollouts(probe_id) for probe_id in ids_of_probes},
            num_owed={probe_id: len(catalog.ungraded(probe_id, version)) for probe_id in ids_of_probes},
        )


def seconds_expected(plan: RegradePlan) -> float | None:
    """How long the plan will take, by judging a few rollouts without keeping their grades; None: nothing is owed."""
    for probe in plan.probes:
        if plan.num_owed[probe.probe_id]:
            with Catalog.open(plan.store, read_only=True) as catalog:
                places = catalog.ungraded(probe.probe_id, plan.version)[:TRIAL_SIZE].tolist()
            started = time.monotonic()
            grades = _judge(plan, probe, places)
            seconds = time.monotonic() - started
            return seconds / max(1, len(grades)) * sum(plan.num_owed.values())
    return None


def regrade(
    plan: RegradePlan,
    *,
    use: bool = False,
    progress: Progress | None = None,
    stop: Stop | None = None,
    resume: str = "the same command",
) -> list[Regraded]:
    """Judges what the plan's grading has not judged, and compares it with the grading in force.

    Args:
        plan: What `plan_regrade` gave.
        use: Put this grading in force for the probes, and its corrected golds for every sample. Without it grades are
            added and nothing else changes.
        progress: Called after each batch.
        stop: Ends it between two batches when it returns true. By default SIGINT and SIGTERM do.
        resume: The command to name when interrupted.

    Returns:
        One result for each probe, in the plan's order.

    Raises:
        BusyError: Another process holds the catalog; or, with `use`, a probe is under way.
        Interrupted: It was stopped; what was judged is kept.
        StorageError: The disk refused.
        UsageError: With `use`, the golds change and a probe of the catalog is left out.
    """
    if use:
        _require_all_probes(plan)
    if plan.fixes:
        with Catalog.open(plan.store) as catalog:
            catalog.save_golds(plan.fixes.values())
    num_graded = dict.fromkeys(plan.num_owed, 0)

    def judge_owed(stop: Stop) -> None:
        for probe in plan.probes:
            _judge_owed(plan, probe, num_graded, progress, stop)

    with nullcontext(stop) if stop is not None else stop_on_signals() as stop_requested:
        judge_owed(stop_requested)
        if use and not stop_requested():
            with ExitStack() as locks:
                # No rollout comes in between the last look and the change.
                for probe in plan.probes:
                    locks.enter_context(probe_lock(plan.store / "probes" / probe.probe_id))
                judge_owed(stop_requested)
                if not stop_requested():
                    _use(plan)
        received = stop_requested()
        if received:
            number = received if isinstance(received, signal.Signals) else signal.SIGINT
            raise Interrupted(number, resume=resume)
    results: list[Regraded] = []
    with Catalog.open(plan.store, read_only=True) as catalog:
        for probe in plan.probes:
            before, size = probe.grader_version, plan.config.probe.rollouts
            found = compare(catalog, plan.config.name, probe.probe_id, size, before, plan.version) if before else None
            results.append(Regraded(probe, num_graded[probe.probe_id], found))
    return results


def _judge_owed(
    plan: RegradePlan, probe: Probe, num_graded: dict[str, int], progress: Progress | None, stop: Stop
) -> None:
    """Judges until nothing is owed: a probe that is under way may add rollouts meanwhile."""
    while not stop():
        with Catalog.open(plan.store, read_only=True) as catalog:
            places = catalog.ungraded(probe.probe_id, plan.version)
        if not len(places):
            return
        for start in range(0, len(places), BATCH_SIZE):
            if stop():
                return
            grades = _judge(plan, probe, places[start : start + BATCH_SIZE].tolist())
            with Catalog.open(plan.store) as catalog:
                catalog.save_grades(grades)
            num_graded[probe.probe_id] += len(grades)
            if progress is not None:
                done = sum(num_graded.values())
                progress(done, max(done, sum(plan.num_owed.values())), probe.fingerprint.model)


def _judge(plan: RegradePlan, probe: Probe, places: Sequence[int]) -> list[tuple[RolloutKey, Grade]]:
    with Catalog.open(plan.store, read_only=True) as catalog:
        rollouts = catalog.completions_at(probe.probe_id, places)
        ids = list(dict.fromkeys(sample_id for sample_id, *_ in rollouts))
        read = catalog.samples(sample_ids=ids, golds=SOURCE_GOLDS)
    samples = {sample.sample_id: with_fix(sample, plan.fixes.get(sample.sample_id)) for sample in read}
    grades = plan.grading(probe).grade(
        [
            (completion, reordered(samples[sample_id], order or ()), reason)
            for sample_id, _, completion, reason, order in rollouts
        ]
    )
    keys = [RolloutKey(probe.probe_id, sample_id, index) for sample_id, index, *_ in rollouts]
    return list(zip(keys, grades, strict=True))


def _require_all_probes(plan: RegradePlan) -> None:
    if plan.golds == plan.golds_before:
        return
    with Catalog.open(plan.store, read_only=True) as catalog:
        every = {probe.probe_id for probe in catalog.probes(plan.config.name)}
    left_out = every - {probe.probe_id for probe in plan.probes}
    if left_out:
        raise UsageError(
            f"golds belong to samples, so changing them concerns every probe of the catalog, and {len(left_out)} "
            f"would keep grades by the old ones: {', '.join(sorted(left_out))}",
            where=f"catalog {plan.config.name}",
            help="regrade them all: --probe all",
        )


def _use(plan: RegradePlan) -> None:
    with Catalog.open(plan.store) as catalog:
        ids = [probe.probe_id for probe in plan.probes]
        owing = catalog.use_grading(ids, plan.version, plan.golds, plan.reviews)
    if owing:
        raise BusyError(
            f"rollouts came in meanwhile of probe {', '.join(owing)}",
            where=str(plan.store),
            help="run the command again",
        )
