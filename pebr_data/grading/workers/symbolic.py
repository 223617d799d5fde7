r"""Whether two expressions are equal, decided by math-verify in a worker process that may be killed.

    symbolic_equal(r"\sqrt{12}", r"2\sqrt{3}")    # SymbolicVerdict(equal=True, reason="symbolically equal")
    symbolic_equal("a circle", r"2\sqrt{3}")      # equal=None, failure="unparsed"

About a millisecond for each: decide what is cheap before asking. `symbolic_equal_many` keeps several workers busy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pebr_data.grading.workers.batch import Reply
from pebr_data.grading.workers.guard import refusal
from pebr_data.grading.workers.worker import WorkerPool

NoVerdict = Literal["refused", "unparsed", "timeout", "memory", "crash", "error"]
"""Why there is no verdict: not to be evaluated at all, not an expression, out of time, out of memory, the worker died,
the library raised."""

WARM_UP: list[list[str]] = [
    [r"\frac{\sqrt{3}}{2}+x^2", r"\frac{3+y}{4}"],
    [r"2\pi r \cdot \sin(30^{\circ})", r"-0.5\times 10^{-3}|x-1|"],
    [r"(1,2]\cup[3,\infty)", r"\{1,2\}"],
    ["x=5", "1<x \\le 2"],
    ["(1,2)", "y=2x+1"],
    [r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\log_2 8"],
    ["(x+1)^2", "x^2+2x+1"],
    ["50%", "f(x)=5!"],
]
_POOL = WorkerPool("pebr_data.grading.workers.symbolic_child:compare", warm_up=WARM_UP)


@dataclass(frozen=True, slots=True)
class SymbolicVerdict:
    """Whether an answer equals the gold, or why nobody can say.

    Args:
        equal: The verdict, None when there is none.
        reason: A clause on either.
        failure: Which kind of no verdict it is; None exactly when there is one.
    """

    equal: bool | None
    reason: str
    failure: NoVerdict | None = None


def symbolic_equal(answer: str, gold: str, *, pool: WorkerPool | None = None) -> SymbolicVerdict:
    """Whether an answer and a gold are the same expression, set, interval, equation or matrix.

    Raises:
        UnavailableError: No worker process can be started.
    """
    return symbolic_equal_many([(answer, gold)], pool=pool)[0]


def symbolic_equal_many(pairs: Sequence[tuple[str, str]], *, pool: WorkerPool | None = None) -> list[SymbolicVerdict]:
    """One verdict for each pair of an answer and a gold, in order; equal pairs are asked once.

    Args:
        pairs: Answers and golds; what must not be evaluated is refused here.
        pool: The workers to ask, if not the ones everybody shares.

    Raises:
        UnavailableError: No worker process can be started.
    """
    verdicts: dict[tuple[str, str], SymbolicVerdict] = {}
    asked = []
    for pair in dict.fromkeys(pairs):
        problem = _problem(*pair)
        if problem is None:
            asked.append(pair)
        else:
            verdicts[pair] = SymbolicVerdict(None, problem, "refused")
    replies = (pool or _POOL).run([list(pair) for pair in asked])
    verdicts |= {pair: verdict_of(reply) for pair, reply in zip(asked, replies, strict=True)}
    return [verdicts[pair] for pair in pairs]


def _problem(answer: str, gold: str) -> str | None:
    for name, text in (("answer", answer), ("gold", gold)):
        problem = refusal(text)
        if problem is not None:
            return f"the {name} is not evaluated: {problem}"
    return None


def verdict_of(reply: Reply) -> SymbolicVerdict:
    """A worker's reply as a verdict."""
    if reply.failure is not None:
        return SymbolicVerdict(None, reply.detail, reply.failure)
    equal, reason, *failure = reply.value
    return SymbolicVerdict(equal, reason, failure[0] if failure else None)
