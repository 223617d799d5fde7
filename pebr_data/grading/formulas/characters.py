r"""One spelling for the characters of a formula: look-alikes become ASCII, Unicode mathematics becomes LaTeX."""

from __future__ import annotations

import re
import unicodedata

_CHARACTERS = {
    # Hyphens, dashes and minus signs; dots and crosses of a product; slashes; degrees; primes; bars; nothing at all.
    **dict.fromkeys(map(ord, "\u2010\u2011\u2013\u2212\ufe63\uff0d"), "-"),
    **dict.fromkeys(map(ord, "×·\u22c5\u2219\u2217\u2022\u2715"), "*"),
    **dict.fromkeys(map(ord, "÷\u2215\u2044"), "/"),
    **dict.fromkeys(map(ord, "º\u02da\u2218"), "°"),
    **dict.fromkeys(map(ord, "\u2032\u2018’"), "'"),
    **dict.fromkeys(map(ord, "\u2223\u2502\uff5c"), "|"),
    **dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u2061\u2062"), ""),
    ord("π"): r"\pi ",
    ord("𝜋"): r"\pi ",
    ord("∞"): r"\infty ",
    ord("√"): r"\surd ",
    ord("∛"): r"\sqrt[3]",
    ord("≈"): r"\approx ",
    ord("≤"): r"\le ",
    ord("≥"): r"\ge ",
    ord("≠"): r"\ne ",
    ord("±"): r"\pm ",
    ord("∓"): r"\mp ",
    ord("\N{UNION}"): r"\cup ",
    ord("∩"): r"\cap ",
    ord("∈"): r"\in ",
    ord("∅"): r"\emptyset ",
    ord("∠"): r"\angle ",
    ord("△"): r"\triangle ",
}
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿˣ", "0123456789-+nx")
_RAISED_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿˣ]+")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉ₙₓ", "0123456789nx")
_LOWERED_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉ₙₓ]+")
_VULGAR = re.compile("[¼-¾⅐-⅞]")
_WHOLE_NUMBERS = re.compile(
    r"[,\s]{0,3}(?:\\left)?\(?\s?[kmn]\s?\\in\s{0,2}(?:\\mathbb\s?|\\mathbf\s?)?\{?[ZN]\}?(?:\^?\{?[*+]\}?|_\+)?\s?(?:\\right)?\)?\$?$"
)
_TAG = re.compile(r"</?answer>|\\[()\[\]]|\$|^\*\*|\*\*$", re.IGNORECASE)


def plain_characters(text: str) -> str:
    r"""The text with look-alikes in one spelling, `²` as `^{2}`, `½` as a fraction, and math delimiters gone."""
    text = text.translate(_CHARACTERS)
    if not text.isascii():
        text = _VULGAR.sub(_as_fraction, text)
        text = _RAISED_RUN.sub(lambda match: f"^{{{match[0].translate(_RAISED)}}}", text)
        text = _LOWERED_RUN.sub(lambda match: f"_{{{match[0].translate(_LOWERED)}}}", text)
        text = unicodedata.normalize("NFKC", text)
    text = _WHOLE_NUMBERS.sub("", text.rstrip()) if "\\in" in text else text
    return _TAG.sub(" ", text).strip().rstrip(".,;").rstrip()


def _as_fraction(match: re.Match[str]) -> str:
    top, _, bottom = unicodedata.normalize("NFKC", match[0]).partition("\N{FRACTION SLASH}")
    return rf"\frac{{{top}}}{{{bottom}}}"
