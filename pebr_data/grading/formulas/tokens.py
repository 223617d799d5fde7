r"""The tokens of a formula, whether it is written in LaTeX, in Unicode or in plain text.

One pass of one regular expression without backtracking across tokens, so linear in the input.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from pebr_data.grading.units import unit_name

MAX_CHARACTERS = 2_000
MAX_TOKENS = 300


class Token(NamedTuple):
    """A token: its kind, its text in one spelling, and whether a space stands before it.

    Kinds: `number`, `name` (a variable), `constant` (`pi`, `e`, `i`, `infinity`), `function`, `fraction`, `root`,
    `unit`, `short unit` (two letters, which may as well be variables), and `sign` for everything of one character.
    """

    kind: str
    text: str
    spaced: bool


class NotAFormula(Exception):
    """The text is not a formula of the kind read here; never leaves the package."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTIONS = _words(
    """
    sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log lg exp abs
    """
)
_SPELLED_FUNCTIONS = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "tg": "tan", "ctg": "cot", "cosec": "csc"}
_SIGNS = {
    **dict.fromkeys(["cdot", "times", "ast", "bullet", "cdotp"], "*"),
    **dict.fromkeys(["div"], "/"),
    **dict.fromkeys(["lvert", "rvert", "vert", "mid"], "|"),
    **dict.fromkeys(["degree", "circ", "textdegree"], "°"),
    **dict.fromkeys(["lbrack"], "["),
    **dict.fromkeys(["rbrack"], "]"),
    **dict.fromkeys(["lparen"], "("),
    **dict.fromkeys(["rparen"], ")"),
}
_SKIPPED = _words(
    """
    left right big Big bigg Bigg bigl bigr Bigl Bigr displaystyle textstyle quad qquad limits
    mathstrut bf rm it
    """
)
_FRACTIONS = frozenset(["frac", "dfrac", "tfrac", "cfrac"])
_WRAPPERS = frozenset(["boxed", "fbox", "mathbf", "mathit", "boldsymbol", "bm", "textbf", "textit", "mathsf"])
_TEXTS = frozenset(["text", "mathrm", "textrm", "mbox", "operatorname", "hbox", "textnormal"])
_GREEK = _words(
    """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon
    phi chi psi omega
    """
)
_GREEK_NAMES = _GREEK | {name.capitalize() for name in _GREEK}
_VARIANTS = {"varepsilon": "epsilon", "vartheta": "theta", "varphi": "phi", "varrho": "rho", "ell": "l"}
_CONSTANTS = {"pi": "pi", "infty": "infinity", "infinity": "infinity", "mathrme": "e"}
_UNIT_WORDS = _words(
    """
    mm cm dm km mg kg ml ft inch inches feet foot meter meters metre metres centimeter centimeters
    millimeter millimeters kilometer kilometers yard yards mile miles unit units square cubic
    squared sq degree degrees deg gram grams kilogram kilograms second seconds minute minutes hour
    hours sec min hr hrs mph rad radians dollars percent per
    """
)
_SMALL_WORDS = _words(
    """
    or is of in to at on no if as by an we it so up do go he me my us am be vs
    """
)
_CONNECTIVES = _words("or and not nor to than but maybe either neither between at least most if when for where no")
UNIT_LETTERS = frozenset([*"msghLNJWVCAKTF", "Omega"])
"""Letters that are a unit when they stand apart behind a number, and a variable otherwise."""

_TOKEN = re.compile(
    r"(?P<space>(?:\s|~|\\[,;:!> ])+)"
    r"|(?P<number>[0-9]{1,3}(?:(?:,|\{,\}|\\,|\\!|,\\!)[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?P<scientific>(?<=[0-9])[eE][0-9]{1,2}(?![0-9a-zA-Z^])|(?<=[0-9])E[-+][0-9]{1,2}(?![0-9a-zA-Z^]))?"
    r"|\\(?P<textual>" + "|".join(sorted(_TEXTS)) + r")\s?\{(?P<content>[^{}]*)\}"
    r"|\\(?P<accent>vec|overrightarrow|overline|hat|bar)\s?\{\s?(?P<below>[a-zA-Z]{1,2})\s?\}"
    r"|\\(?P<command>[a-zA-Z]+)"
    r"|\\(?P<escaped>[%{}$|])"
    r"|(?P<word>[a-zA-Z]+)"
    r"|(?P<subscript>_(?:\s?\{(?P<long>[^{}]{0,30})\}|(?P<brief>[a-zA-Z0-9])))"
    r"|(?P<prime>(?:'|\^\{?\\prime\s?\}?)+)"
    r"|(?P<degrees>\^\s?(?:\{\s?\\circ\s?\}|\\circ(?![a-zA-Z])|°|\{°\}))"
    r"|(?P<double>\*\*)"
    r"|(?P<sign>[-+*/^!°%|()\[\]{}=<>,:;])"
    r"|(?P<other>.)",
    re.DOTALL,
)


def tokenize(text: str) -> list[Token]:
    """The tokens of a text that `plain_characters` has been over.

    Raises:
        NotAFormula: There is something in it that no formula has, or too much.
    """
    if len(text) > MAX_CHARACTERS:
        raise NotAFormula
    tokens: list[Token] = []
    spaced = False
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "space":
            spaced = True
            continue
        if kind == "word":
            at_end = match.end() == len(text) or text[match.end()] in " ,;"
            tokens += _letters(match[0], spaced, alone=(spaced or not tokens) and at_end)
        elif kind == "command":
            tokens += _command(match["command"], spaced)
        elif kind == "below":
            tokens.append(Token("name", f"{match['accent']} {match['below']}", spaced))
        elif kind == "content":
            tokens += _content(match["content"], spaced)
        elif kind in ("subscript", "long", "brief", "prime"):
            _attach(tokens, match)
        else:
            tokens.append(_plain(kind or "other", match, spaced))
        spaced = match["command"] is not None and spaced and match["command"] in _SKIPPED
        if len(tokens) > MAX_TOKENS:
            raise NotAFormula
    return tokens


