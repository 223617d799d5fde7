"""`pebr-data show --disputed`: the samples whose grades two graders dispute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pebr_data.cli.options import DEFAULT_STORE
from pebr_data.cli.output import name_next, print_json, print_table, store_arguments, talk
from pebr_data.errors import DataError

if TYPE_CHECKING:
    from pebr_data.catalog.rollouts import Probe
    from pebr_data.catalog.store import Catalog

MAX_SHOWN = 24
"""Characters of an answer in the table; `--json` has all of it."""


@dataclass(frozen=True, slots=True)
class Dispute:
    """Two gradings of a probe, and the samples they dispute, as `Catalog.disputed_samples` has them, with golds."""

    probe: Probe
    versions: tuple[str, str]
    samples: Sequence[Mapping[str, Any]]


def show_disputed(graders: tuple[str, str] | None, name: str | None, store: Path, as_json: bool) -> None:
    """List the samples whose grades two graders dispute, by probe, the most disputed first.

    Args:
        graders: The two grader versions, or names of profiles; None takes what counts and the newest other one.
        name: Only this catalog's samples.
        store: The store.
        as_json: Print JSON.

    Raises:
        DataError: No probe was graded by both.
    """
    from pebr_data.catalog.store import Catalog

    with Catalog.open(store, read_only=True) as catalog:
        probes = catalog.probes(name)
        disputes = [
            _dispute(catalog, probe, versions, name)
            for probe in probes
            if (versions := _versions(catalog, probe, graders)) is not None
        ]
        known = sorted({version for probe in probes for version in catalog.grader_versions(probe.probe_id)})
    if not disputes:
        by = " and ".join(graders) if graders else "two graders"
        raise DataError(
            f"no probe has been graded by {by}" + (f"; there are grades by {', '.join(known)}" if known else ""),
            where=str(store),
            help="grade one anew: pebr-data regrade CATALOG.yaml --grader paper",
        )
    if as_json:
        print_json([_as_json(dispute) for dispute in disputes])
    else:
        for position, dispute in enumerate(disputes):
            _print(dispute, position)
    name_next("pebr-data", "show", "SAMPLE_ID", *store_arguments(store, DEFAULT_STORE))


def _versions(catalog: Catalog, probe: Probe, graders: tuple[str, str] | None) -> tuple[str, str] | None:
    """The two gradings to compare, where the probe has both."""
    from pebr_data.grading import PROFILES

    there = catalog.grader_versions(probe.probe_id)
    if graders is None:
        others = [version for version in there if version != probe.grader_version]
        return (probe.grader_version, others[-1]) if probe.grader_version is not None and others else None
    one, other = (PROFILES[name].version if name in PROFILES else name for name in graders)
    return (one, other) if one in there and other in there else None


def _dispute(catalog: Catalog, probe: Probe, versions: tuple[str, str], name: str | None) -> Dispute:
    rows = catalog.disputed_samples(probe.probe_id, *versions, name).to_dicts()
    golds = {one.sample_id: one.answer for one in catalog.samples(sample_ids=[row["sample_id"] for row in rows])}
    return Dispute(probe, versions, [{**row, "gold": golds[row["sample_id"]]} for row in rows])


def _as_json(dispute: Dispute) -> dict[str, Any]:
    return {
        "probe_id": dispute.probe.probe_id,
        "graders": list(dispute.versions),
        "samples": [
            {
                "sample_id": row["sample_id"],
                "answer": row["gold"],
                "num_disputed": row["num_disputed"],
                "num_rollouts": row["num_rollouts"],
                "num_correct": [row["num_correct_one"], row["num_correct_other"]],
                "example": {
                    "index": row["example"],
                    "grades": [
                        {name: row[f"{name}_{which}"] for name in ("outcome", "answer", "reason")}
                        for which in ("one", "other")
                    ],
                },
            }
            for row in dispute.samples
        ],
    }


def _print(dispute: Dispute, position: int) -> None:
    one, other = dispute.versions
    count = sum(row["num_disputed"] for row in dispute.samples)
    print("\n" * (position > 0), end="")
    model = dispute.probe.fingerprint.model
    print(
        f"probe {dispute.probe.probe_id}: {model}, {one} and {other} dispute {count:,} rollouts "
        f"of {len(dispute.samples):,} samples"
    )
    if not dispute.samples:
        return
    rows = [
        (
            row["sample_id"], row["num_disputed"], row["num_rollouts"],
            row["num_correct_one"], row["num_correct_other"], _shown(row["gold"]), row["example"],
            f"{row['outcome_one']}: {_shown(row['answer_one'])}",
            f"{row['outcome_other']}: {_shown(row['answer_other'])}",
        )
        for row in dispute.samples
    ]  # fmt: skip
    header = ("sample", "disputed", "of", f"correct by {one}", f"by {other}", "gold", "rollout", one, other)
    print_table(header, rows)
    talk("note: the last columns are one disputed rollout of each sample")


def _shown(text: str | None) -> str:
    line = " ".join((text or "-").split())
    return line if len(line) <= MAX_SHOWN else line[: MAX_SHOWN - 1] + "…"
