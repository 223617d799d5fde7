"""The forecast of a stage's first pass beside the run: what the page's table shows of a span."""

from __future__ import annotations

from collections.abc import Iterator

from pebr_train.first_pass import Figure, Span
from pebr_train.report.svg import percent


def figures(span: Span) -> Iterator[tuple[str, Figure, str]]:
    """The rows of a span: title, figure, and what `quantity` shows it as; those alone that were checked."""
    given, trained = span.given_reward, span.trained
    pace = f", trained as in {trained.learnt_from}" if trained else ""
    rows = [
        ("zero variance", span.zero_variance, "share"),
        (f"zero variance{pace}", trained.zero_variance if trained else None, "share"),
        ("zero variance, given the mean reward", given.zero_variance if given else None, "share"),
        ("mean reward", span.mean_reward, "share"),
        (f"mean reward{pace}", trained.mean_reward if trained else None, "share"),
        ("squared advantage", span.squared_advantage, "number"),
        (f"squared advantage{pace}", trained.squared_advantage if trained else None, "number"),
        ("completion tokens an update", span.tokens_per_update, "count"),
    ]
    for title, figure, kind in rows:
        if figure is not None:
            yield title, figure, kind


def quantity(value: float, kind: str) -> str:
    """A `share` in percent, a `number` with three places, a `count` in whole numbers."""
    return {"share": percent(value, 1), "number": f"{value:.3f}", "count": f"{value:,.0f}"}[kind]
