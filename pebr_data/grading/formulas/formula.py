r"""Reading a formula as answers and golds write it, LaTeX and plain text alike, into a small tree.

Reads numbers, `+ - * / ^`, implicit products, brackets, fractions, roots, `|x|`, `n!`, percent, degrees, trigonometric
and logarithmic functions, variables with subscripts, `x =` in front and a unit behind. Nothing is ever evaluated here
but exact arithmetic on short rational numbers. What is not such a formula (words, several numbers side by side, an
integral, too deep, too long) is None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from pebr_data.grading.formulas.characters import plain_characters
from pebr_data.grading.formulas.reader import Reader
from pebr_data.grading.formulas.tokens import MAX_CHARACTERS, NotAFormula, tokenize
from pebr_data.grading.formulas.tree import Tree, canonical, names_in
from pebr_data.grading.normalize import strip_lead

_GREEK = r"\\(?:alpha|beta|gamma|delta|theta|lambda|mu|rho|sigma|phi|varphi|omega|Delta|Omega|eta|epsilon|varepsilon)"
_LEAD = re.compile(
    rf"""(?:
      (?P<variable>(?:[A-Za-z]|{_GREEK})(?:_(?:\{{[^{{}}]{{0,30}}\}}|[A-Za-z0-9]))?'*)(?:\s?\([a-zA-Z]\))?
      | [A-Z]{{2,5}}'*
      | (?:m\s?)?\\(?:angle|triangle)\s?[A-Za-z0-9\\ ]{{1,12}}
      | \\(?:overline|vec|overrightarrow|overarc|widehat|hat|bar)\s?\{{?[A-Za-z ]{{1,5}}\}}?
      | \|\s?(?:\\(?:vec|overrightarrow)\s?)?\{{?[A-Za-z ]{{1,5}}\}}?\s?\|
      | \\?(?:sin|cos|tan|cot)\s?(?:\\angle\s?)?\(?(?:[A-Za-z]{{1,3}}|{_GREEK})\)?
      | \\(?:text|mathrm)\s?\{{[^{{}}]{{2,60}}\}}(?:_\{{[^{{}}]{{1,30}}\}})?
      | [A-Za-z][A-Za-z ]{{2,60}}
    )\s*""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula as read.

    Attributes:
        tree: What it says, without lead and unit.
        key: Equal for formulas that differ only in the order of terms and factors.
        names: The variables in it.
        unit: The unit behind it in one spelling (`cm^2`, `°`, `%`), or empty.
        lead: The variable in front of `=`, or empty.
        ambiguous: Whether `1/2x` stands in it, which some read as 1/(2x); it was read from left to right.
        decimal: Whether a number in it is written as a decimal of two places or more, and so perhaps rounded.
    """

    tree: Tree
    key: str
    names: frozenset[str]
    unit: str = ""
    lead: str = ""
    ambiguous: bool = False
    decimal: bool = False


@lru_cache(maxsize=2048)
def parse_formula(text: str) -> Formula | None:
    """The formula a text is, or None when it is none, or not one that is read here.

    Args:
        text: The text as it was written; `pebr_data.grading.normalize.clean` would lose the braces of a fraction.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        return _read(plain_characters(text))
    except (NotAFormula, RecursionError):
        return None


def lead_of(text: str) -> str | None:
    """The variable a left side of an equation names, an empty text for a named quantity, None for a formula.

    Args:
        text: What stands before `=`: `x`, `AB`, `f(x)` and `the area` are names, `2x + y` is not.
    """
    match = _LEAD.fullmatch(text.strip())
    return None if match is None else (match["variable"] or "").strip()


def _read(text: str) -> Formula:
    lead = ""
    if "=" in text:
        left, _, text = text.partition("=")
        found = lead_of(strip_lead(left)) if "=" not in text else None
        if found is None:
            raise NotAFormula
        lead = "".join(found.split())
    text = text.strip()
    text = text.removeprefix("\\approx ") if text.startswith("\\approx ") else strip_lead(text)
    if text.isascii() and text.isalpha() and len(text) > 1 and text != "pi":
        raise NotAFormula
    reader = Reader(tokenize(text))
    tree = reader.whole()
    names = frozenset(names_in(tree))
    if lead and lead.replace("\\", "") in names:
        raise NotAFormula
    return Formula(tree, canonical(tree), names, reader.unit, lead, reader.ambiguous, reader.decimal)
