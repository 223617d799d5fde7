r"""Comparing two expressions with math-verify; runs only inside a worker of `worker.py`, which bounds it.

Texts are read by math-verify's LaTeX parser (an ANTLR grammar: no Python is made from them and none evaluated) as one
expression each, never searched for one. math-verify's other reader, for plain expressions, goes through `eval`, and its
search finds the 7 in "not 7": neither is used. Differences from its defaults, each because they accept too much:

* units are dropped only where they are marked as text or are of a short list (its list holds `c`, `d`, `bc`, `ab`: `3d`
  would equal `3t`), and two different units are not equal;
* letters keep their case where a text uses both cases of one (its way, `R^2-r^2` is 0); otherwise `X` is `x`;
* an equation equals a value only if it says that value (`x=5`, `2+3=5`), not if it ends in it (`x+2=5`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import math_verify.grader as verifier
from latex2sympy2_extended import NormalizationConfig, latex2sympy, normalize_latex
from latex2sympy2_extended.latex2sympy2 import ConversionConfig
from sympy import Basic, Expr, MatrixBase, Symbol
from sympy.core.random import seed

from pebr_data.grading.workers.latex import FUNCTIONS, as_latex

_NORMAL = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all", equations=False
)
_TEXT_COMMAND = r"\\(?:text|mathrm|textrm|mbox|mathit|rm)"
_UNITS = "cm|mm|km|dm|kg|mg|ml|meters?|metres?|feet|ft|inch(?:es)?|units?|degrees?|radians?|rad|square units?"
_UNIT = re.compile(
    rf"(?:{_TEXT_COMMAND}[ ]*\{{([^{{}}]*)\}}|(?<![a-zA-Z\\])[ ]*({_UNITS}))[ ]*(\^[ ]*(?:\d|\{{\d\}}))?[ ]*\.?$"
)
_COMMAND = re.compile(rf"{_TEXT_COMMAND}[ ]*\{{[^{{}}]*\}}|\\begin\{{\w+\}}|\\end\{{\w+\}}|\\[a-zA-Z]+")
_WORD = re.compile(r"[a-zA-Z]{4,}|(?<!\S)[a-zA-Z]{3}(?!\S)")
_MATHEMATICAL = re.compile(r"[^a-zA-Z\s.,;:!?'()-]")
_APART = re.compile(r"(?<![_\d])\d+[ ]+\d")
_LOST: list[str] = []
"""Names of the errors that math-verify swallowed in the comparison that runs."""


class _Unreadable(Exception):
    """A text that is not one expression; the message says why."""


def compare(request: list[str]) -> list[Any]:
    """Whether an answer equals a gold, and why: `[True or False, reason]`, or `[None, reason, "unparsed"]`.

    Args:
        request: The answer and the gold.
    """
    answer, gold = request
    return list(_compare(answer, gold))


@lru_cache(maxsize=4_096)
def _compare(answer: str, gold: str) -> tuple[bool | None, str] | tuple[None, str, str]:
    if not _MATHEMATICAL.search(answer) and not _MATHEMATICAL.search(gold):
        return None, "neither has numbers or operators: they are words", "unparsed"
    keep_case = _has_both_cases(answer) or _has_both_cases(gold)
    sides = []
    for name, text in (("gold", gold), ("answer", answer)):
        try:
            sides.append(_read(text, keep_case))
        except _Unreadable as error:
            return None, f"the {name} is not an expression: {error}", "unparsed"
    (meant, unit), (said, other_unit) = sides
    if unit and other_unit and unit != other_unit:
        return False, f"the units differ: {other_unit}, {unit}"
    seed(0)
    _LOST.clear()
    equal = _equal(meant, said)
    if not equal and _LOST:
        raise MemoryError if "MemoryError" in _LOST else RecursionError("the comparison went too deep")
    return equal, "symbolically equal" if equal else "not symbolically equal"


def _equal(gold: Any, answer: Any) -> bool:
    """math-verify's verdict, asked the way round that does not depend on which side holds an equation."""
    if verifier.is_equation(gold) and not verifier.is_equation(answer):
        gold, answer = answer, gold
    if verifier.is_equation(answer) and not verifier.is_equation(gold):
        left, right = verifier.take_first_relation(answer).lhs, verifier.take_last_relation(answer).rhs
        if not verifier.is_expr_of_only_symbols(left) and (left.free_symbols or not _verify(right, left)):
            return False
    if _verify(gold, answer):
        return True
    # math-verify compares a lone symbol by its name only.
    lone = (
        isinstance(gold, Symbol) != isinstance(answer, Symbol) and isinstance(gold, Expr) and isinstance(answer, Expr)
    )
    return lone and bool(gold.free_symbols & answer.free_symbols) and verifier.sympy_symbolic_eq(gold, answer)


def _verify(gold: Any, answer: Any) -> bool:
    return bool(verifier.verify(gold, answer, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True))


@lru_cache(maxsize=4_096)
def _read(text: str, keep_case: bool) -> tuple[Any, str]:
    """The expression a text states, and its unit, "" if it has none.

    Raises:
        _Unreadable: It states none, or more than one.
    """
    latex, unit = _split_unit(as_latex(text))
    bare = _COMMAND.sub("~", latex)
    if any(word not in FUNCTIONS and word not in ("and", "or") for word in _WORD.findall(bare)):
        raise _Unreadable("it has words")
    if _APART.search(bare):
        raise _Unreadable("it has numbers side by side")
    try:
        normal = normalize_latex(latex, config=_NORMAL)
        expression = latex2sympy(
            normal,
            is_real=not verifier.should_treat_as_complex(normal),
            normalization_config=None,
            conversion_config=ConversionConfig(lowercase_symbols=not keep_case),
        )
    except MemoryError:
        raise
    except Exception as error:
        raise _Unreadable(str(error).partition("\n")[0][:80] or type(error).__name__) from error
    if not isinstance(expression, Basic | MatrixBase):
        raise _Unreadable(f"it is a {type(expression).__name__}")
    return expression, unit


def _split_unit(latex: str) -> tuple[str, str]:
    """The expression before its unit, and the unit in one spelling; a text that is all unit keeps it."""
    match = _UNIT.search(latex)
    before = latex[: match.start()].strip() if match else ""
    if match is None or not before:
        return latex, ""
    name = re.sub("[^a-z]", "", (match[1] or match[2] or "").casefold())
    return before, name + re.sub(r"\D", "", match[3] or "")


def _has_both_cases(text: str) -> bool:
    letters = set(_COMMAND.sub("~", text))
    return any(letter.swapcase() in letters for letter in letters if letter.isalpha())


def _noting_lost_errors(simplify: Any) -> Any:
    """`simplify`, with the errors that its caller takes for "not equal" written down in `_LOST`."""

    def noting(*arguments: Any) -> Any:
        try:
            return simplify(*arguments)
        except (MemoryError, RecursionError) as error:
            _LOST.append(type(error).__name__)
            raise

    return noting


verifier.simplify = _noting_lost_errors(verifier.simplify)
