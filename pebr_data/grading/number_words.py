"""Numbers spelt out: `twenty-one`, `two thirds`, `three and a half`, `one thousand, two hundred`, `two dozen`."""

from __future__ import annotations

from fractions import Fraction

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
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = {word: value for value, word in enumerate(_ONES)} | {w: 10 * v for v, w in enumerate(_TENS, start=2)}
LARGE = {"dozen": 12, "hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
"""Words that multiply what stands before them."""

_PARTS = {"half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4} | {
    f"{name}th{plural}": bottom
    for name, bottom in {"fif": 5, "six": 6, "seven": 7, "eigh": 8, "nin": 9, "ten": 10, "twelf": 12}.items()
    for plural in ("", "s")
}
_TIMES = {"once": 1, "twice": 2, "thrice": 3}
_NOTHING = frozenset({"none", "nothing", "nobody", "no one", "none of them", "neither of them"})


def read_number_words(text: str) -> tuple[Fraction, str] | None:
    """The number that a text begins with in words, and the words behind it; None when it begins with none."""
    words = text.casefold().replace("-", " ").replace(",", " ").split()
    if " ".join(words) in _NOTHING:
        return Fraction(0), ""
    if words and words[0] in _TIMES:
        return Fraction(_TIMES[words[0]]), " ".join(words[1:])
    sign = 1
    if words and words[0] in ("minus", "negative"):
        sign, words = -1, words[1:]
    if words[:2] == ["half", "a"] or words[:2] == ["half", "an"]:
        whole = read_number_words("one " + " ".join(words[2:]))
        return None if whole is None else (sign * whole[0] / 2, whole[1])
    if words[:1] == ["a"] and words[1:2] and (words[1] in LARGE or words[1] in _PARTS):
        words[0] = "one"
    if words[:1] and words[0] in LARGE:
        words.insert(0, "one")
    end = 0
    while end < len(words) and (is_number_word(words[end]) or _joins(words, end)):
        end += 1
    value = _read([word for word in words[:end] if word != "and"])
    if value is None:
        return None
    rest = words[end:]
    if rest[:3] in (["and", "a", "half"], ["and", "one", "half"]):
        value, rest = value + Fraction(1, 2), rest[3:]
    if rest[:1] == ["point"]:
        digits = [_SMALL.get(word, 10) for word in rest[1:]]
        if not digits or max(digits) > 9 or len(digits) > 20:
            return None
        value, rest = value + Fraction(int("".join(map(str, digits))), 10 ** len(digits)), []
    return sign * value, " ".join(rest)


def is_number_word(word: str) -> bool:
    """Whether a word is part of a number."""
    return word in _SMALL or word in LARGE or word in _PARTS


def _joins(words: list[str], position: int) -> bool:
    """Whether an `and` stands within a number: `two hundred and five`."""
    return (
        words[position] == "and"
        and position > 0
        and words[position - 1] in LARGE
        and position + 1 < len(words)
        and words[position + 1] in _SMALL
    )


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
        elif word in ("hundred", "dozen"):
            if not 1 <= group <= 99:
                return None
            group, limit = group * LARGE[word], 100
        elif word in LARGE:
            if not group or LARGE[word] >= ceiling:
                return None
            total, group, limit, ceiling = total + group * LARGE[word], 0, 1000, LARGE[word]
        else:
            return None
    return Fraction(total + group)
