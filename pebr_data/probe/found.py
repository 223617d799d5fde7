"""What the catalog holds of a probe before it runs: kept rollouts, what is owed, and who will judge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pebr_data.catalog.early_stops import PosteriorStop
from pebr_data.catalog.store import Catalog
from pebr_data.errors import RefusedError
from pebr_data.grading import Grader
from pebr_data.grading.versions import Grading
from pebr_data.probe.early_stop import Stopping, open_rounds, read_so_far
from pebr_data.probe.in_force import grading_in_force
from pebr_data.probe.plan import owed_keys
from pebr_data.probe.rounds import Rounds
from pebr_data.types import Fingerprint, Sample


@dataclass(frozen=True, slots=True)
class Found:
    """What there was.

    Attributes:
        kept: (sample_id, index) of every kept rollout.
        rounds: What is owed, in rounds.
        grading: Who judges it.
        golds: The set of golds in force, which samples are read with.
        stop_rules: The rules `posterior` in force, one for each split that has one.
    """

    kept: set[tuple[str, int]]
    rounds: Rounds
    grading: Grading
    golds: str
    stop_rules: Sequence[PosteriorStop]


def find(
    store: Path,
    fingerprint: Fingerprint,
    samples: Sequence[Sample],
    stopping: Stopping,
    covered: Mapping[str, int],
    *,
    keeps: bool = True,
) -> Found:
    """Looks once; the catalog is closed while what is owed is worked out.

    Args:
        store: The store with the catalog.
        fingerprint: The policy.
        samples: What is probed.
        stopping: When a sample has enough.
        covered: As for `open_rounds`.
        keeps: Whether priors that are fitted on the way are kept.

    Raises:
        BusyError: Another process holds the catalog.
        RefusedError: Something is owed, and what counts of this probe so far was graded by another pebr's rules.
    """
    refusal = None
    with Catalog.open(store, read_only=True) as catalog:
        kept = catalog.rollout_keys(fingerprint.probe_id)
        so_far = read_so_far(catalog, fingerprint, stopping)
        stop_rules, golds = catalog.stop_rules.of(fingerprint.probe_id), catalog.golds_in_force()
        try:
            grading = grading_in_force(catalog, fingerprint)
        except RefusedError as error:
            grading, refusal = Grading(Grader()), error
    owed = owed_keys(fingerprint.probe_id, samples, stopping.most, kept)
    priors_kept = store if keeps else None
    rounds = open_rounds(fingerprint.probe_id, samples, owed, stopping, so_far, covered=covered, store=priors_kept)
    # Where nothing will be judged, another pebr's grades may stay.
    if refusal is not None and rounds.num_owed:
        raise refusal
    return Found(kept, rounds, grading, golds, stop_rules)
