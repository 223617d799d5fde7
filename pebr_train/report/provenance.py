"""The last part of the page: what exactly was run, so that the figures can be made again."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pebr_data.types import Fingerprint
from pebr_train.done import read_done
from pebr_train.evaluation import Evaluation
from pebr_train.rundir import RunDir

PACKAGES = ("pebr", "torch", "transformers", "trl", "accelerate", "datasets", "duckdb")


@dataclass(frozen=True, slots=True)
class StageRecord:
    """A stage: `seconds` is the wall-clock time of its last attempt; the figures are None while it is unfinished."""

    name: str
    optimizer_steps: int | None
    num_samples: int | None
    mixture_id: str | None
    probe_id: str | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """A policy that was probed or evaluated."""

    role: str
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Provenance:
    """What was run.

    Attributes:
        stages: In training order.
        policies: Every fingerprint behind a figure of the page.
        shared: Fingerprint settings that all policies have in common.
        differing: Fingerprint settings that they do not, which the page lists policy by policy.
        versions: (package, version) of the software that wrote the page.
        recipe: The resolved recipe as indented JSON, or None when the run has none.
    """

    stages: tuple[StageRecord, ...]
    policies: tuple[PolicyRecord, ...]
    shared: tuple[tuple[str, str], ...]
    differing: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]
    recipe: str | None


def provenance(
    run: RunDir,
    recipe: Mapping[str, Any] | None,
    stages: Sequence[str],
    probes: Mapping[str, Fingerprint],
    evaluations: Mapping[str, Evaluation],
) -> Provenance:
    """What was run, from the run's directory and the fingerprints behind the figures.

    Raises:
        DataError: A finished stage's record or model is damaged.
    """
    policies = [PolicyRecord(f"probe, {label}", fingerprint) for label, fingerprint in probes.items()]
    for point, evaluation in evaluations.items():
        policies.append(PolicyRecord(f"evaluation, {point}, sampled", evaluation.sampled))
        policies.append(PolicyRecord(f"evaluation, {point}, greedy", evaluation.greedy))
    settings = [policy.fingerprint.to_json() for policy in policies]
    keys = list(settings[0]) if settings else []
    differing = tuple(key for key in keys if len({str(one[key]) for one in settings}) > 1)
    return Provenance(
        stages=tuple(_stage(run, name) for name in stages),
        policies=tuple(policies),
        shared=tuple((key, str(settings[0][key])) for key in keys if key not in differing),
        differing=differing,
        versions=(("python", platform.python_version()), *_versions()),
        recipe=None if recipe is None else json.dumps(recipe, indent=2, ensure_ascii=False),
    )


def _stage(run: RunDir, name: str) -> StageRecord:
    done = read_done(run.stage(name))
    if done is None:
        return StageRecord(name, None, None, None, None, None)
    return StageRecord(name, done.optimizer_steps, done.num_samples, done.mixture_id, done.probe_id, done.seconds)


def _versions() -> list[tuple[str, str]]:
    found = []
    for package in PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            found.append((package, "not installed"))
    return found
