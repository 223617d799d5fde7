"""Reading the number an answer states, exactly, and comparing two."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from pebr_data.grading.normalize import strip_lead

_UNSIGNED = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,15}|[0-9]{1,60})(?:\.[0-9]{0,60})?|\.[0-9]{1,60}"
_NUMBER = re.compile(
    rf"(?P<sign>[-+]?) ?(?:"
    rf"(?P<whole>[0-9]{{1,18}}) (?P<top>[0-9]{{1,18}})/(?P<bottom>[0-9]{{1,18}})"
    rf"|\(?(?P<dividend>{_UNSIGNED})\)? ?/ ?\(?(?P<divisor>{_UNSIGNED})\)?"
    rf"|(?P<decimal>{_UNSIGNED})(?:(?:e| ?[×x*·] ?10 ?\^ ?)\{{?(?P<exponent>[-+]?[0-9]{{1,3}})\}}?)?"
    rf")(?![0-9/])",
    re.IGNORECASE,
)
_UNIT = re.compile(r"[-\s]?[%°a-zµμΩ€£][a-zµμΩ0-9^/%°.' -]{0,60}", re.IGNORECASE)
_FORMULA = re.compile(r"[=^√π\\/()*<>{}\[\]|:;]")
_TOKEN = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?|[a-z]+(?:-[a-z]+)*", re.IGNORECASE)

_UNITS = {
    "": ("",),
    "%": ("%", "percent", "per cent", "percentage"),
    "°": ("°", "degree", "degrees", "deg"),
    "mm": ("mm", "millimeter", "millimeters"),
    "cm": ("cm", "centimeter", "centimeters"),
    "m": ("m", "meter", "meters"),
    "km": ("km", "kilometer", "kilometers"),
    "in": ("in", "inch", "inches"),
    "ft": ("ft", "foot", "feet"),
    "g": ("g", "gram", "grams"),
    "kg": ("kg", "kilogram", "kilograms"),
    "s": ("s", "sec", "second", "seconds"),
    "min": ("min", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "unit": ("unit", "units"),
}
_UNIT_NAMES = {name: unit for unit, names in _UNITS.items() for name in names}

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
]
_ONES += ["seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL = {word: value for value, word in enumerate(_ONES)}
_SMALL |= {word: 10 * value for value, word in enumerate(_TENS, start=2)}
_LARGE = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_PARTS = {"half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4}
_DOUBT = frozenset(
    [
        "or",
        "and",
        "not",
        "no",
        "nor",
        "maybe",
        "perhaps",
        "possibly",
        "either",
        "but",
        "to",
        "than",
        "unless",
        "unknown",
        "unsure",
        "least",
        "most",
        "over",
        "under",
        "between",
        "almost",
        "nearly",
        "wrong",
        "incorrect",
        "never",
        "none",
        "more",
        "less",
        "fewer",
        "neither",
        "cannot",
        "can't",
        "isn't",
        "aren't",
    ]
)
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b", re.IGNORECASE)
_BRACKETED = re.compile(r"\(([^()]*)\)")
_NO_SUCH = re.compile(r"there (?:is|are) no (?!answer|way|solution|idea|information|clear)[a-z -]{1,60}", re.IGNORECASE)

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
    if text.lower() == "none":
        return Number(Fraction(0), 0)
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed is not None:
        text = bracketed[1].strip()
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
    within the same bound. `50%` equals both 0.5 and a bare 50. A missing unit is forgiven, another unit is not.
    """
    if not _units_fit(answer.unit, gold.unit):
        return False
    readings = {answer.value} | ({answer.value / 100} if answer.unit == "%" and gold.unit != "%" else set())
    targets = {gold.value} | ({gold.value / 100} if gold.unit == "%" and answer.unit != "%" else set())
    if readings & targets:
        return True
    return answer.unit == gold.unit and _rounds_to(answer, gold)


def _units_fit(answer: str, gold: str) -> bool:
    return not answer or not gold or answer == gold or "unit" in (answer, gold)


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
    if unit.split(" ", 1)[0] in _LARGE:
        large, _, unit = unit.partition(" ")
        number = _value(match, unit)
        return None if number is None else Number(number.value * _LARGE[large], None, unit)
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
    if not _UNIT.fullmatch(rest) or _ORDINAL.match(rest):
        return None
    words = [word.strip("-'") for word in rest.casefold().replace("per cent", "percent").strip(" .-").split()]
    unit = " ".join(words)
    if unit in _UNIT_NAMES:
        return _UNIT_NAMES[unit]
    if len(words) > max_words or any(word in _DOUBT or word in _SMALL or word[:1].isdigit() for word in words):
        return None
    return unit


def _words(text: str, max_words: int) -> Number | None:
    """A number in words with up to `max_words` words behind, such as `twenty-one circles` or `two thirds`."""
    words = text.casefold().replace("-", " ").split()
    sign = 1
    if words and words[0] in ("minus", "negative"):
        sign, words = -1, words[1:]
    if words[:1] == ["a"] and words[1:2] and (words[1] in _LARGE or words[1] in _PARTS):
        words[0] = "one"
    end = 0
    while end < len(words) and (
        words[end] in _SMALL
        or words[end] in _LARGE
        or words[end] in _PARTS
        or (words[end] == "and" and end > 0 and words[end - 1] in _LARGE)
    ):
        end += 1
    value = _read([word for word in words[:end] if word != "and"])
    unit = _unit("" if end == len(words) else " " + " ".join(words[end:]), max_words)
    if value is None or unit is None:
        return None
    return Number(sign * value, 0 if value.denominator == 1 else None, unit)


def _read(words: list[str]) -> Fraction | None:
    """The value of number words in their proper order, or None."""
    if not words:
        return None
    if words[-1] in _PARTS:
        top = _read(words[:-1]) if words[:-1] else Fraction(1)
        return None if top is None else top / _PARTS[words[-1]]
    total = group = 0
    limit, ceiling = 1000, 10**12
    for word in words:
        if word in _SMALL:
            value = _SMALL[word]
            if value >= limit or (value == 0 and len(words) > 1):
                return None
            group += value
            limit = 10 if value >= 20 else 1
        elif word == "hundred":
            if not 1 <= group <= 9:
                return None
            group, limit = group * 100, 100
        elif word in _LARGE:
            if not group or _LARGE[word] >= ceiling:
                return None
            total, group, limit, ceiling = total + group * _LARGE[word], 0, 1000, _LARGE[word]
        else:
            return None
    return Fraction(total + group)


def _sentence(text: str) -> Number | None:
    """The only number of a short, plain sentence: `the number of circles is 3`."""
    if _FORMULA.search(text):
        return None
    tokens = _TOKEN.findall(text.casefold())
    if len(tokens) > 16 or any(token in _DOUBT for token in tokens):
        return None
    numbers = [token for token in tokens if token[0] in "-0123456789" or token.split("-")[0] in _SMALL]
    if len(numbers) != 1:
        return None
    match = _NUMBER.fullmatch(numbers[0])
    return _value(match, "") if match else _words(numbers[0], 0)
