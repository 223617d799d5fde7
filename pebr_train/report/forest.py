"""Means with their 95 % intervals, one row each (a forest plot)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pebr_train.intervals import Estimate
from pebr_train.report.svg import WIDTH, Scale, drawing, element, fitted, line, percent, percent_tick, text, ticks

LEFT, RIGHT, TOP, BOTTOM = 104, 50, 6, 22
ROW_HEIGHT = 26


@dataclass(frozen=True, slots=True)
class Mark:
    """One mean in a row: `kind` is `before`, `between` or `after` and decides its colour."""

    name: str
    kind: str
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Row:
    """A labelled row of one or two marks; the last one's value is written at the end."""

    label: str
    marks: tuple[Mark, ...]


def forest(rows: Sequence[Row], *, label: str, whole_range: bool = False) -> Markup:
    """The chart; nothing for no rows.

    Args:
        rows: From top to bottom.
        label: What it shows.
        whole_range: The axis runs from 0 to 100 % instead of around the intervals.
    """
    marks = [mark for row in rows for mark in row.marks]
    if not marks:
        return Markup("")
    ends = [end for mark in marks for end in (mark.estimate.low, mark.estimate.high)]
    low, high = (0.0, 1.0) if whole_range else fitted(ends, least_span=0.1, within=(0.0, 1.0))
    x = Scale(low, high, LEFT, WIDTH - RIGHT)
    height = TOP + ROW_HEIGHT * len(rows) + BOTTOM
    grid = [
        line(x(tick), TOP, x(tick), height - BOTTOM, "grid")
        + text(percent_tick(tick), x(tick), height - 7, anchor="middle")
        for tick in ticks(low, high, 3 if whole_range else 4)
    ]
    spoken = "; ".join(
        f"{row.label} " + ", ".join(f"{mark.name} {percent(mark.estimate.mean, 1)}" for mark in row.marks)
        for row in rows
    )
    drawn = [_row(row, TOP + ROW_HEIGHT * (index + 0.5), x) for index, row in enumerate(rows)]
    return drawing(height, f"{label}: {spoken}", *grid, *drawn)


def _row(row: Row, middle: float, x: Scale) -> Markup:
    parts = [text(row.label, LEFT - 8, middle + 4, class_="name", anchor="end")]
    for index, mark in enumerate(row.marks):
        y = middle + (index - (len(row.marks) - 1) / 2) * 8
        estimate = mark.estimate
        told = (
            f"{row.label}, {mark.name}: {percent(estimate.mean, 1)} "
            f"({percent(estimate.low, 1)} to {percent(estimate.high, 1)}), {estimate.num_samples} samples"
        )
        parts.append(
            element(
                "g",
                element("title", told),
                line(x(estimate.low), y, x(estimate.high), y, "whisker"),
                element("circle", cx=x(estimate.mean), cy=y, r=4),
                class_=f"mark {mark.kind}",
            )
        )
    if row.marks:
        parts.append(text(percent(row.marks[-1].estimate.mean, 1), WIDTH, middle + 4, class_="value", anchor="end"))
    return Markup("").join(parts)
