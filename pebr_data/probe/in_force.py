"""Who judges a probe's new rollouts: the grading in force, so that no group is ever graded by two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pebr_data.catalog.store import Catalog
from pebr_data.errors import RefusedError
from pebr_data.grading import Grader
from pebr_data.grading.versions import Grading, golds_of, profile_of
from pebr_data.prompts import open_template
from pebr_data.shuffled import reordered
from pebr_data.types import Fingerprint, Rollout, Sample


def grading_in_force(catalog: Catalog, fingerprint: Fingerprint) -> Grading:
    """The grading that a probe's new rollouts are to be judged by.

    That is the one in force. A probe that has none yet gets the default grader, with the corrected golds in force.

    Raises:
        RefusedError: The one in force is another pebr's, whose rules this one does not have.
    """
    extractors = open_template(fingerprint.template).extractors
    version = catalog.grader_version(fingerprint.probe_id)
    if version is None:
        return Grading(Grader(extractors=extractors), catalog.golds_in_force())
    profile = profile_of(version)
    if profile is None:
        running = Grader(extractors=extractors).version
        raise RefusedError(
            f"the rollouts of this probe count as {version} graded them; this pebr grades by {running}, and a group "
            "graded by both would say nothing",
            where=f"probe {fingerprint.probe_id}",
            help="grade them anew, which takes no model: "
            f"pebr-data regrade CATALOG.yaml --probe {fingerprint.probe_id} --use",
        )
    return Grading(Grader(profile, extractors), golds_of(version))


def with_golds(store: Path, samples: Sequence[Sample], grading: Grading) -> Sequence[Sample]:
    """These samples with the golds that a grading goes by."""
    with Catalog.open(store, read_only=True) as catalog:
        return catalog.samples(sample_ids=[sample.sample_id for sample in samples], golds=grading.golds)


def graded_by(store: Path, rollouts: Sequence[Rollout], grading: Grading) -> list[Rollout]:
    """These rollouts, each with its grade by this grading; one that has another is judged again."""
    owed = [rollout for rollout in rollouts if rollout.grade.grader_version != grading.version]
    if not owed:
        return list(rollouts)
    with Catalog.open(store, read_only=True) as catalog:
        ids = list(dict.fromkeys(rollout.key.sample_id for rollout in owed))
        samples = {one.sample_id: one for one in catalog.samples(sample_ids=ids, golds=grading.golds)}
    completions = [
        (one.generation.completion, reordered(samples[one.key.sample_id], one.order), one.generation.finish_reason)
        for one in owed
    ]
    grades = dict(zip((one.key for one in owed), grading.grade(completions), strict=True))
    return [replace(rollout, grade=grades.get(rollout.key, rollout.grade)) for rollout in rollouts]
