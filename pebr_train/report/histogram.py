"""How many of G rollouts each sample got right, policies side by side, with the bands they fall into below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pebr_train.report.svg import WIDTH, Scale, drawing, element, line, percent_tick, text, ticks

HEIGHT = 200
LEFT, RIGHT, TOP, BOTTOM = 38, 4, 10, 44


@dataclass(frozen=True, slots=True)
class Counts:
    """Samples per number of correct rollouts (0 .. G), under one policy; `kind` decides the colour."""

    name: str
    kind: str
    counts: tuple[int, ...]


def histogram(policies: Sequence[Counts], *, label: str) -> Markup:
    """The chart, as shares of each policy's completely probed samples; nothing when there are none.

    Args:
        policies: One to three, all with the same G.
        label: What it shows.
    """
    policies = [policy for policy in policies if sum(policy.counts)]
    if not policies:
        return Markup("")
    bins = len(policies[0].counts)
    shares = [[count / sum(policy.counts) for count in policy.counts] for policy in policies]
    high = max(0.05, max(max(row) for row in shares) * 1.05)
    y = Scale(0, high, HEIGHT - BOTTOM, TOP)
    slot = (WIDTH - LEFT - RIGHT) / bins
    width = slot * 0.8 / len(policies)
    parts = [
        line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "grid")
        + text(percent_tick(tick), LEFT - 5, y(tick) + 3.5, anchor="end")
        for tick in ticks(0, high, 4)
    ]
    for index in range(bins):
        left = LEFT + slot * index
        parts.append(text(str(index), left + slot / 2, HEIGHT - BOTTOM + 14, anchor="middle"))
        for place, (policy, row) in enumerate(zip(policies, shares, strict=True)):
            of = f"{policy.counts[index]} of {sum(policy.counts)} samples"
            told = f"{policy.name}: {of} with {index}/{bins - 1} correct"
            parts.append(
                element(
                    "rect",
                    element("title", told),
                    x=round(left + slot * 0.1 + place * width, 1),
                    y=y(row[index]),
                    width=round(width - 0.8, 1),
                    height=round(HEIGHT - BOTTOM - y(row[index]), 1),
                    class_=f"bar {policy.kind}",
                )
            )
    parts += [
        _bracket(name, LEFT + slot * first, LEFT + slot * last)
        for name, first, last in (("hard", 0, 1), ("medium", 1, bins - 1), ("easy", bins - 1, bins))
        if last > first
    ]
    spoken = "; ".join(f"{p.name} {', '.join(map(str, p.counts))}" for p in policies)
    return drawing(HEIGHT, f"{label}, samples by number correct: {spoken}", *parts)


def _bracket(name: str, left: float, right: float) -> Markup:
    y = HEIGHT - BOTTOM + 21
    return line(round(left + 3, 1), y, round(right - 3, 1), y, f"bracket {name}") + text(
        name, round((left + right) / 2, 1), y + 14, anchor="middle"
    )
