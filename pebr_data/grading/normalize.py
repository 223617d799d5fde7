"""One spelling for what is the same to a reader: Unicode, LaTeX wrappers, markdown, articles, punctuation.

Every function is linear in the length of its input.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

_SUPERSCRIPTS = {ord(raised): f"^{plain}" for raised, plain in zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True)}
_CHARACTERS = _SUPERSCRIPTS | {
    ord("\N{MINUS SIGN}"): "-",
    ord("\N{EN DASH}"): "-",
    ord("\N{NON-BREAKING HYPHEN}"): "-",
    ord("\N{HYPHEN}"): "-",
    ord("\N{FRACTION SLASH}"): "/",
    ord("\N{DIVISION SLASH}"): "/",
    ord("\N{MASCULINE ORDINAL INDICATOR}"): "°",
    ord("\N{IDEOGRAPHIC COMMA}"): ", ",
    ord("\N{RIGHT SINGLE QUOTATION MARK}"): "'",
    ord("\N{LEFT SINGLE QUOTATION MARK}"): "'",
    ord("\N{LEFT DOUBLE QUOTATION MARK}"): '"',
    ord("\N{RIGHT DOUBLE QUOTATION MARK}"): '"',
}
_VULGAR = re.compile("[¼-¾⅐-⅞]")
_TAG = re.compile(r"</?(?:answer|b|i|em|strong|u|sub|sup|p|span)>|<br ?/?>", re.IGNORECASE)
_MONEY = re.compile(r"(?P<sign>\\?\$|[€£¥]|\b(?:USD|EUR|GBP) )[ ]?(?P<amount>[0-9][0-9,]*(?:\.[0-9]+)?)")
_CURRENCIES = {"$": "USD", "\\$": "USD", "€": "EUR", "£": "GBP", "¥": "yen", "USD": "USD", "EUR": "EUR", "GBP": "GBP"}
_ATOM = re.compile(r"[0-9.,]+|[a-zA-Z]|\\[a-z]+")


def _quotient(match: re.Match[str]) -> str:
    """`a/b`, with brackets where leaving them out would say something else: `(x+1)/2`, `1/(2x)`."""
    top, bottom = (part.strip() for part in match.groups())
    is_sum = "+" in top or "-" in top[1:]
    return f" {f'({top})' if is_sum else top}/{bottom if _ATOM.fullmatch(bottom) else f'({bottom})'}"


_LATEX: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\\(?:displaystyle|left|right)(?![a-zA-Z])|\\[,;!()\[\]]|\$|\\\$"), ""),
    (re.compile(r"\\ |~"), " "),
    (re.compile(r"\^\{?\\circ\}?|\\circ(?![a-zA-Z])|\\degree(?![a-zA-Z])"), "°"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"\\(?:times)(?![a-zA-Z])"), "×"),
    (re.compile(r"\\cdot(?![a-zA-Z])"), "·"),
    (re.compile(r"\\pi(?![a-zA-Z])"), "π"),
    (re.compile(r"\\(?:measured)?angle(?![a-zA-Z]) ?"), "∠"),
    (re.compile(r"\\triangle(?![a-zA-Z]) ?"), "△"),
    (re.compile(r"\\parallel(?![a-zA-Z])"), "∥"),
    (re.compile(r"\\perp(?![a-zA-Z])"), "⊥"),
    (re.compile(r"\\(?:neq?)(?![a-zA-Z])"), "≠"),
    (re.compile(r"\\(?:emptyset|varnothing)(?![a-zA-Z])"), "∅"),
    (re.compile(r"(?:\\therefore(?![a-zA-Z])|∴) ?"), ""),
    (re.compile(r"\\[dt]?frac[ ]?\{[ ]?([^{}]{1,64})[ ]?\}[ ]?\{[ ]?([^{}]{1,64})[ ]?\}"), _quotient),
    (re.compile(r"\\[dt]?frac[ ]?([0-9])[ ]?([0-9])(?![0-9])"), r" \1/\2"),
    (re.compile(r"\\sqrt[ ]?\{([^{} ]{1,64})\}"), r"√(\1)"),
    (re.compile(r"\\sqrt[ ]?([0-9a-z])"), r"√\1"),
)
_WRAPPER = re.compile(
    r"\\(?:boxed|fbox|text|textbf|textit|textrm|underline|mathrm|mathbf|mbox|operatorname)[ ]?\{|\{|\}"
)
_EDGES = " *_`\"'。•"

_ARTICLES = frozenset({"a", "an", "the"})
_PREPOSITIONS = frozenset({"at", "in", "on"})
_SPELLINGS = {"grey": "gray", "colour": "color", "centre": "center", "metre": "meter", "metres": "meters"}
_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore|approximately|about|(?:the |my |final |correct ){0,3}answer is"
    r"|it is|it's|this is|that is|they are|there is|there are|there will be|we get"
    r"|(?:the|its|their) (?:color|colour|shape|size|place|position|location|object|value|result|total|name) is"
    r")(?![a-z0-9])[:,]?|(?:final )?answer ?[:=]|[a-z] ?=(?!=)|≈|=) ?",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"(?:(?:at|in|on) )?(?:a|an|the) (?=\w{2})", re.IGNORECASE)
_NAMED = re.compile(r"\b(triangle|angle) (?=[A-Z1-9])", re.IGNORECASE)
_ABBREVIATION = re.compile(r"\b([a-z])\.(?=[a-z]\b)")
_MAX_LEADS = 4
_NOT_WORDS = frozenset("PSZC")


@lru_cache(maxsize=8192)
def clean(text: str) -> str:
    r"""The text in one Unicode spelling, on one line, without LaTeX and markdown wrappers; case is kept.

    `\boxed{}`, `\text{}`, `$`, `<answer>` and spacing commands go; simple fractions become `a/b`; degrees, minus
    signs, percent and roots get one sign each.
    """
    text = _VULGAR.sub(lambda match: f" {match[0]}", text).translate(_CHARACTERS)
    text = unicodedata.normalize("NFKC", text).translate(_CHARACTERS)
    text = printable(text)
    text = _unwrap(" ".join(_TAG.sub(" ", text).split()))
    if text.count("$") <= 1:  # a pair of them wraps a formula
        text = _MONEY.sub(_amount, text)
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    return _bare(" ".join(text.split()))


def _bare(text: str) -> str:
    """The text without emphasis and quotes around it, a final stop between them included."""
    bare = text.strip(_EDGES)
    while bare.endswith(".") and bare[:-1].strip(_EDGES) != bare[:-1]:
        bare = bare[:-1].strip(_EDGES)
    return bare


def strip_lead(text: str) -> str:
    """The text without openings such as `The answer is` or `x =`, as long as something is left.

    Args:
        text: A text that `clean` has been over.
    """
    for _ in range(_MAX_LEADS):
        match = _LEAD.match(text)
        if match is None or match.end() == len(text):
            return text
        text = text[match.end() :].strip(_EDGES)
    return text


@lru_cache(maxsize=8192)
def words_key(text: str) -> str:
    """What two spellings of the same words share: case, punctuation, articles and lead-ins are gone.

    Args:
        text: A text that `clean` has been over.
    """
    text = _ABBREVIATION.sub(r"\1", strip_lead(text).casefold().replace("'", ""))
    plain = "".join(" " if unicodedata.category(character)[0] in _NOT_WORDS else character for character in text)
    words = [_SPELLINGS.get(word, word) for word in plain.split()]
    while len(words) > 1 and words[0] in _PREPOSITIONS:
        words = words[1:]
    kept = [word for position, word in enumerate(words) if word not in _ARTICLES or position == len(words) - 1]
    return " ".join(kept)


@lru_cache(maxsize=8192)
def math_key(text: str) -> str:
    """What two spellings of the same formula share: case, spaces, redundant braces and a final stop are gone.

    Args:
        text: A text that `clean` has been over.
    """
    text = _ARTICLE.sub("", strip_lead(text))
    text = _NAMED.sub(lambda match: "△" if match[1].casefold() == "triangle" else "∠", text)
    text = "".join(text.casefold().split()).rstrip(".,;")
    text = re.sub(r"\{([^{}])\}", r"\1", text)
    return re.sub(r"√\(([0-9a-z]{1,20})\)", r"√\1", text)


def printable(text: str) -> str:
    """The text with blanks for control characters, and without invisible ones."""
    return "".join(_printable(character) for character in text)


def _amount(match: re.Match[str]) -> str:
    """`$5.50` as `5.50 USD`: the unit behind the number, like any other."""
    return f"{match['amount']} {_CURRENCIES[match['sign'].strip()]}"


def _printable(character: str) -> str:
    if character.isascii():
        return character if character >= " " and character != "\x7f" else " "
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    return " " if category in ("Cc", "Cs", "Co", "Cn") else character


def _unwrap(text: str) -> str:
    """The text without wrapping commands and their braces, other braces kept."""
    pieces: list[str] = []
    wrapped: list[bool] = []
    position = 0
    for match in _WRAPPER.finditer(text):
        pieces.append(text[position : match.start()])
        position = match.end()
        token = match[0]
        if token == "}":
            if not (wrapped and wrapped.pop()):
                pieces.append(token)
        else:
            wrapped.append(token != "{")
            if token == "{":
                pieces.append(token)
    pieces.append(text[position:])
    return "".join(pieces)
