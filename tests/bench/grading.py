"""How many grades a second, beside calling math-verify for each; and whether the verdicts are the same.

    .venv/bin/python tests/bench/grading.py

A mix as datasets have it: 40 % choices and words, 40 % numbers, 20 % LaTeX; for each gold a right and a wrong answer.
Both run in this process on one core, one after the other, in rounds; the figure is the median over rounds of the ratio.
The grader's worker processes share that core, so what it asks of math-verify counts in full.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pebr_data.grading import Attempt, Gold, Grader, grade_batch
from pebr_data.grading.grade import forget
from pebr_data.types import Outcome

WORDS = ["red", "blue", "green", "circle", "square", "triangle", "bus", "bicycle", "oak", "library", "north", "kitchen"]
MARKER = "### The final answer is: "
FORMULAS = Path(__file__).parents[1] / "fixtures" / "formula_cases.jsonl"


def choices_and_words(rng: random.Random) -> tuple[Gold, str, str]:
    """A multiple-choice question, or one answered by a word."""
    options = tuple(rng.sample(WORDS, 4))
    right, wrong = rng.sample(range(4), 2)
    if rng.random() < 0.5:
        letter, other = "ABCD"[right], "ABCD"[wrong]
        form = rng.choice(["{}", "({})", "{}.", "{}. {{}}"])
        return (
            Gold(letter, "choice", options),
            form.format(letter).format(options[right]),
            form.format(other).format(options[wrong]),
        )
    form = rng.choice(["{}", "the {}", "{}.", "It is {}"])
    return Gold(options[right], "text"), form.format(options[right]), form.format(options[wrong])


def numbers(rng: random.Random) -> tuple[Gold, str, str]:
    """A whole number, a decimal, a fraction, a percentage or a measure."""
    value = rng.randint(2, 9_999)
    kind = rng.randrange(5)
    if kind == 0:
        return (
            Gold(str(value), "integer"),
            rng.choice([str(value), f"{value:,}", f"${value}$", f"{value}.0"]),
            str(value + 1),
        )
    if kind == 1:
        gold = f"{value / 100:.2f}"
        return Gold(gold, "decimal"), rng.choice([gold, f"x = {gold}", f"{gold} "]), f"{value / 100 + 0.1:.2f}"
    if kind == 2:
        bottom = rng.randint(2, 9)
        return Gold(f"{value}/{bottom}"), f"\\frac{{{value}}}{{{bottom}}}", f"\\frac{{{value}}}{{{bottom + 1}}}"
    if kind == 3:
        percent = rng.randint(1, 99)
        return Gold(f"{percent}%"), rng.choice([f"{percent}%", f"{percent} percent"]), f"{percent + 1}%"
    return Gold(f"{value} cm"), rng.choice([f"{value} cm", f"{value}cm", str(value)]), f"{value + 3} cm"


def formulas(rng: random.Random) -> tuple[Gold, str, str]:
    """A gold in LaTeX with an equal and an unequal answer, out of the fixture."""
    row = rng.choice(FORMULA_CASES)
    return Gold(row["gold"]), rng.choice(row["right"]), rng.choice(row["wrong"])


FORMULA_CASES = [
    row
    for line in FORMULAS.read_text(encoding="utf-8").splitlines()
    if "\\" in (row := json.loads(line))["gold"] and row["right"] and row["wrong"]
]
MIX: tuple[tuple[float, str, Callable[[random.Random], tuple[Gold, str, str]]], ...] = (
    (0.4, "choices and words", choices_and_words),
    (0.4, "numbers", numbers),
    (0.2, "LaTeX", formulas),
)


def workload(size: int, seed: int) -> list[tuple[str, Gold, str, bool]]:
    """Kind, gold, answer and whether it is right, `size` of them in random order."""
    rng = random.Random(seed)
    cases: list[tuple[str, Gold, str, bool]] = []
    for share, kind, draw in MIX:
        for _ in range(round(size * share / 2)):
            gold, right, wrong = draw(rng)
            cases += [(kind, gold, right, True), (kind, gold, wrong, False)]
    rng.shuffle(cases)
    return cases


def by_pebr(cases: list[tuple[str, Gold, str, bool]], batch_size: int) -> list[bool | None]:
    """Verdicts of `grade_batch`, in batches as a probe's merges and a reward's calls have them, none remembered."""
    verdicts: list[bool | None] = []
    grader = Grader()
    for start in range(0, len(cases), batch_size):
        attempts = [Attempt(MARKER + answer, gold) for _, gold, answer, _ in cases[start : start + batch_size]]
        forget()
        for grade in grade_batch(attempts, grader):
            verdicts.append({Outcome.CORRECT: True, Outcome.WRONG: False}.get(grade.outcome))
    return verdicts


def by_math_verify(cases: list[tuple[str, Gold, str, bool]]) -> list[bool | None]:
    """Verdicts of math-verify, formulas given to it as formulas; None where it finds nothing to compare."""
    from math_verify import parse, verify

    def read(text: str) -> Any:
        return parse(f"${text}$" if "\\" in text and "$" not in text else text, parsing_timeout=None)

    pairs = ((read(gold.answer), read(answer)) for _, gold, answer, _ in cases)
    return [verify(meant, said, timeout_seconds=None) if meant and said else None for meant, said in pairs]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1000, help="grades in a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=256, help="grades asked for at once (default: %(default)s)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # math-verify warns at every call that its own timeouts are off
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for warm in (by_math_verify, lambda cases: by_pebr(cases, arguments.batch_size)):
        warm(workload(100, seed=10_000))
    speeds: list[tuple[float, float]] = []
    kinds: Counter[tuple[str, str]] = Counter()
    for seed in range(arguments.rounds):
        cases = workload(arguments.size, seed)
        started = time.perf_counter()
        ours = by_pebr(cases, arguments.batch_size)
        between = time.perf_counter()
        theirs = by_math_verify(cases)
        ended = time.perf_counter()
        speeds.append((len(cases) / (between - started), len(cases) / (ended - between)))
        for (kind, _, _, right), our, their in zip(cases, ours, theirs, strict=True):
            kinds[kind, "cases"] += 1
            kinds[kind, "ours right"] += our is right
            kinds[kind, "theirs right"] += their is right
            kinds[kind, "theirs none"] += their is None
            kinds[kind, "both"] += their is not None
            kinds[kind, "same"] += their is not None and their is our
    print(f"{'':20} {'pebr':>12} {'math-verify':>12} {'ratio':>8}")
    for number, (our_speed, their_speed) in enumerate(speeds, start=1):
        print(
            f"{f'round {number}, grades/s':20} {our_speed:12,.0f} {their_speed:12,.0f} {our_speed / their_speed:8.1f}"
        )
    ratio = statistics.median(our_speed / their_speed for our_speed, their_speed in speeds)
    print(f"{'median':20} {'':12} {'':12} {ratio:8.1f}\n")
    print(f"{'':20} {'cases':>7} {'pebr right':>11} {'math-verify right':>18} {'no verdict':>11} {'same verdict':>13}")
    for _, kind, _ in MIX:
        row = {
            name: kinds[kind, name] for name in ("cases", "ours right", "theirs right", "theirs none", "both", "same")
        }
        print(
            f"{kind:20} {row['cases']:7,} {row['ours right'] / row['cases']:11.1%} "
            f"{row['theirs right'] / row['cases']:18.1%} {row['theirs none'] / row['cases']:11.1%} "
            f"{row['same'] / max(row['both'], 1):13.1%}"
        )


if __name__ == "__main__":
    main()
