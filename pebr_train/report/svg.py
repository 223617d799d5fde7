"""Inline SVG: elements, scales and axes. Colours and fonts come from the page's style sheet through classes.

Every chart is 340 units wide, about the width of a phone, so that its text keeps its size everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH = 340


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values in low .. high to positions in start .. end, linearly; values outside go to the nearer end."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The position of a value, to a tenth of a unit."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def element(name: str, *children: str, **attributes: object) -> Markup:
    """An element; children that are not `Markup` are escaped. `class_` is `class`, and `_` is `-`."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), Markup(given), Markup("").join(children))


def text(content: str, x: float, y: float, *, class_: str = "", anchor: str | None = None) -> Markup:
    """A line of text with its baseline at y; `anchor` is `middle` or `end`."""
    return element("text", content, x=x, y=y, class_=class_ or None, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def polyline(points: Iterable[tuple[float, float]], class_: str) -> Markup:
    """A line through points."""
    return element("polyline", points=" ".join(f"{x:g},{y:g}" for x, y in points), class_=class_)


def drawing(height: float, label: str, *children: str) -> Markup:
    """A whole chart, with a label for those who do not see it."""
    content = Markup("").join(children)
    return element("svg", content, viewBox=f"0 0 {WIDTH} {height:g}", role="img", aria_label=label, class_="chart")


def ticks(low: float, high: float, target: int = 4) -> list[float]:
    """Round values within low .. high, about `target` of them, at steps of 1, 2, 2.5 or 5 times a power of ten."""
    rough = (high - low) / max(1, target)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def fitted(
    values: Sequence[float], *, least_span: float, within: tuple[float, float] | None = None
) -> tuple[float, float]:
    """A domain that holds the values with some air and is at least `least_span` wide, kept inside `within`.

    The least span keeps noise from looking like a trend.
    """
    low, high = min(values), max(values)
    air = max((high - low) * 0.08, (least_span - (high - low)) / 2)
    low, high = low - air, high + air
    if within is not None:
        floor, ceiling = min(within[0], *values), max(within[1], *values)
        low, high = (floor, min(ceiling, high + floor - low)) if low < floor else (low, high)
        low, high = (max(floor, low - (high - ceiling)), ceiling) if high > ceiling else (low, high)
    return low, high


def percent(value: float, digits: int = 0) -> str:
    """A share as `61.8 %`."""
    return f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def percent_tick(value: float) -> str:
    """A share as an axis names it: with as many digits as it needs."""
    return f"{100 * value:.4g}\N{NO-BREAK SPACE}%"


def number(value: float) -> str:
    """Three significant digits, without an exponent where it reads well; a real minus sign."""
    shown = f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.1e}"
    return shown.replace("-", "\N{MINUS SIGN}")
