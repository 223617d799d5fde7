"""Measures a model on held-out samples, through the same durable probes that training data is chosen by.

    evaluation = evaluate("runs/quickstart/reasoning/final", config, Path("store"))
    print(evaluation.estimate("pass_at_1"))

Greedy and sampled rollouts are two probes, each under its own fingerprint. So nothing is generated twice, an
interrupted evaluation goes on where it stopped, and doing it again only reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.errors import DataError
from pebr_data.grading import GRADER_VERSION, score_description
from pebr_data.types import Fingerprint, Outcome, Rollout, Sample
from pebr_train.evaluation import Evaluation, SampleResult

if TYPE_CHECKING:
    from pebr_data.engines.base import Engine
    from pebr_data.models import ResolvedModel
    from pebr_data.probe.generate import Stop
    from pebr_data.probe.keep import Progress


def evaluate(
    model: ResolvedModel | str | Path,
    config: CatalogConfig,
    store: Path,
    *,
    split: str = "test",
    limit: int | None = None,
    num_samples: int = 4,
    progress: Progress | None = None,
    stop: Stop | None = None,
    resume: str = "the same command",
) -> Evaluation:
    """Measures a model on held-out samples, generating only the rollouts that the store lacks.

    There is no seed to give: every rollout's seed comes from its key, so two evaluations of one model are the same.

    Args:
        model: A model, or a name that `resolve_model` understands.
        config: The catalog; `config.probe` says how to prompt and to sample.
        store: The store that the catalog was built into.
        split: The held-out split.
        limit: Only the first samples of the split, this many.
        num_samples: Sampled completions per sample; one greedy completion comes on top.
        progress: Called as rollouts are kept, greedy and sampled together.
        stop: Ends it in good order when it returns true. By default SIGINT and SIGTERM do.
        resume: The command to name when interrupted.

    Raises:
        BusyError: Another process keeps the catalog or the probe.
        ConfigError: The prompt template or the engine does not exist.
        DataError: The catalog has no such samples, or some rollouts failed, so that a figure would be wrong.
        Interrupted: It was stopped; everything generated so far is kept.
        UnavailableError: There is no such model, it cannot be loaded, or all that it generates fails.
    """
    from pebr_data.engines.base import open_engine
    from pebr_data.probe.run import fingerprint_of, model_of, run_probe

    resolved = model_of(config, model) if isinstance(model, str | Path) else model
    sampled = fingerprint_of(config, resolved)
    with Catalog.open(store, read_only=True) as catalog:
        samples = catalog.samples(config.name, split)[:limit]
    if not samples:
        raise DataError(
            f"the catalog {config.name} has no samples of split {split}",
            where=str(store),
            help=f"name another split, or build it: pebr-data build {config.path} --store {store}",
        )

    @cache
    def engine() -> Engine:
        return open_engine(config.probe.engine, resolved, max_pixels=sampled.max_pixels, **config.probe.engine_options)

    num_wanted, num_before = len(samples) * (1 + num_samples), 0
    for fingerprint, num_rollouts in ((greedy_of(sampled), 1), (sampled, num_samples)):
        result = run_probe(
            store,
            samples,
            fingerprint,
            engine,
            num_rollouts=num_rollouts,
            progress=_shifted(progress, num_before, num_wanted),
            stop=stop,
            resume=resume,
        )
        if result.num_owed:
            raise DataError(
                f"{result.num_owed} rollouts failed, so nothing was measured: {'; '.join(result.errors)}",
                where=f"model {resolved.name}",
                help="mend that, then evaluate again; only the failed ones are generated",
            )
        num_before += len(samples) * num_rollouts
    with Catalog.open(store, read_only=True) as catalog:
        return measure(catalog, config.name, split, samples, sampled, num_samples)


def greedy_of(sampled: Fingerprint) -> Fingerprint:
    """The policy that takes the likeliest token and is otherwise the same; top_p then has no effect and is 1."""
    return replace(sampled, temperature=0.0, top_p=1.0)


def measure(
    catalog: Catalog, name: str, split: str, samples: Sequence[Sample], sampled: Fingerprint, num_samples: int
) -> Evaluation:
    """The evaluation that a catalog's rollouts come to; nothing is generated.

    Args:
        catalog: Holds the rollouts of both probes.
        name: The catalog's name.
        split: The split of the samples.
        samples: The held-out samples.
        sampled: The policy whose rollouts are read; its greedy one goes with it.
        num_samples: Sampled rollouts per sample, those with the lowest indices.

    Raises:
        DataError: A rollout is missing or ended in an engine's error, so that a figure would be wrong.
    """
    greedy = greedy_of(sampled)
    ids = [sample.sample_id for sample in samples]
    at_zero = _complete(catalog.rollouts(greedy.probe_id, ids), ids, 1, "greedy")
    at_probe = _complete(catalog.rollouts(sampled.probe_id, ids), ids, num_samples, "sampled")
    results = [_result(sample, at_zero[sample.sample_id][0], at_probe[sample.sample_id]) for sample in samples]
    versions = {rollout.grade.grader_version for group in (*at_zero.values(), *at_probe.values()) for rollout in group}
    return Evaluation(
        catalog=name,
        split=split,
        greedy=greedy,
        sampled=sampled,
        grader_version=", ".join(sorted(versions)) or GRADER_VERSION,
        results=tuple(sorted(results, key=lambda result: result.sample_id)),
    )


def _shifted(progress: Progress | None, num_before: int, num_wanted: int) -> Progress | None:
    """Progress of one probe as part of both."""
    if progress is None:
        return None

    def shifted(done: int, total: int | None = None, note: str = "") -> None:
        progress(num_before + done, num_wanted, note)

    return shifted


def _complete(rollouts: Sequence[Rollout], ids: Sequence[str], number: int, what: str) -> dict[str, list[Rollout]]:
    """Rollouts 0 .. number - 1 of every sample, by index."""
    groups: dict[str, list[Rollout]] = {sample_id: [] for sample_id in ids}
    for rollout in rollouts:
        if rollout.key.index < number and rollout.grade.outcome is not Outcome.ERROR:
            groups[rollout.key.sample_id].append(rollout)
    missing = sum(number - len(group) for group in groups.values())
    if missing:
        raise DataError(
            f"{missing} of {number * len(ids)} {what} rollouts are missing or failed, so nothing was measured",
            help="run the evaluation again; it generates only those",
        )
    return {sample_id: sorted(group, key=lambda one: one.key.index) for sample_id, group in groups.items()}


def _result(sample: Sample, greedy: Rollout, sampled: Sequence[Rollout]) -> SampleResult:
    objects = sample.metadata.get("objects")
    f1 = [score_description(one.generation.completion, objects).f1 for one in (greedy, *sampled)] if objects else None
    return SampleResult(
        sample_id=sample.sample_id,
        skill=sample.skill,
        greedy=greedy.grade.outcome,
        sampled=tuple(one.grade.outcome for one in sampled),
        greedy_f1=f1[0] if f1 else None,
        sampled_f1=tuple(f1[1:]) if f1 else None,
    )
