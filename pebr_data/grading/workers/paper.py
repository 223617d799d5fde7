r"""The released scripts' rule, to the letter, so that their bands can be reproduced: not a rule to grade by.

The answer is what stands on the line of `### The final answer is:`, or the *whole response* when the marker is missing;
stripped, it is compared with the gold by mathruler 0.1.0's `grade_answer`. mathruler uses sympy and `eval`, and may
hang, so it runs in the worker processes of `worker.py`; what the released scripts would hang on has no verdict here.

Its known mistakes, each pinned in `tests/integration/test_grading_paper.py`:

* right answers it rejects: `B. 30°` and `b)` for `B`; the option's text for its letter; `two` for `2`; `50%` for `0.5`;
  `50°` for `50`; `1:2` and `2/4` for `1/2`; `x=5.` for `5`; `10^2` for `100`; `0.333` for `1/3`; an answer on the line
  after the marker; a sentence around the answer; a response without the marker, however clearly it ends;
* wrong answers it accepts: `50%` for `50`; `5 cm` for `5 meter`; `x=7` for `7` whatever was asked; `b` for `B`, where
  case tells two points apart;
* units go wherever their letters stand: `Monday` is `Mon`, `today` is `to`;
* "wrong" is also what it says of an answer that it failed on.

Deviations: a text of more than `MAX_CHARS` characters and one it takes longer for than the deadlines have no verdict
(`equal` None) instead of stalling; what it would hand to `eval` with a string or an attribute in it is wrong
unevaluated. Where the marker stands more than once, the first counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from pebr_data.grading.sections import MAX_CHARS
from pebr_data.grading.workers.symbolic import SymbolicVerdict, verdict_of
from pebr_data.grading.workers.worker import WorkerPool

MARKER = "### The final answer is:"

_POOL = WorkerPool("pebr_data.grading.workers.paper_child:compare", warm_up=[[r"\frac{1}{3}", "x+1"], ["2x+1", "1+2x"]])


def paper_answer(completion: str) -> str:
    """What the released scripts take for the answer: the rest of the first marker's line, else the whole completion."""
    _, marker, after = completion.partition(MARKER)
    return (after.partition("\n")[0] if marker else completion).strip()


def paper_equal(answer: str, gold: str, *, pool: WorkerPool | None = None) -> SymbolicVerdict:
    """Whether mathruler 0.1.0 calls an answer right.

    Raises:
        UnavailableError: No worker process can be started.
    """
    return paper_equal_many([(answer, gold)], pool=pool)[0]


def paper_equal_many(pairs: Sequence[tuple[str, str]], *, pool: WorkerPool | None = None) -> list[SymbolicVerdict]:
    """One verdict for each pair of an answer and a gold, in order; equal pairs are asked once.

    Raises:
        UnavailableError: No worker process can be started.
    """
    asked = [pair for pair in dict.fromkeys(pairs) if max(map(len, pair)) <= MAX_CHARS]
    replies = (pool or _POOL).run([list(pair) for pair in asked])
    verdicts = {pair: verdict_of(reply) for pair, reply in zip(asked, replies, strict=True)}
    too_long = SymbolicVerdict(None, f"it is longer than {MAX_CHARS} characters", "refused")
    return [verdicts.get(pair, too_long) for pair in pairs]
