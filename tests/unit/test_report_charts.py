"""Charts: they draw what they are given, say it to those who do not see it, and never break the page."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_train.intervals import Estimate
from pebr_train.report.curve import curve, running_mean
from pebr_train.report.difficulty import correct_counts, skill_bands
from pebr_train.report.forest import Mark, Row, forest
from pebr_train.report.histogram import Counts, histogram
from pebr_train.report.svg import element, fitted, number, percent, ticks
from pebr_train.report.training import read_log, stage_charts

finite = st.floats(-1e6, 1e6, allow_subnormal=False)


def numbers_in(svg: str) -> list[float]:
    """Every coordinate of a drawing."""
    found = []
    for node in ET.fromstring(svg).iter():
        for key in ("x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "width", "height"):
            if key in node.attrib:
                found.append(float(node.attrib[key]))
        found += [float(part) for pair in node.attrib.get("points", "").split() for part in pair.split(",")]
    return found


@given(st.lists(st.tuples(st.integers(0, 500), finite), min_size=1, max_size=40, unique_by=lambda point: point[0]))
def test_a_curve_of_any_finite_values_is_well_formed_and_within_its_box(points: list[tuple[int, float]]) -> None:
    drawn = numbers_in(curve(sorted(points), label="x"))
    assert all(math.isfinite(value) and -20 <= value <= 360 for value in drawn)


def test_a_curve_says_where_it_begins_and_ends() -> None:
    svg = ET.fromstring(curve([(1, 0.25), (2, 0.5)], label="accuracy"))
    assert svg.attrib["aria-label"] == "accuracy: 0.25 at step 1, 0.5 at step 2"


def test_nothing_is_drawn_of_nothing() -> None:
    assert curve([], label="x") == forest([], label="x") == histogram([], label="x") == ""
    assert histogram([Counts("base", "before", (0, 0, 0))], label="x") == ""


def test_small_noise_does_not_look_like_a_trend() -> None:
    low, high = fitted([0.50, 0.51], least_span=0.2, within=(0, 1))
    assert high - low == pytest.approx(0.2)
    assert low < 0.5 < 0.51 < high


@given(st.lists(st.floats(0, 1), min_size=1), st.floats(0.01, 1))
def test_a_domain_holds_every_value_and_stays_inside(values: list[float], span: float) -> None:
    low, high = fitted(values, least_span=span, within=(0.0, 1.0))
    assert 0 <= low <= min(values) <= max(values) <= high <= 1
    assert high - low >= min(span, 1) * 0.999


@given(finite, st.floats(1e-3, 1e6))
def test_ticks_lie_within_and_are_few(low: float, span: float) -> None:
    high = low + span
    found = ticks(low, high)
    assert 1 <= len(found) <= 9
    assert all(low - span * 1e-6 <= tick <= high + span * 1e-6 for tick in found)


def test_the_running_mean_looks_back_only() -> None:
    assert running_mean([1.0, 3.0, 5.0, 7.0], 2) == [1.0, 2.0, 4.0, 6.0]


def test_bars_are_as_high_as_the_shares() -> None:
    svg = ET.fromstring(histogram([Counts("a", "before", (1, 3, 0)), Counts("b", "after", (2, 2, 0))], label="x"))
    bars = [node for node in svg if node.attrib.get("class", "").startswith("bar")]
    heights = [float(bar.attrib["height"]) for bar in bars]
    assert heights[2] / heights[0] == pytest.approx(3, rel=0.01)
    assert heights[1] == pytest.approx(heights[3])
    assert heights[4:] == [0, 0]


def test_marks_say_their_interval() -> None:
    row = Row("base", (Mark("mean", "before", Estimate(0.5, 0.4, 0.6, 100)),))
    title = ET.fromstring(forest([row], label="Pass@1")).find(".//g/title")
    assert title is not None
    assert title.text == f"base, mean: {percent(0.5, 1)} ({percent(0.4, 1)} to {percent(0.6, 1)}), 100 samples"


def test_text_and_attributes_are_escaped() -> None:
    assert element("text", "<b>", class_='"><script>') == '<text class="&#34;&gt;&lt;script&gt;">&lt;b&gt;</text>'


def test_numbers_are_short() -> None:
    assert [number(value) for value in (0, 0.12345, -2.5, 12345.6, 1e-7)] == [
        "0",
        "0.123",
        "\N{MINUS SIGN}2.5",
        "1.23e+04",
        "1.0e\N{MINUS SIGN}07",
    ]


def rates(*rows: tuple[str, int, str | None]) -> pl.DataFrame:
    """Pass rates of complete groups of eight, but for `unprobed`."""
    table = pl.DataFrame(rows, schema=["band", "num_correct", "skill"], orient="row")
    return table.with_columns(pass_rate=pl.when(pl.col("band") != "unprobed").then(pl.col("num_correct") / 8))


def test_a_sample_that_was_stopped_early_has_a_band_and_is_in_no_bar() -> None:
    table = rates(("easy", 8, "a"), ("medium", 1, "a")).with_columns(pass_rate=pl.Series([1.0, None]))
    assert correct_counts("base", "before", table, 8).counts == (0,) * 8 + (1,)
    assert skill_bands([("base", "before", table)])[0].policies[0].medium == 1


def test_incomplete_groups_are_in_no_bar_and_no_band() -> None:
    table = rates(("easy", 8, "a"), ("medium", 3, "b"), ("unprobed", 0, "a"), ("hard", 0, "b"))
    assert correct_counts("base", "before", table, 8).counts == (1, 0, 0, 1, 0, 0, 0, 0, 1)
    rows = {row.skill: row.policies[0] for row in skill_bands([("base", "before", table)])}
    assert [(rows[s].hard, rows[s].medium, rows[s].easy) for s in ("all", "a", "b")] == [
        (1, 1, 1),
        (0, 0, 1),
        (1, 1, 0),
    ]


def test_a_log_cut_short_by_a_kill_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 1, "reward": 0.5, "rewards/format/mean": 1.0, "rewards/format/zero_variance_share": 0.75}\n'
        '{"step": 2, "reward": null, "rewards/format/mean": NaN}\n{"step": 3, "rew'
    )
    log = read_log(path)
    assert log.rewards == ["format"]
    assert log.points("reward") == [(1.0, 0.5)]
    charts = stage_charts("reasoning", log, {"format": 0.1})
    assert [component.name for component in charts.components] == ["reward", "format"]
    assert [component.weight for component in charts.components] == [None, 0.1]
    assert [bool(component.zero_variance) for component in charts.components] == [False, True]
    assert charts.num_steps == 2


def test_a_stage_without_metrics_has_no_charts(tmp_path: Path) -> None:
    charts = stage_charts("reasoning", read_log(tmp_path / "metrics.jsonl"), {})
    assert (charts.components, charts.others, charts.num_steps) == ((), (), 0)
