"""What isolation costs: the same comparisons in this process and through one worker process, on the same core.

    .venv/bin/python tests/bench/grading_isolation.py --num-pairs 400

Both sides run the same function on the same pairs after the same warm-up, in turns, pinned to one core: in this process
one pair after the other, in the worker in batches as the probe sends them. No pair comes twice: nothing is remembered.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable, Sequence
from statistics import median

from pebr_data.grading.workers.symbolic import WARM_UP
from pebr_data.grading.workers.symbolic_child import compare
from pebr_data.grading.workers.worker import WorkerPool

FORMS: tuple[Callable[[int, int, int], tuple[str, str]], ...] = (
    lambda a, b, c: (rf"{a}\sqrt{{{b}}}+{c}", rf"\sqrt{{{a * a * b}}}+{c}"),
    lambda a, b, c: (rf"\frac{{{a}}}{{{b}}}+\frac{{1}}{{{c}}}", rf"\frac{{{a * c + b}}}{{{b * c}}}"),
    lambda a, b, c: (f"(x+{a})(x+{b})+{c}", f"x^2+{a + b}x+{a * b + c}"),
    lambda a, b, c: (rf"{a}\pi+{b}.{c}", rf"{a}\pi+{b}.{c}1"),
    lambda a, b, c: (f"y={a}x+{b * c}", f"y-{a}x={b * c}"),
    lambda a, b, c: (f"({a},{a + b}.{c})", f"({a},{a + b}.{c}0)"),
    lambda a, b, c: (rf"\{{{a},-{b},{c + 100}\}}", rf"\{{-{b},{c + 100},{a}\}}"),
    lambda a, b, c: (rf"\frac{{{a}\sqrt{{{b}}}}}{{{c}}}", rf"\frac{{{a + 1}\sqrt{{{b}}}}}{{{c}}}"),
)


def pairs(num: int, seed: int) -> list[list[str]]:
    """Distinct answers and golds, equal and not, of the shapes that are left for symbolic comparison."""
    generator = random.Random(seed)
    found: dict[tuple[str, str], None] = {}
    while len(found) < num:
        form = FORMS[len(found) % len(FORMS)]
        found[form(generator.randint(2, 99), generator.randint(2, 99), generator.randint(2, 99))] = None
    return [list(pair) for pair in found]


def rounds(all_pairs: Sequence[list[str]], batch: int, pool: WorkerPool) -> list[tuple[float, float]]:
    """Seconds for each batch in this process and in the worker, taking turns at going first."""
    timings = []
    for start in range(0, len(all_pairs), batch):
        part = all_pairs[start : start + batch]
        seconds = {}
        for side in ("here", "worker") if start // batch % 2 else ("worker", "here"):
            began = time.perf_counter()
            if side == "here":
                here = [compare(pair) for pair in part]
            else:
                there = [reply.value for reply in pool.run(part)]
            seconds[side] = time.perf_counter() - began
        assert here == there, "the two sides must give the same verdicts"
        timings.append((seconds["here"], seconds["worker"]))
    return timings


def main() -> None:
    """Prints the table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--num-pairs", type=int, default=400)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 64])
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for pair in WARM_UP:
        compare(pair)
    print("| pairs a batch | in process, /s | through a worker, /s | cost, median |\n| --- | --- | --- | --- |")
    function = "pebr_data.grading.workers.symbolic_child:compare"
    with WorkerPool(function, warm_up=WARM_UP, num_workers=1, deadline_seconds=60) as pool:
        rounds(pairs(40, seed=0), 20, pool)
        for seed, batch in enumerate(arguments.batch, 1):
            timings = rounds(pairs(arguments.num_pairs, seed), batch, pool)
            here, there = (sum(side) for side in zip(*timings, strict=True))
            cost = median(worker / own - 1 for own, worker in timings)
            num = arguments.num_pairs
            print(f"| {batch} | {num / here:.0f} | {num / there:.0f} | {100 * cost:+.1f} % |", flush=True)


if __name__ == "__main__":
    main()