def _plain(kind: str, match: re.Match[str], spaced: bool) -> Token:
    text = match[0]
    if kind == "scientific":
        digits, exponent = match["number"].replace(",", ""), int(match["scientific"][1:])
        return Token("number", f"{digits}e{exponent}", spaced)
    if kind == "number":
        digits = "".join(character for character in text if character in "0123456789.")
        if len(digits) > 60:
            raise NotAFormula
        return Token("number", digits, spaced)
    if kind == "degrees":
        return Token("sign", "°", spaced)
    if kind == "double":
        return Token("sign", "^", spaced)
    if kind == "escaped":
        return Token("sign", {"%": "%", "|": "‖"}.get(match["escaped"], "\\" + match["escaped"]), spaced)
    if kind == "sign":
        return Token("sign", text, spaced)
    greek = unicodedata.name(text, "").split()
    if len(greek) == 4 and greek[0] == "GREEK" and greek[2] == "LETTER":
        name = greek[3].lower()
        return Token(
            "name", "lambda" if name == "lamda" else name.capitalize() if greek[1] == "CAPITAL" else name, spaced
        )
    raise NotAFormula


def _letters(run: str, spaced: bool, alone: bool) -> list[Token]:
    """A run of letters: a function, a unit, or variables side by side; a word of a sentence is refused."""
    if run in FUNCTIONS or run in _SPELLED_FUNCTIONS:
        return [Token("function", _SPELLED_FUNCTIONS.get(run, run), spaced)]
    if run == "sqrt":
        return [Token("root", "surd", spaced)]
    if run in _CONSTANTS:
        return [Token("constant", _CONSTANTS[run], spaced)]
    if run in _UNIT_WORDS:
        return [Token("unit" if len(run) > 2 else "short unit", run, spaced)]
    if run in _GREEK_NAMES:
        return [Token("name", run, spaced)]
    if len(run) > 2 and (alone or len(run) > 3):
        return _function_in(run, spaced)
    if alone and run.lower() in _SMALL_WORDS:
        raise NotAFormula
    return [_letter(letter, spaced and not position) for position, letter in enumerate(run)]


def _function_in(run: str, spaced: bool) -> list[Token]:
    """Such as `sinx`, `xcosx`, `pir` and `absqrt`: at most two letters, a name, at most two letters."""
    for length in range(min(6, len(run) - 1), 1, -1):
        for start in range(min(3, len(run) - length + 1)):
            name = run[start : start + length]
            if (name in FUNCTIONS or name in ("pi", "sqrt")) and len(run) - start - length <= 2:
                before = [_letter(letter, spaced and not at) for at, letter in enumerate(run[:start])]
                after = [_letter(letter, False) for letter in run[start + length :]]
                return before + _letters(name, spaced and not start, alone=False) + after
    raise NotAFormula


def _letter(letter: str, spaced: bool) -> Token:
    return Token("constant" if letter in "ei" else "name", letter, spaced)


def _command(name: str, spaced: bool) -> list[Token]:
    if name in _SKIPPED or name in _WRAPPERS:
        return []
    if name in _SIGNS:
        return [Token("sign", _SIGNS[name], spaced)]
    if name in _FRACTIONS:
        return [Token("fraction", name, spaced)]
    if name in ("sqrt", "surd"):
        return [Token("root", name, spaced)]
    if name in FUNCTIONS or name in _SPELLED_FUNCTIONS:
        return [Token("function", _SPELLED_FUNCTIONS.get(name, name), spaced)]
    name = _VARIANTS.get(name, name)
    if name in _CONSTANTS:
        return [Token("constant", _CONSTANTS[name], spaced)]
    if name in _GREEK_NAMES or name == "l":
        return [Token("name", name, spaced)]
    raise NotAFormula


def _content(content: str, spaced: bool) -> list[Token]:
    r"""What `\text{}` holds: a letter of a formula, a function, or a unit."""
    bare = content.replace("~", " ").replace("\\", " ").strip()
    if not bare:
        return []
    if bare in FUNCTIONS:
        return [Token("function", bare, spaced)]
    if bare in ("e", "i"):
        return [Token("constant", bare, spaced)]
    if len(bare) == 1 and bare not in UNIT_LETTERS and bare.isalpha():
        return [Token("name", bare, spaced)]
    if bare[0] in "0123456789":
        return tokenize(bare)
    if any(character.isdigit() for character in bare.replace("^2", "").replace("^3", "")):
        raise NotAFormula
    if not bare.isascii() or _CONNECTIVES.intersection(bare.lower().split()):
        raise NotAFormula
    return [Token("unit", unit_name(bare), True)]


def _attach(tokens: list[Token], match: re.Match[str]) -> None:
    """Gives the subscript or prime to the name before it."""
    if not tokens or tokens[-1].kind not in ("name", "constant", "function"):
        raise NotAFormula
    last = tokens[-1]
    if match["prime"] is not None:
        mark = "'" * max(1, match["prime"].count("'") + match["prime"].count("prime"))
    else:
        mark = "_" + "".join((match["long"] or match["brief"] or "").split()).replace("\\", "")
    if last.kind == "function" and (last.text != "log" or mark[0] != "_"):
        raise NotAFormula
    kind = "function" if last.kind == "function" else "name"
    tokens[-1] = Token(kind, last.text + mark, last.spaced)
