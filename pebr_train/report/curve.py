"""A quantity over training steps: every step thin, its running mean thick."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from pebr_train.report.svg import WIDTH, Scale, drawing, element, fitted, line, number, percent, polyline, text, ticks

HEIGHT = 150
LEFT, RIGHT, TOP, BOTTOM = 40, 46, 10, 20
MAX_HOVER_TARGETS = 60


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """At each position the mean of the last `window` values, or of as many as there are."""
    means, total = [], 0.0
    for index, value in enumerate(values):
        total += value - (values[index - window] if index >= window else 0.0)
        means.append(total / min(index + 1, window))
    return means


def window_of(num_steps: int) -> int:
    """Steps the thick line averages: a tenth of those logged."""
    return max(1, round(num_steps / 10))


def curve(points: Sequence[tuple[float, float]], *, label: str, share: bool = False) -> Markup:
    """The chart of (step, value) points; nothing for no points.

    Args:
        points: Ordered by step.
        label: What it shows.
        share: The values are shares: the axis runs from 0 to 100 %.
    """
    if not points:
        return Markup("")
    steps, values = [step for step, _ in points], [value for _, value in points]
    unit: Callable[[float], str] = percent if share else number
    low, high = (0.0, 1.0) if share else _domain(values)
    x = Scale(steps[0], max(steps[-1], steps[0] + 1), LEFT, WIDTH - RIGHT)
    y = Scale(low, high, HEIGHT - BOTTOM, TOP)
    smooth = running_mean(values, window_of(len(values)))
    grid = [
        line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "grid") + text(unit(tick), LEFT - 5, y(tick) + 3.5, anchor="end")
        for tick in ticks(low, high, 2 if share else 4)
    ]
    at_steps = [
        text(f"{step:g}", x(step), HEIGHT - 6, anchor="middle") for step in ticks(steps[0], x.high, 4) if step % 1 == 0
    ]
    return drawing(
        HEIGHT,
        f"{label}: {unit(smooth[0])} at step {steps[0]:g}, {unit(smooth[-1])} at step {steps[-1]:g}",
        *grid,
        *at_steps,
        polyline(((x(step), y(value)) for step, value in points), "raw"),
        polyline(((x(step), y(value)) for step, value in zip(steps, smooth, strict=True)), "smooth"),
        element("circle", cx=x(steps[-1]), cy=y(smooth[-1]), r=3, class_="end"),
        text(unit(smooth[-1]), x(steps[-1]) + 7, y(smooth[-1]) + 4, class_="value"),
        *_hover_targets(points, x, unit),
    )


def _domain(values: Sequence[float]) -> tuple[float, float]:
    """Rewards and most of what is logged lie in 0 .. 1: there, at least 0.2 wide. Else at least half the size."""
    if min(values) >= 0 and max(values) <= 1 and max(values) >= 0.05:
        return fitted(values, least_span=0.2, within=(0.0, 1.0))
    within = (0.0, max(values) * 2) if min(values) >= 0 and max(values) > 0 else None
    return fitted(values, least_span=max(1e-6, 0.5 * max(abs(value) for value in values)), within=within)


def _hover_targets(points: Sequence[tuple[float, float]], x: Scale, unit: Callable[[float], str]) -> list[Markup]:
    """Invisible strips that name the value at a step when pointed at."""
    shown = points[:: -(-len(points) // MAX_HOVER_TARGETS)]
    width = min(40.0, (WIDTH - LEFT - RIGHT) / len(shown))
    return [
        element(
            "rect",
            element("title", f"step {step:g}: {unit(value)}"),
            x=round(x(step) - width / 2, 1),
            y=TOP,
            width=round(width, 1),
            height=HEIGHT - TOP - BOTTOM,
            class_="hover",
        )
        for step, value in shown
    ]
