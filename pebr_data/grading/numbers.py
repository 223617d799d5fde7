"""Reading the number an answer states, exactly, and comparing two."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from pebr_data.grading.doubt import DOUBT
from pebr_data.grading.normalize import strip_lead
from pebr_data.grading.number_words import LARGE, is_number_word, read_number_words
from pebr_data.grading.units import conversion, is_unit, unit_name, units_fit

_UNSIGNED = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,15}|[0-9]{1,60})(?:\.[0-9]{0,60})?|\.[0-9]{1,60}"
_NUMBER = re.compile(
    rf"(?P<sign>[-+]?) ?(?:"
    rf"(?P<whole>[0-9]{{1,18}}) (?P<top>[0-9]{{1,18}})/(?P<bottom>[0-9]{{1,18}})"
    rf"|\(?(?P<dividend>{_UNSIGNED})\)? ?/ ?\(?(?P<divisor>{_UNSIGNED})\)?"
    rf"|(?P<decimal>{_UNSIGNED})(?:(?:e| ?[×x*·] ?10 ?\^ ?)\{{?(?P<exponent>[-+]?[0-9]{{1,3}})\}}?)?"
    rf")(?![0-9/])",
    re.IGNORECASE,
)
_UNIT = re.compile(r"[-\s]?(?:[^\W\d_]|[%°Ω€£¢])[\w^/%°Ω.'² -]{0,60}")
_MULTIPLE = re.compile(r"(?P<letter>[kKMB]|bn|mn)(?![a-zA-Z])")
_MULTIPLES = {"k": 1_000, "m": 1_000_000, "mn": 1_000_000, "b": 1_000_000_000, "bn": 1_000_000_000}
_PLAIN = re.compile(r"[A-Za-z0-9 .,'%°$€£!-]*")
_TOKEN = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?|[a-z]+(?:-[a-z]+)*", re.IGNORECASE)

_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b", re.IGNORECASE)
_VARIABLES = frozenset("acfjknptvw")
"""Letters that are a unit only in capitals."""

_DECADE = re.compile(r"'?s")
_SIGN_WORD = re.compile(r"^(?:minus|negative) (?=[0-9])", re.IGNORECASE)
_BRACKETED = re.compile(r"\(([^()]*)\)")
_NO_SUCH = re.compile(
    r"(?:there (?:is|are) )?no (?!answer|way|solution|idea|information|clear)[a-z -]{1,60}", re.IGNORECASE
)

_RELATIVE_TOLERANCE = Fraction(15, 10_000)


@dataclass(frozen=True, slots=True)
class Number:
    """A stated number.

    Attributes:
        value: Exactly what is stated; a percentage keeps its figure (`50%` is 50).
        decimals: Digits after the point; None for a fraction or a power of ten, which states its value exactly.
        unit: The unit or noun after it, one spelling; empty when there is none.
    """

    value: Fraction
    decimals: int | None
    unit: str = ""

    def in_unit(self, unit: str) -> Fraction | None:
        """The value in another unit; None when the two do not measure the same. A missing unit is forgiven."""
        if units_fit(self.unit, unit):
            return self.value
        factor = conversion(self.unit, unit)
        return None if factor is None else self.value * factor


@lru_cache(maxsize=8192)
def parse_number(text: str, *, in_sentence: bool = False) -> Number | None:
    """The one number a text states, or None when it states none, several, or one in doubt.

    Reads integers, decimals, thousands separators, fractions, mixed numbers, powers of ten and number words, with a
    unit or noun of one word behind. `3 or 4`, `at least 3`, `not 3` and `1 2 3` state no number.

    Args:
        text: A text that `pebr_data.grading.normalize.clean` has been over.
        in_sentence: Whether to read a short sentence, too (`there are 3 red circles`). For answers where a number is
            asked for; a gold such as `Route 66` is not the number 66.
    """
    if len(text) > 200:
        return None
    if in_sentence and _NO_SUCH.fullmatch(text.rstrip(". ")):
        return Number(Fraction(0), 0)
    text = strip_lead(text).rstrip(".,; ")
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed is not None:
        text = bracketed[1].strip()
    text = _SIGN_WORD.sub("-", text)
    match = _NUMBER.match(text)
    if match is not None:
        unit = _unit(text[match.end() :], max_words=6 if in_sentence else 1)
        return None if unit is None else _value(match, unit)
    number = _words(text, max_words=6 if in_sentence else 0)
    return _sentence(text) if number is None and in_sentence else number


def numbers_equal(answer: Number, gold: Number) -> bool:
    """Whether an answer's number is the gold's.

    Equal values are equal. A decimal gold also accepts what is stated more precisely and rounds to it, within
    0.15 %; a gold that no decimal states exactly (1/3) accepts a rounding to at least three significant digits
    within the same bound. `50%` equals both 0.5 and a bare 50. A missing unit is forgiven; another unit of the same
    quantity is converted, any other is wrong.
    """
    if not units_fit(answer.unit, gold.unit):
        converted = answer.in_unit(gold.unit)
        return converted is not None and numbers_equal(Number(converted, None, gold.unit), gold)
    readings = {answer.value} | ({answer.value / 100} if answer.unit == "%" and gold.unit != "%" else set())
    targets = {gold.value} | ({gold.value / 100} if gold.unit == "%" and answer.unit != "%" else set())
    if readings & targets:
        return True
    if answer.unit == "%" and not gold.unit and answer.decimals is not None:
        return _rounds_to(Number(answer.value / 100, answer.decimals + 2), gold)
    return answer.unit == gold.unit and _rounds_to(answer, gold)


def _rounds_to(answer: Number, gold: Number) -> bool:
    precise, rounded = (answer, gold) if gold.decimals is not None else (gold, answer)
    decimals = rounded.decimals
    if not decimals or (precise.decimals is not None and precise.decimals <= decimals):
        return False
    if abs(rounded.value) * 10**decimals < 100:
        return False
    error = abs(precise.value - rounded.value)
    return error <= Fraction(1, 2 * 10**decimals) and error <= _RELATIVE_TOLERANCE * abs(rounded.value)


def _value(match: re.Match[str], unit: str) -> Number | None:
    sign = -1 if match["sign"] == "-" else 1
    first, _, rest = unit.partition(" ")
    times = LARGE.get(first) or (_MULTIPLES.get(first[:-1]) if first.endswith("×") else None)
    if times is not None:
        number = _value(match, unit_name(rest))
        return None if number is None else Number(number.value * times, None, number.unit)
    if match["whole"] is not None:
        bottom = int(match["bottom"])
        return (
            Number(sign * (int(match["whole"]) + Fraction(int(match["top"]), bottom)), None, unit) if bottom else None
        )
    if match["dividend"] is not None:
        divisor = _decimal(match["divisor"])
        return Number(sign * _decimal(match["dividend"]) / divisor, None, unit) if divisor else None
    digits = match["decimal"]
    if match["exponent"] is not None:
        return Number(sign * _decimal(digits) * Fraction(10) ** int(match["exponent"]), None, unit)
    return Number(sign * _decimal(digits), len(digits.partition(".")[2]), unit)


def _decimal(digits: str) -> Fraction:
    whole, _, part = digits.replace(",", "").partition(".")
    return Fraction(int((whole + part) or "0"), 10 ** len(part))


def _unit(rest: str, max_words: int) -> str | None:
    """The unit or noun behind a number in one spelling, or None when something else follows."""
    if not rest:
        return ""
    multiple = _MULTIPLE.match(rest)
    if multiple is not None:
        behind = _unit(rest[multiple.end() :], max_words)
        return None if behind is None else f"{multiple['letter'].casefold()}× {behind}".strip()
    if not _UNIT.fullmatch(rest) or _ORDINAL.match(rest) or _DECADE.fullmatch(rest):
        return None
    name = unit_name(rest.replace("-", " "))
    if is_unit(name) and rest.strip(" .-") not in _VARIABLES:
        return name
    words = name.split()
    if words[0] in LARGE:
        behind = _unit(" " + " ".join(words[1:]) if words[1:] else "", max_words)
        return None if behind is None else f"{words[0]} {behind}".strip()
    if words[0] in ("%", "percent") and words[1:2] == ["of"]:
        return "%"
    if len(words) > max_words or any(word in DOUBT or is_number_word(word) or not word.isalpha() for word in words):
        return None
    # One letter that is no unit is a variable: `60x` is no number.
    return None if len(rest.strip(" .-")) == 1 and name < "\u2e80" else name


def _words(text: str, max_words: int) -> Number | None:
    """A number in words with up to `max_words` words behind, such as `twenty-one circles` or `two thirds`."""
    found = read_number_words(text)
    if found is None:
        return None
    value, rest = found
    unit = _unit(f" {rest}" if rest else "", max(max_words, 1))
    if unit is None or (unit and not max_words and not is_unit(unit)):
        return None
    return Number(value, 0 if value.denominator == 1 else None, unit)


def _sentence(text: str) -> Number | None:
    """The only number of a short, plain sentence: `the number of circles is 3`."""
    if not _PLAIN.fullmatch(text):
        return None
    tokens = _TOKEN.findall(text.casefold())
    if len(tokens) > 16 or any(token in DOUBT for token in tokens):
        return None
    numbers = [token for token in tokens if token[0] in "-0123456789" or is_number_word(token.split("-")[0])]
    if len(numbers) != 1:
        return None
    match = _NUMBER.fullmatch(numbers[0])
    return _value(match, "") if match else _words(numbers[0], 0)
