"""Comparing an answer and a gold with mathruler; runs only inside a worker of `worker.py`, which bounds it.

mathruler hands what it cannot decide by text to `sympy`'s `parse_expr`, which is Python's `eval`, behind a check that
counts letters only: a string literal of octal escapes passes it, and sympy evaluates strings once more. `_parse` stands
in front of it: a text with a string, an attribute or a dunder name raises, which mathruler takes for "not equal", as it
takes every error. Honest answers that look so (`A'B'`, `A.B`) are no Python, hence not equal by its rule either.
"""

from __future__ import annotations

import io
import tokenize
from typing import Any

from mathruler import grader

_parse_with_sympy = grader._sympy_parse
_STRINGS = {tokenize.STRING, getattr(tokenize, "FSTRING_START", tokenize.STRING)}
_REFUSED: list[str] = []
"""What was refused in the comparison that runs."""


def compare(request: list[str]) -> list[Any]:
    """The verdict of mathruler on an answer: `[True or False, reason]`.

    Args:
        request: The answer and the gold.
    """
    answer, gold = request
    _REFUSED.clear()
    equal = bool(grader.grade_answer(answer, gold))
    if not equal and _REFUSED:
        return [False, f"not evaluated, hence wrong: {_REFUSED[0]}"]
    return [equal, "mathruler calls it right" if equal else "mathruler calls it wrong"]


def _parse(text: str) -> Any:
    """What sympy reads in a text of numbers, names and operators.

    Raises:
        ValueError: It holds a string, an attribute or a dunder name.
    """
    for token in tokenize.generate_tokens(io.StringIO(text.replace("^", "**").strip()).readline):
        open_string = token.type == tokenize.ERRORTOKEN and token.string[0] in "'\"\\"
        if token.type in _STRINGS or open_string or token.string == "." or "__" in token.string:
            _REFUSED.append(f"it holds {token.string[:20]!r}")
            raise ValueError(_REFUSED[-1])
    return _parse_with_sympy(text)


grader._sympy_parse = _parse
