from __future__ import annotations

import io

from pebr_data.cli.progress import duration, progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_there_is_one_plain_line_an_interval() -> None:
    stream, clock = io.StringIO(), Clock()

    with progress("probe", "rollouts", stream=stream, clock=clock) as update:
        for second in range(61):
            clock.now = float(second)
            update(1000 + second * 100, 10_000)

    assert stream.getvalue().splitlines() == [
        "probe: 4,000/10,000 rollouts, 100/s, 1 min 00 s left",
        "probe: 7,000/10,000 rollouts, 100/s, 30 s left",
    ]


def test_an_unknown_total_gives_no_remaining_time() -> None:
    stream, clock = io.StringIO(), Clock()

    with progress("build", "samples", stream=stream, clock=clock) as update:
        update(0)
        clock.now = 40.0
        update(20, note="source shapes")

    assert stream.getvalue() == "build: 20 samples, 0.5/s, source shapes\n"


def test_a_short_command_says_nothing_on_a_plain_stream() -> None:
    stream, clock = io.StringIO(), Clock()
    with progress("select", "samples", stream=stream, clock=clock) as update:
        update(10, 10)
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_with_count_and_unit() -> None:
    stream = Terminal()
    with progress("probe", "rollouts", stream=stream) as update:
        update(3, 10)
        update(10, 10)
    assert "probe" in stream.getvalue()
    assert "10/10" in stream.getvalue()


def test_durations_read_well() -> None:
    assert [duration(s) for s in (0, 59.6, 61, 3600, 7500)] == [
        "0 s",
        "1 min 00 s",
        "1 min 01 s",
        "1 h 00 min",
        "2 h 05 min",
    ]
