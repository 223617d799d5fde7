"""What an evaluation found: one record per held-out sample, and every figure derived from those records.

Only the records are the truth. The figures written into the JSON beside them are for people and other programs;
reading the file back derives them anew.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pebr_data.errors import DataError, RefusedError
from pebr_data.types import Condition, Fingerprint, Json, Outcome
from pebr_train.intervals import Estimate, difference_interval, mean_interval
from pebr_train.rundir import write_json

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class SampleResult:
    """How one sample went.

    Attributes:
        sample_id: The sample.
        skill: What its question needs, or None.
        greedy: Outcome of the greedy rollout.
        sampled: Outcomes of the sampled rollouts, by index.
        greedy_f1: Perception F1 of the greedy rollout; None when the sample's scene is not known.
        sampled_f1: Perception F1 of each sampled rollout; None when the sample's scene is not known.
    """

    sample_id: str
    skill: str | None
    greedy: Outcome
    sampled: tuple[Outcome, ...]
    greedy_f1: float | None = None
    sampled_f1: tuple[float, ...] | None = None


Metric = Callable[[SampleResult], float | None]


def greedy_accuracy(result: SampleResult) -> float | None:
    """1 when the greedy rollout is correct, else 0; None when the gold cannot be graded."""
    return None if result.greedy is Outcome.UNGRADABLE else float(result.greedy is Outcome.CORRECT)


def pass_at_1(result: SampleResult) -> float | None:
    """The share of sampled rollouts that are correct; None when the gold cannot be graded."""
    graded = [outcome is Outcome.CORRECT for outcome in result.sampled if outcome is not Outcome.UNGRADABLE]
    return sum(graded) / len(graded) if graded else None


def greedy_perception(result: SampleResult) -> float | None:
    """Perception F1 of the greedy rollout; None when the scene is not known."""
    return result.greedy_f1


def sampled_perception(result: SampleResult) -> float | None:
    """Mean perception F1 of the sampled rollouts; None when the scene is not known."""
    return sum(result.sampled_f1) / len(result.sampled_f1) if result.sampled_f1 else None


METRICS: dict[str, Metric] = {
    "greedy_accuracy": greedy_accuracy,
    "pass_at_1": pass_at_1,
    "greedy_perception": greedy_perception,
    "sampled_perception": sampled_perception,
}
"""Every figure an evaluation gives: a value in 0 .. 1 per sample, or None where it does not apply."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One model on held-out samples.

    Attributes:
        catalog: The catalog's name.
        split: The split the samples are of.
        greedy: Fingerprint of the greedy rollouts (one a sample).
        sampled: Fingerprint of the sampled rollouts: the probe's own settings.
        grader_version: The rules the outcomes come from.
        results: One record per sample, ordered by sample_id.
    """

    catalog: str
    split: str
    greedy: Fingerprint
    sampled: Fingerprint
    grader_version: str
    results: tuple[SampleResult, ...]

    @property
    def num_rollouts(self) -> int:
        """Sampled rollouts per sample."""
        return len(self.results[0].sampled) if self.results else 0

    def estimate(self, metric: str, *, skill: str | None = None) -> Estimate | None:
        """The mean of a key of `METRICS` with its 95 % interval, over all samples or those of one skill.

        None when the metric applies to none of them.
        """
        values = (METRICS[metric](result) for result in self.results if skill is None or result.skill == skill)
        return mean_interval([value for value in values if value is not None])

    @property
    def skills(self) -> tuple[str, ...]:
        """The skills that samples name, sorted."""
        return tuple(sorted({result.skill for result in self.results if result.skill is not None}))

    @property
    def greedy_outcomes(self) -> dict[Outcome, int]:
        """How many greedy rollouts had each outcome, those that occur."""
        return _in_order(Counter(result.greedy for result in self.results))

    @property
    def sampled_outcomes(self) -> dict[Outcome, int]:
        """How many sampled rollouts had each outcome, those that occur."""
        return _in_order(Counter(outcome for result in self.results for outcome in result.sampled))

    def to_json(self) -> dict[str, Json]:
        """The figures, then the records they come from, as JSON-serialisable values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "catalog": self.catalog,
            "split": self.split,
            "num_samples": len(self.results),
            "num_rollouts": self.num_rollouts,
            "grader_version": self.grader_version,
            **{metric: _estimate_json(self.estimate(metric)) for metric in METRICS},
            "greedy_outcomes": {str(outcome): number for outcome, number in self.greedy_outcomes.items()},
            "sampled_outcomes": {str(outcome): number for outcome, number in self.sampled_outcomes.items()},
            "skills": {
                skill: {metric: _estimate_json(self.estimate(metric, skill=skill)) for metric in METRICS}
                for skill in self.skills
            },
            "fingerprints": {"greedy": self.greedy.to_json(), "sampled": self.sampled.to_json()},
            "results": [asdict(result) for result in self.results],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed between two evaluations of the same samples.

    Attributes:
        before: The model compared with, as `name@revision`.
        after: The model compared, likewise.
        differences: Per key of `METRICS`, the mean of after - before paired by sample, with its 95 % interval; None
            where the metric applies to no sample.
    """

    before: str
    after: str
    differences: Mapping[str, Estimate | None]

    def to_json(self) -> dict[str, Json]:
        """The comparison as JSON-serialisable values."""
        differences = {metric: _estimate_json(estimate) for metric, estimate in self.differences.items()}
        return {"before": self.before, "after": self.after, "differences": differences}


def compare(before: Evaluation, after: Evaluation) -> Comparison:
    """What changed from one model to another, paired by sample.

    Raises:
        RefusedError: The two differ in more than the model: in samples, sampling settings or grader.
    """
    differing = _settings_differing(before, after)
    if [result.sample_id for result in before.results] != [result.sample_id for result in after.results]:
        differing.append("samples")
    if before.num_rollouts != after.num_rollouts:
        differing.append("number of rollouts")
    if differing:
        raise RefusedError(
            f"two evaluations that differ in {', '.join(differing)} cannot be compared",
            where=f"{_model(before)} and {_model(after)}",
            help="evaluate both with the same catalog, split, limit and number of rollouts",
        )
    differences = {}
    for metric, value in METRICS.items():
        pairs = [(value(x), value(y)) for x, y in zip(before.results, after.results, strict=True)]
        known = [(x, y) for x, y in pairs if x is not None and y is not None]
        differences[metric] = difference_interval([x for x, _ in known], [y for _, y in known])
    return Comparison(before=_model(before), after=_model(after), differences=differences)


def evaluation_from_json(value: Mapping[str, Json]) -> Evaluation:
    """The evaluation that `Evaluation.to_json` wrote.

    Raises:
        KeyError: A field is missing.
        TypeError: A field has the wrong type.
        ValueError: A field holds what it cannot, or the schema is newer.
    """
    if value["schema_version"] > SCHEMA_VERSION:
        raise ValueError(f"schema version {value['schema_version']} is newer than this pebr reads ({SCHEMA_VERSION})")
    return Evaluation(
        catalog=value["catalog"],
        split=value["split"],
        greedy=_fingerprint(value["fingerprints"]["greedy"]),
        sampled=_fingerprint(value["fingerprints"]["sampled"]),
        grader_version=value["grader_version"],
        results=tuple(
            SampleResult(
                sample_id=result["sample_id"],
                skill=result["skill"],
                greedy=Outcome(result["greedy"]),
                sampled=tuple(Outcome(outcome) for outcome in result["sampled"]),
                greedy_f1=result["greedy_f1"],
                sampled_f1=None if result["sampled_f1"] is None else tuple(result["sampled_f1"]),
            )
            for result in value["results"]
        ),
    )


def save_evaluation(evaluation: Evaluation, path: Path, *, identity: Mapping[str, Json] | None = None) -> None:
    """Write the evaluation as JSON, whole or not at all.

    Args:
        evaluation: What was found.
        path: The file.
        identity: What decided it, for `saved_identity` to give back.

    Raises:
        StorageError: It cannot be written.
    """
    write_json(path, {**evaluation.to_json(), "identity": None if identity is None else dict(identity)})


def saved_identity(path: Path) -> Json:
    """The identity that the evaluation at `path` was saved with; None when there is none, or no evaluation."""
    try:
        return json.loads(path.read_text("utf-8")).get("identity")
    except (FileNotFoundError, ValueError, AttributeError):
        # Measured anew then, which reads the rollouts the store has.
        return None


def load_evaluation(path: Path) -> Evaluation:
    """The evaluation saved at `path`.

    Raises:
        DataError: There is none, or the file is not one.
    """
    help = "pebr-train evaluate MODEL --catalog CATALOG.yaml writes it anew"
    try:
        return evaluation_from_json(json.loads(path.read_text("utf-8")))
    except FileNotFoundError as error:
        raise DataError("there is no evaluation", where=str(path), help=help) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"not an evaluation ({type(error).__name__}: {error})", where=str(path), help=help) from error


def _model(evaluation: Evaluation) -> str:
    return f"{evaluation.sampled.model}@{evaluation.sampled.revision[:12]}"


def _settings_differing(before: Evaluation, after: Evaluation) -> list[str]:
    names = [name for name in ("catalog", "split", "grader_version") if getattr(before, name) != getattr(after, name)]
    for kind in ("greedy", "sampled"):
        one, other = getattr(before, kind).to_json(), getattr(after, kind).to_json()
        names += [f"{kind} {key}" for key in one if key not in ("model", "revision") and one[key] != other[key]]
    return names


def _fingerprint(value: Mapping[str, Json]) -> Fingerprint:
    return Fingerprint(**{**value, "condition": Condition(value["condition"])})


def _in_order(counts: Counter[Outcome]) -> dict[Outcome, int]:
    return {outcome: counts[outcome] for outcome in Outcome if counts[outcome]}


def _estimate_json(estimate: Estimate | None) -> Json:
    return None if estimate is None else asdict(estimate)
