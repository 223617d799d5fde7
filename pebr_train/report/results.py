"""The results part of the page: what the held-out samples say before and after, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pebr_data.errors import RefusedError
from pebr_data.types import Outcome
from pebr_train.evaluation import METRICS, Comparison, Evaluation, compare
from pebr_train.intervals import Estimate
from pebr_train.recipe import BASE
from pebr_train.report.forest import Mark, Row, forest

TITLES = {
    "pass_at_1": "Pass@1, sampled",
    "greedy_accuracy": "Greedy accuracy",
    "sampled_perception": "Perception, sampled",
    "greedy_perception": "Perception, greedy",
}
"""The keys of `METRICS` in the order the page shows them."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One headline figure; `verdict` is `up`, `down` or `flat` by whether the interval excludes zero."""

    title: str
    before: Estimate
    after: Estimate
    difference: Estimate
    verdict: str


@dataclass(frozen=True, slots=True)
class PointRow:
    """One evaluated point: its estimates and its differences from the first, by metric."""

    name: str
    kind: str
    estimates: Mapping[str, Estimate | None]
    differences: Mapping[str, Estimate | None] | None
    outcomes: tuple[tuple[Outcome, int], ...]


@dataclass(frozen=True, slots=True)
class Results:
    """Everything the results part shows.

    Attributes:
        rows: The evaluated points in training order.
        metrics: The metrics that any of them has, in order.
        tiles: The headline, first point against last.
        panels: A chart per metric.
        skills: The chart of pass@1 per skill, first against last; empty with fewer than two points or no skills.
        refusals: Why points cannot be compared with the first, if so.
    """

    rows: tuple[PointRow, ...]
    metrics: tuple[str, ...]
    tiles: tuple[Tile, ...]
    panels: tuple[tuple[str, Markup], ...]
    skills: Markup
    refusals: tuple[str, ...]


def point_name(point: str) -> str:
    """`base`, or `after warmup`."""
    return point if point == BASE else f"after {point}"


def results(evaluations: Mapping[str, Evaluation]) -> Results:
    """What to show of the evaluations, given in training order."""
    points = list(evaluations)
    comparisons: dict[str, Comparison] = {}
    refusals = []
    for point in points[1:]:
        try:
            comparisons[point] = compare(evaluations[points[0]], evaluations[point])
        except RefusedError as error:
            refusals.append(f"{points[0]} and {point}: {error.what}")
    rows = tuple(
        PointRow(
            name=point_name(point),
            kind="before" if index == 0 else "after" if index == len(points) - 1 else "between",
            estimates={metric: evaluations[point].estimate(metric) for metric in METRICS},
            differences=comparisons[point].differences if point in comparisons else None,
            outcomes=tuple(evaluations[point].sampled_outcomes.items()),
        )
        for index, point in enumerate(points)
    )
    metrics = tuple(metric for metric in TITLES if any(row.estimates[metric] for row in rows))
    return Results(
        rows=rows,
        metrics=metrics,
        tiles=_tiles(rows, metrics),
        panels=tuple((TITLES[metric], _panel(rows, metric)) for metric in metrics),
        skills=_skills([evaluations[point] for point in points], rows),
        refusals=tuple(refusals),
    )


def _tiles(rows: Sequence[PointRow], metrics: Sequence[str]) -> tuple[Tile, ...]:
    if len(rows) < 2 or rows[-1].differences is None:
        return ()
    tiles = []
    for metric in metrics:
        before, after = rows[0].estimates[metric], rows[-1].estimates[metric]
        difference = rows[-1].differences[metric]
        if before is None or after is None or difference is None:
            continue
        verdict = "up" if difference.low > 0 else "down" if difference.high < 0 else "flat"
        tiles.append(Tile(TITLES[metric], before, after, difference, verdict))
    return tuple(tiles)


def _panel(rows: Sequence[PointRow], metric: str) -> Markup:
    marks = [(row, row.estimates[metric]) for row in rows]
    drawn = [Row(row.name, (Mark("mean", row.kind, estimate),)) for row, estimate in marks if estimate is not None]
    return forest(drawn, label=TITLES[metric])


def _skills(evaluations: Sequence[Evaluation], rows: Sequence[PointRow]) -> Markup:
    if len(evaluations) < 2:
        return Markup("")
    ends = ((evaluations[0], rows[0]), (evaluations[-1], rows[-1]))
    skills = sorted(set(evaluations[0].skills) & set(evaluations[-1].skills))
    drawn = []
    for skill in skills:
        marks = [(row, evaluation.estimate("pass_at_1", skill=skill)) for evaluation, row in ends]
        drawn.append(Row(skill, tuple(Mark(row.name, row.kind, found) for row, found in marks if found is not None)))
    return forest(drawn, label="Pass@1 per skill", whole_range=True)
