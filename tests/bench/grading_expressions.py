"""Formulas and structures: verdicts and grades a second, beside math-verify on the same pairs in the same run.

    .venv/bin/python tests/bench/grading_expressions.py

The pairs are `tests/fixtures/formula_cases.jsonl`, each with the verdict of a careful human, written beside the code
and so no measure of how often pebr is right elsewhere. Needs `math-verify`. Seconds are this process's CPU time. Every
pair is graded once and nothing is remembered from one to the next; `golds known` leaves pebr its memory of golds and
answers it has read, as in a probe that grades several rollouts of a sample.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from math_verify import parse, verify

from pebr_data.grading.formulas.expressions import compare_expressions
from pebr_data.grading.formulas.forms import form_of
from pebr_data.grading.formulas.formula import parse_formula
from pebr_data.grading.formulas.structures import compare_structures

FIXTURE = Path(__file__).parents[1] / "fixtures" / "formula_cases.jsonl"


class Pair(NamedTuple):
    """An answer, its gold, the gold's declared type, and a careful human's verdict."""

    answer: str
    gold: str
    answer_type: str | None
    correct: bool


def pairs() -> list[Pair]:
    """Every pair of the fixture, those left open included."""
    found = []
    for line in FIXTURE.read_text().splitlines():
        case = json.loads(line)
        for correct, word in ((True, "right"), (False, "wrong")):
            for answer in (*case[word], *case.get(f"{word}_left_open", ())):
                found.append(Pair(answer, case["gold"], case.get("answer_type"), correct))
    return found


def equal(answer: str, gold: str) -> bool | None:
    """How the elements of a structure are compared here."""
    found = compare_expressions(answer, gold)
    return None if found is None else found.equal


def pebr(pair: Pair) -> bool | None:
    """The cheap verdict."""
    found = compare_structures(pair.answer, pair.gold, equal, pair.answer_type)
    found = found or compare_expressions(pair.answer, pair.gold)
    return None if found is None else found.equal


def pebr_from_scratch(pair: Pair) -> bool | None:
    """The cheap verdict, with nothing remembered."""
    parse_formula.cache_clear()
    form_of.cache_clear()
    return pebr(pair)


def math_verify(pair: Pair) -> bool | None:
    """The verdict of math-verify, None when it reads one of the two as nothing."""
    gold, answer = (parse(f"${text}$", parsing_timeout=None) for text in (pair.gold, pair.answer))
    return verify(gold, answer, timeout_seconds=None) if gold and answer else None


def timed(grade: Callable[[Pair], bool | None], todo: list[Pair]) -> tuple[list[bool | None], list[float]]:
    """The verdicts, and the seconds each took."""
    verdicts, seconds = [], []
    for pair in todo:
        started = time.process_time()
        verdicts.append(grade(pair))
        seconds.append(time.process_time() - started)
    return verdicts, seconds


def main() -> None:
    """Prints the table, then every pair on which the two disagree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    logging.disable()
    todo = pairs()
    for warm in (pebr_from_scratch, math_verify):
        timed(warm, todo[:20])
    theirs, their_seconds = timed(math_verify, todo)
    rows = [("math-verify", theirs, their_seconds)]
    rows += [("pebr", *timed(pebr_from_scratch, todo)), ("pebr, golds known", *timed(pebr, todo))]
    print(f"{len(todo)} pairs\n\n| grader | decided | of these right | grades/s | median µs | times math-verify |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, verdicts, seconds in rows:
        decided = [found == pair.correct for found, pair in zip(verdicts, todo, strict=True) if found is not None]
        speed, times = len(todo) / sum(seconds), sum(their_seconds) / sum(seconds)
        print(
            f"| {name} | {len(decided) / len(todo):.1%} | {sum(decided) / len(decided):.1%} | {speed:,.0f}"
            f" | {1e6 * median(seconds):,.0f} | {times:.1f} |"
        )
    ours = rows[1][1]
    both = [(p, a, b) for p, a, b in zip(todo, ours, theirs, strict=True) if a is not None and b is not None]
    apart = [(pair, a) for pair, a, b in both if a != b]
    print(f"\nboth decide {len(both)}; they disagree on {len(apart)} ({len(apart) / len(both):.1%}):\n")
    print("| answer | gold | pebr | right |\n| --- | --- | --- | --- |")
    for pair, a in apart:
        shown = [f"`{text}`".replace("|", "\\|") for text in (pair.answer, pair.gold)]
        print(f"| {shown[0]} | {shown[1]} | {a} | {'pebr' if a == pair.correct else 'math-verify'} |")


if __name__ == "__main__":
    main()
