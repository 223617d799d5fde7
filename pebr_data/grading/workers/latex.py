r"""Plain and mixed notation as LaTeX that a LaTeX parser reads: `sqrt(3)/2`, `2√3·π`, `x**12`, `1 1/2`, `$30°$`.

Every function is linear in the length of its input, times the number of roots and powers with parentheses.
"""

from __future__ import annotations

import re
import unicodedata

_CHARACTERS = {
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{FRACTION SLASH}": "/",
    "\N{DIVISION SLASH}": "/",
    "\N{DIVISION SIGN}": "/",
    "×": r"\times ",
    "\N{MIDDLE DOT}": r"\cdot ",
    "\N{DOT OPERATOR}": r"\cdot ",
    "\N{INFINITY}": r"\infty ",
    "\N{GREEK SMALL LETTER PI}": r"\pi ",
    "\N{GREEK SMALL LETTER THETA}": r"\theta ",
    "\N{LESS-THAN OR EQUAL TO}": r"\le ",
    "\N{GREATER-THAN OR EQUAL TO}": r"\ge ",
    "\N{NOT EQUAL TO}": r"\ne ",
    "\N{UNION}": r"\cup ",
    "\N{INTERSECTION}": r"\cap ",
    "\N{ELEMENT OF}": r"\in ",
    "\N{PLUS-MINUS SIGN}": r"\pm ",
    "\N{DEGREE SIGN}": r"^{\circ}",
    "\N{SQUARE ROOT}": r"\sqrt ",
}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_VULGAR = re.compile("[¼-¾⅐-⅞]")
_MATH = re.compile(r"\$|\\[()\[\]]")
FUNCTIONS = frozenset(
    [
        *("sqrt", "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"),
        *("log", "ln", "exp", "max", "min", "gcd", "lcm", "pi", "theta", "alpha", "beta"),
    ]
)
"""Names that are read as functions and constants where they stand without a backslash."""
_BARE_NAME = re.compile(rf"(?<![\\a-zA-Z])({'|'.join(sorted(FUNCTIONS, key=len, reverse=True))})(?![a-zA-Z])")
_GROUPED = re.compile(r"(\\sqrt|\^)[ ]*\(")
_ROOT_OF = re.compile(r"\\sqrt[ ]*(\d+(?:\.\d+)?|[a-z])(?![a-z}])")
_EXPONENT = re.compile(r"\^[ ]*(-?\d+)")
_ANGULAR = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)[ ]*\^[ ]*\{?[ ]*\\circ(?![a-zA-Z])[ ]*\}?")
_MIXED = re.compile(r"(?<![\d.])(\d+)[ ]+(\d+)[ ]*/[ ]*(\d+)(?![\d.])")


def as_latex(text: str) -> str:
    r"""The text as LaTeX, without math delimiters; what is LaTeX already stays as it is.

    An exponent of several digits is taken whole (`x^12` is `x^{12}`), a mixed number becomes `1\frac{1}{2}`,
    degrees become radians where a sine or its like is taken.
    """
    text = _MATH.sub("", text).replace("**", "^")
    text = _RAISED.sub(lambda match: f"^{{{match[0].translate(_SUPERSCRIPTS)}}}", text)
    text = _VULGAR.sub(_fraction, text)
    for char, command in _CHARACTERS.items():
        text = text.replace(char, command)
    text = _BARE_NAME.sub(r"\\\1 ", text)
    text = _group(text)
    text = _ROOT_OF.sub(r"\\sqrt{\1}", text)
    text = _EXPONENT.sub(r"^{\1}", text)
    if _ANGULAR.search(text):
        text = _DEGREES.sub(r"{\\frac{\1\\pi}{180}}", text)
    return _MIXED.sub(r"\1\\frac{\2}{\3}", text).strip()


def _fraction(match: re.Match[str]) -> str:
    above, _, below = unicodedata.normalize("NFKC", match[0]).partition("\N{FRACTION SLASH}")
    return rf"\frac{{{above}}}{{{below}}}"


def _group(text: str) -> str:
    """Parentheses around what a root or an exponent takes become braces."""
    closing = _pairs(text)
    chars = list(text)
    for match in _GROUPED.finditer(text):
        opened = match.end() - 1
        if opened in closing:
            chars[opened], chars[closing[opened]] = "{", "}"
    return "".join(chars)


def _pairs(text: str) -> dict[int, int]:
    """Where each parenthesis that is closed is closed."""
    opened: list[int] = []
    pairs = {}
    for place, char in enumerate(text):
        if char == "(":
            opened.append(place)
        elif char == ")" and opened:
            pairs[opened.pop()] = place
    return pairs
