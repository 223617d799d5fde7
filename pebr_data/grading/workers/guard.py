r"""What must not be evaluated at all, told from the text in one pass before a worker is asked.

    refusal(r"9^{9^{9}}")     -> "a power in the exponent of a number"
    refusal(r"e^{-x^2}")      -> None

This saves the seconds a deadline costs, it does not replace it: what passes may still hang, and is then killed.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

MAX_CHARS = 1_000
"""Characters of an expression; the longest golds of the usual datasets have about 200."""
MAX_DEPTH = 50
"""Brackets open at once; deeper ones exhaust the parser's stack."""
MAX_DIGITS = 50
"""Digits of one number."""
MAX_EXPONENT = 1_000
"""The largest whole number in an exponent."""
MAX_FACTORIAL = 1_000
"""The largest number whose factorial is taken."""
MAX_EXPONENT_LEVELS = 2
"""Exponents within exponents: `e^{-x^2}` has two."""

_OPENING = "([{"
_CLOSING = ")]}"


@dataclass(slots=True)
class _Group:
    """What a pair of brackets, or the whole text, has held so far."""

    level: int
    """Exponents around it, itself included if it is one."""
    is_exponent: bool = False
    has_variable: bool = False
    has_power: bool = False
    has_factorial: bool = False
    largest: int = 0
    """The largest whole number in it."""

    def absorb(self, inner: _Group) -> None:
        """Takes over what a group inside it held."""
        self.has_variable |= inner.has_variable
        self.has_power |= inner.has_power
        self.has_factorial |= inner.has_factorial
        self.largest = max(self.largest, inner.largest)


def refusal(text: str) -> str | None:
    """Why this text must not be handed to a symbolic library, or None when it may; linear in its length."""
    if not text.strip():
        return "it is empty"
    if len(text) > MAX_CHARS:
        return f"it is longer than {MAX_CHARS} characters"
    if any(unicodedata.category(char)[0] == "C" for char in text if char not in "\t\n\r"):
        return "it has control or invisible characters"
    return _Scan(text.replace("**", "^")).run()


class _Scan:
    """One pass over a text, with a stack of the brackets that are open."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._stack = [_Group(0)]
        self._raising = False
        """Whether what comes next is an exponent."""
        self._raised = False
        """Whether what came last was an exponent."""
        self._last = _Group(0)
        """What came last: a closed group or a number."""

    def run(self) -> str | None:
        """The first thing found that must not be evaluated."""
        while self._at < len(self._text):
            char = self._text[self._at]
            if char.isspace() or (self._raising and char in "+-\N{MINUS SIGN}"):
                self._at += 1
                continue
            problem = self._step(char)
            if problem is not None:
                return problem
        return None

    def _step(self, char: str) -> str | None:
        here = self._stack[-1]
        if char == "^":
            return self._power(here)
        if char == "!":
            return self._factorial(here)
        raising, self._raising, self._raised = self._raising, False, False
        if char in _OPENING:
            self._at += 1
            self._stack.append(_Group(here.level + raising, is_exponent=raising))
            return "brackets are nested too deeply" if len(self._stack) > MAX_DEPTH else None
        if char in _CLOSING:
            self._at += 1
            return self._close()
        if char.isdigit():
            return self._number(here, raising)
        if char == "\\":
            self._command(here)
        else:
            self._at += 1
            here.has_variable |= char.isalpha()
        self._raised = raising
        self._last = _Group(here.level)
        return None

    def _power(self, here: _Group) -> str | None:
        if self._raised:
            return "a power of a power without brackets"
        if here.level + 1 > MAX_EXPONENT_LEVELS:
            return "a tower of powers"
        if self._last.has_power and not self._last.has_variable and self._last.largest > 9:
            return "a power of a large power"
        here.has_power = self._raising = True
        self._at += 1
        return None

    def _factorial(self, here: _Group) -> str | None:
        self._at += 1
        if self._text[self._at : self._at + 1] == "=":
            return None
        if self._last.has_factorial or self._last.has_power:
            return "a factorial of a factorial or of a power"
        if self._last.largest > MAX_FACTORIAL:
            return f"a factorial of a number over {MAX_FACTORIAL}"
        here.has_factorial = self._last.has_factorial = True
        return None

    def _close(self) -> str | None:
        if len(self._stack) == 1:
            return None
        group = self._stack.pop()
        if group.is_exponent and group.has_power and not group.has_variable:
            return "a power in the exponent of a number"
        self._stack[-1].absorb(group)
        self._raised, self._last = group.is_exponent, group
        return None

    def _number(self, here: _Group, raising: bool) -> str | None:
        start = self._at
        while self._at < len(self._text) and self._text[self._at].isdigit():
            self._at += 1
        if self._at - start > MAX_DIGITS:
            return f"a number of more than {MAX_DIGITS} digits"
        if not self._text[start : self._at].isdecimal():
            self._last = _Group(here.level)
            return None
        value = 0 if self._text[start - 1 : start] == "." else int(self._text[start : self._at])
        if value > MAX_EXPONENT and (raising or here.level):
            return f"an exponent over {MAX_EXPONENT}"
        here.largest = max(here.largest, value)
        self._raised = raising
        self._last = _Group(here.level, largest=value)
        return None

    def _command(self, here: _Group) -> None:
        """Skips a LaTeX command, without its arguments."""
        self._at += 1
        start = self._at
        while self._at < len(self._text) and self._text[self._at].isascii() and self._text[self._at].isalpha():
            self._at += 1
        if self._at == start:
            self._at += 1
            return
        here.has_variable |= self._text[start : self._at] in _VARIABLES


_VARIABLES = frozenset({"alpha", "beta", "gamma", "delta", "theta", "lambda", "mu", "phi", "omega", "varphi", "rho"})
