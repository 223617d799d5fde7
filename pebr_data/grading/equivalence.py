r"""Whether an extracted answer says what the gold says.

Each answer type has its rule. Everything here is decided by reading, in time linear in the input, and a doubtful answer
(`A or B`, `1 2 3`, `not red`) is not equal to anything but itself. What only algebra can tell (`\int` and its like) is
left open: `Verdict.equal` is None then, and `pebr_data.grading.workers.symbolic` is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from pebr_data.grading.choices import letters_equal, names_several, resolve_choice, split_letter
from pebr_data.grading.doubt import DOUBT
from pebr_data.grading.formulas.expressions import compare_expressions, constant_value
from pebr_data.grading.formulas.structures import compare_structures
from pebr_data.grading.geometry import compare_geometry, geometry_problem
from pebr_data.grading.infer import ANSWER_TYPES, infer_answer_type
from pebr_data.grading.normalize import clean
from pebr_data.grading.numbers import Number, numbers_equal, parse_number
from pebr_data.grading.polarity import polarity
from pebr_data.grading.readings import readings
from pebr_data.grading.rules import DEFAULT_RULES, GradingRules
from pebr_data.grading.text import is_formula, ocr_similarity, same_text, same_words
from pebr_data.grading.units import unit_name
from pebr_data.grading.verdict import Verdict, shorten, verdict

_MAX_EXCESS = 1_000
"""Characters an answer may have more than the gold before it is an essay and not an answer."""

_CALCULATION = re.compile(r"[0-9)] ?[-+×*·÷] ?[0-9(]")
"""Working that was not finished: `50 - 8` states no number."""

_ALGEBRAIC = re.compile(r"[\\^√π!=]|[a-zA-Z]{3,}\(")
"""Signs that a number may be hidden in a formula; digits and words without them are no number, or several."""

_LEAD = re.compile(r"(?P<name>[a-zA-Z]) ?=(?!=)")
_AND = re.compile(r",? and ")
_OR = re.compile(r"\bor\b", re.IGNORECASE)
_RATIO = re.compile(r"(?<=[0-9]) to (?=[0-9])")
_EMPTY = frozenset({"∅", "{}", "empty set", "no solution", "no solutions", "no real solution", "no real solutions"})
_NUMBERS = ("count", "integer", "decimal", "number")
_ALGEBRA = ("expression", "equation", "set", "interval", "tuple", "list", "ratio")


def gold_problem(
    gold: str, answer_type: str | None = None, options: Sequence[str] = (), rules: GradingRules = DEFAULT_RULES
) -> str | None:
    """Why no completion can be graded against this gold, or None when it is usable."""
    text = clean(gold)
    if not text:
        return "the gold answer is empty"
    if text.casefold() == "nan":
        return "the gold answer is NaN"
    if answer_type is not None and answer_type not in ANSWER_TYPES:
        return None
    declared = ANSWER_TYPES.get(answer_type or "")
    if options and resolve_choice(text, options) is not None:
        return None
    if declared == "yes_no" and polarity(text) is None:
        return f"the gold answer {shorten(text)} is neither yes nor no"
    if declared in ("count", "integer", "decimal"):
        number = parse_number(text)
        if number is None:
            return f"the gold answer {shorten(text)} is not a number"
        if declared != "decimal" and number.value.denominator != 1:
            return f"the gold answer {shorten(text)} is not a whole number"
    if declared == "choice" and options:
        return f"the gold answer {shorten(text)} names none of the {len(options)} options"
    if declared in ("box", "point"):
        return geometry_problem(gold, declared, rules)
    return None


def compare(
    answer: str,
    gold: str,
    answer_type: str | None = None,
    options: Sequence[str] = (),
    rules: GradingRules = DEFAULT_RULES,
) -> Verdict:
    """Whether an answer says what the gold, or one of its synonyms, says.

    Args:
        answer: The extracted answer.
        gold: The gold answer; `gold_problem` must have found nothing wrong with it.
        answer_type: A key of `ANSWER_TYPES`; any other, or None, is inferred from the gold and the options.
        options: The options of a multiple-choice question, in order.
        rules: How strictly.
    """
    if len(answer) > len(gold) + _MAX_EXCESS:
        return Verdict(False, f"not an answer but a text of {len(answer)} characters")
    if not clean(answer):
        return Verdict(False, "the answer has no content")
    names = [lead["name"] for text in (answer, gold) if (lead := _LEAD.match(clean(text)))]
    if len(set(names)) == 2 and _rule(clean(gold), gold, answer_type, options) in _NUMBERS:
        return Verdict(False, f"{shorten(answer)} is about another variable than {shorten(gold)}")
    first = _compare(answer, gold, answer_type, options, rules)
    if first.equal:
        return first
    for said in (answer, *readings(clean(answer))[1:]):
        for meant in (gold, *rules.synonyms):
            found = _compare(said, meant, answer_type, options, rules)
            if found.equal:
                return found
    return first


def _compare(answer: str, gold: str, answer_type: str | None, options: Sequence[str], rules: GradingRules) -> Verdict:
    said, meant = clean(answer), clean(gold)
    rule = _rule(meant, gold, answer_type, options)
    if rule == "option":
        return _compare_options(said, meant, options)
    if rule == "letter":
        return verdict(letters_equal(said, meant), said, meant)
    if rule == "yes_no":
        is_yes = polarity(said)
        if is_yes is None:
            return Verdict(False, "neither a plain yes nor a plain no")
        return verdict(is_yes == polarity(meant), "yes" if is_yes else "no", meant)
    if rule in _NUMBERS:
        return _compare_numbers(answer, gold, rule, rules)
    if rule in _ALGEBRA:
        return _compare_algebra(answer, gold, rule, rules)
    if rule in ("box", "point"):
        return Verdict(*compare_geometry(answer, gold, rule, rules))
    if rule == "ocr":
        similarity = ocr_similarity(answer, gold)
        return Verdict(
            similarity >= rules.min_anls, f"{shorten(said)} reads {shorten(meant)} with similarity {similarity:.2f}"
        )
    return verdict(same_words(said, meant), said, meant)


def _rule(meant: str, gold: str, answer_type: str | None, options: Sequence[str]) -> str:
    """`option`, `letter`, or the answer type: the comparison that fits a usable gold (`meant`: the cleaned gold)."""
    if options and resolve_choice(meant, options) is not None:
        return "option"
    rule = ANSWER_TYPES.get(answer_type or "")
    if rule is None or rule == "number":
        rule = ANSWER_TYPES[infer_answer_type(gold).answer_type]
    if rule == "choice":
        led = split_letter(meant)
        # `A B C` names three letters, not the option A.
        spelt = led is not None and led[1] and all(len(word) == 1 for word in led[1].split())
        several = names_several(meant)
        return "letter" if several or (led is not None and not spelt) else "text"
    if rule == "text" and is_formula(meant) and parse_number(meant) is not None:
        return "number"
    return rule


def _compare_options(answer: str, gold: str, options: Sequence[str]) -> Verdict:
    said, meant = resolve_choice(answer, options), resolve_choice(gold, options)
    if said is None:
        return Verdict(False, f"{shorten(answer)} does not name one of the {len(options)} options")
    return verdict(said == meant, f"option {said + 1}", f"option {(meant or 0) + 1}")


def _compare_numbers(answer: str, gold: str, rule: str, rules: GradingRules) -> Verdict:
    said, meant = clean(answer), clean(gold)
    number, target = parse_number(said, in_sentence=True), parse_number(meant)
    if target is None:
        return verdict(same_text(said, meant), said, meant)
    doubtful = DOUBT & set(said.casefold().split())
    if number is None and (rule == "count" or doubtful or _CALCULATION.search(said) or not _ALGEBRAIC.search(said)):
        return Verdict(False, f"{shorten(said)} does not state one number")
    if number is None:
        return _compare_formulas(answer, gold, f"{shorten(said)} does not state one number")
    if rule == "count" and number.unit == "%":
        return Verdict(False, "a percentage is not a count")
    if rules.unit and not target.unit:
        target = replace(target, unit=unit_name(rules.unit))
    return verdict(_within(number, target, rules), said, meant)


def _within(number: Number, target: Number, rules: GradingRules) -> bool:
    """Whether a number is the target, or as near to it as the rules allow."""
    if numbers_equal(number, target):
        return True
    value = number.in_unit(target.unit)
    if value is None:
        return False
    error = abs(value - target.value)
    if rules.decimals is not None and round(value, rules.decimals) == round(target.value, rules.decimals):
        return True
    if rules.tolerance is not None and error <= Fraction(rules.tolerance):
        return True
    return rules.relative_tolerance is not None and error <= Fraction(rules.relative_tolerance) * abs(target.value)


def _compare_algebra(answer: str, gold: str, rule: str, rules: GradingRules) -> Verdict:
    """Tuples, sets, intervals, lists, equations and formulas: part by part as far as reading goes."""
    said, meant = clean(answer), clean(gold)
    if same_text(said, meant) or {said.casefold(), meant.casefold()} <= _EMPTY:
        return verdict(True, said, meant)
    if rule == "list":
        if _OR.search(said) and not _OR.search(meant):
            return Verdict(False, f"{shorten(said)} is a choice between answers, not a list")
        answer, gold = _AND.sub(", ", answer), _AND.sub(", ", gold)
    if rule == "ratio":
        answer = _RATIO.sub(":", answer)
    number = parse_number(said)
    if number is not None and parse_number(meant) is None:
        value = constant_value(gold)
        if value is not None and numbers_equal(number, Number(value, None)):
            return verdict(True, said, meant)
    answer_type = "set" if rule == "list" and not rules.ordered else rule
    structure = compare_structures(answer, gold, _elements_equal, answer_type)
    return structure or _compare_formulas(answer, gold, f"{shorten(said)} is no formula")


def _elements_equal(answer: str, gold: str) -> bool | None:
    """Whether two parts of a structure are equal: as numbers, as formulas, or, where they are words, as texts."""
    if same_text(clean(answer), clean(gold)):
        return True
    found = compare_expressions(answer, gold)
    if found is not None:
        return found.equal
    return None if is_formula(answer) or is_formula(gold) else False


def _compare_formulas(answer: str, gold: str, otherwise: str) -> Verdict:
    """By value where that is safe; left open where only algebra can tell; `otherwise` for what is no formula."""
    found = compare_expressions(answer, gold)
    if found is not None:
        return found
    return Verdict(None, "only algebra can tell") if is_formula(clean(answer)) else Verdict(False, otherwise)
