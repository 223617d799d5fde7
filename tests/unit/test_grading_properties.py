"""What holds of the grader whatever the gold: spellings it claims to read, near misses, symmetry, hedges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pebr_data.grading import GradingRules
from pebr_data.grading.equivalence import compare
from pebr_data.grading.text import ocr_similarity

ONES = [
    "zero", "one", "two", "three", "four", "five", "six",
    "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
FULL_WIDTH = {ord(character): ord(character) + 0xFEE0 for character in "0123456789.,%-()"}
WRAPPERS: list[Callable[[str], str]] = [
    lambda text: text,
    lambda text: f"  {text}  ",
    lambda text: f"**{text}**",
    lambda text: f"`{text}`",
    lambda text: f"${text}$",
    lambda text: f"\\({text}\\)",
    lambda text: f"\\boxed{{{text}}}",
    lambda text: f"$\\boxed{{{text}}}$",
    lambda text: f"\\text{{{text}}}",
    lambda text: f"<answer>{text}</answer>",
]
LEADS: list[Callable[[str], str]] = [
    lambda text: f"The answer is {text}",
    lambda text: f"So the final answer is: {text}",
    lambda text: f"Answer: {text}",
    lambda text: f"Therefore, {text}",
    lambda text: f"{text}.",
]
FORMATS: list[Callable[[str], str]] = [
    *WRAPPERS,
    *(lambda text, lead=lead, wrap=wrap: lead(wrap(text)) for lead in LEADS for wrap in WRAPPERS),
]
HEDGES = [
    "{a} or {b}",
    "{b} or {a}",
    "either {a} or {b}",
    "{a}, or maybe {b}",
    "maybe {a} or {b}",
    "{a} and {b}",
    "{a}, {b}",
    "{a}; {b}",
    "not {a}",
    "not {a} but {b}",
    "neither {a} nor {b}",
    "It is {a} or {b}",
    "The answer is {b} or {a}.",
    "I think it is {a}, but it could be {b}",
]
WORDS = [
    "red",
    "blue",
    "cylinder",
    "rubber",
    "dog",
    "tennis",
    "left",
    "Paris",
    "triangle",
    "sofa",
    "wood",
    "Monday",
    "metal",
    "pizza",
    "umbrella",
]
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True).map(" ".join)
INTEGERS = st.integers(-(10**6), 10**6)
OPTIONS = st.lists(st.sampled_from(WORDS), min_size=2, max_size=6, unique=True)
FEW = settings(max_examples=50, deadline=None)
FORMATTED = settings(max_examples=6, deadline=None)


def equal(
    answer: str, gold: str, answer_type: str, options: Sequence[str] = (), rules: GradingRules | None = None
) -> bool:
    return compare(answer, gold, answer_type, options, rules or GradingRules()).equal is True


def in_words(value: int) -> str:
    """The English name of a number below a million."""
    if value < 0:
        return f"minus {in_words(-value)}"
    if value < 20:
        return ONES[value]
    if value < 100:
        return TENS[value // 10 - 2] + (f"-{ONES[value % 10]}" if value % 10 else "")
    unit, name = (1000, "thousand") if value >= 1000 else (100, "hundred")
    rest = f" {in_words(value % unit)}" if value % unit else ""
    return f"{in_words(value // unit)} {name}{rest}"


def spellings_of_integer(value: int) -> list[str]:
    plain = str(value)
    return [
        plain,
        f"{value:,}",
        f"{value:,}".replace(",", "{,}"),
        f"{value}.0",
        f"{value}.",
        plain.replace("-", "\N{MINUS SIGN}"),
        plain.translate(FULL_WIDTH),
        f"x = {value}",
        f"= {value}",
        f"\\mathbf{{{value}}}",
        f"{value}e0",
    ]


@FORMATTED
@given(INTEGERS)
def test_an_integer_equals_itself_in_every_spelling_and_every_format(value: int) -> None:
    for spelling in [*spellings_of_integer(value), *(form(str(value)) for form in FORMATS)]:
        assert equal(spelling, str(value), "integer"), spelling


@FEW
@given(st.integers(0, 999_999))
def test_a_number_in_words_is_the_number_and_no_other(value: int) -> None:
    assert equal(in_words(value), str(value), "integer")
    assert equal(in_words(value).capitalize() + ".", str(value), "count")
    assert equal(str(value), in_words(value), "number")
    assert not equal(in_words(value), str(value + 1), "integer")


@FEW
@given(INTEGERS, st.sampled_from(["count", "integer", "number", "decimal"]), st.sampled_from([-1, 1]))
def test_an_integer_off_by_one_is_never_equal(value: int, answer_type: str, step: int) -> None:
    for spelling in [*spellings_of_integer(value + step), f"The answer is {value + step}", f"{value + step} circles"]:
        assert not equal(spelling, str(value), answer_type), spelling


@FORMATTED
@given(st.integers(-(10**5), 10**5), st.integers(1, 4))
def test_a_decimal_equals_itself_and_not_its_neighbour(digits: int, places: int) -> None:
    gold, neighbour = (f"{Decimal(figure).scaleb(-places):.{places}f}" for figure in (digits, digits + 1))
    for spelling in (gold, f"{gold}0", f"{gold}.", gold.translate(FULL_WIDTH), f"{digits}/{10**places}"):
        assert equal(spelling, gold, "decimal"), spelling
    for form in FORMATS:
        assert equal(form(gold), gold, "decimal"), form(gold)
        assert not equal(form(neighbour), gold, "decimal"), form(neighbour)


@FEW
@given(st.integers(-999, 999), st.integers(1, 99), st.integers(1, 9))
def test_a_fraction_equals_itself_however_it_is_written(top: int, bottom: int, factor: int) -> None:
    gold = f"{top}/{bottom}"
    spellings = [
        f"\\frac{{{top}}}{{{bottom}}}",
        f"\\dfrac {{ {top} }} {{ {bottom} }}",
        f"${top} / {bottom}$",
        f"{top * factor}/{bottom * factor}",
    ]
    if top > bottom and top % bottom:
        spellings += [
            f"{top // bottom} {top % bottom}/{bottom}",
            f"{top // bottom}\\frac{{{top % bottom}}}{{{bottom}}}",
        ]
    for spelling in spellings:
        assert equal(spelling, gold, "number"), spelling
        assert equal(gold, spelling, "number"), spelling
    assert not equal(f"{top + 1}/{bottom}", gold, "number")
    assert not equal(f"{top}/{bottom + 1}", gold, "number") or top == 0


@FEW
@given(st.integers(0, 400))
def test_a_percentage_is_its_figure_and_its_hundredth(figure: int) -> None:
    gold = f"{figure}%"
    for spelling in (
        gold,
        f"{figure} %",
        f"{figure}\\%",
        f"{figure} percent",
        f"{figure}",
        f"{Decimal(figure).scaleb(-2):.2f}",
    ):
        assert equal(spelling, gold, "number"), spelling
    assert not equal(f"{figure + 1}%", gold, "number")


@FEW
@given(st.integers(1, 9999), st.sampled_from([("cm", "m", 100), ("mm", "cm", 10), ("g", "kg", 1000), ("s", "min", 60)]))
def test_a_quantity_equals_itself_in_another_unit_and_differs_in_size(figure: int, units: tuple[str, str, int]) -> None:
    small, large, factor = units
    gold = f"{figure} {large}"
    for spelling in (
        gold,
        f"{figure}{large}",
        f"${figure}\\text{{ {large}}}$",
        f"{figure}",
        f"{figure * factor} {small}",
    ):
        assert equal(spelling, gold, "number"), spelling
    for other in (f"{figure} {small}", f"{figure} kelvin", f"{figure + 1} {large}"):
        assert not equal(other, gold, "number"), other


@FORMATTED
@given(OPTIONS, st.data())
def test_an_option_is_named_by_its_letter_its_text_or_both(options: list[str], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(options) - 1))
    letter, body = "ABCDEF"[position], options[position]
    namings = [letter, f"({letter})", f"{letter}.", f"{letter})", f"Option {letter}", f"The answer is {letter}", body]
    namings += [f"{letter}. {body}", f"({letter}) {body}", f"{letter}: {body}", f"It is {body}", letter.lower()]
    for gold in (letter, body, f"{letter}. {body}"):
        for naming in namings:
            assert equal(naming, gold, "choice", options), (naming, gold)
    for form in FORMATS:
        assert equal(form(f"{letter}. {body}"), letter, "choice", options), form(body)


@FEW
@given(OPTIONS, st.data())
def test_another_option_or_a_letter_with_another_options_text_is_wrong(options: list[str], data: st.DataObject) -> None:
    position, other = data.draw(st.permutations(range(len(options))))[:2]
    letter, wrong = "ABCDEF"[position], "ABCDEF"[other]
    for naming in (wrong, options[other], f"{wrong}. {options[other]}"):
        assert not equal(naming, letter, "choice", options), naming
    for contradiction in (f"{letter}. {options[other]}", f"{wrong}. {options[position]}"):
        assert not equal(contradiction, letter, "choice", options), contradiction
        assert not equal(contradiction, wrong, "choice", options), contradiction


@pytest.mark.parametrize(("said", "other"), [("yes", "no"), ("no", "yes"), ("true", "false"), ("False", "True")])
def test_yes_is_yes_and_never_no(said: str, other: str) -> None:
    for form in FORMATS:
        for answer in (said, said.upper(), said.title()):
            assert equal(form(answer), said, "yes_no"), form(answer)
            assert not equal(form(answer), other, "yes_no"), form(answer)


@FORMATTED
@given(TEXTS)
def test_a_short_text_equals_itself_in_any_case_with_articles_and_leads(gold: str) -> None:
    spellings = [gold, f"the {gold}", f"a {gold}", f"It is {gold}", gold.replace(" ", "-"), f'"{gold}"']
    for spelling in spellings:
        for answer in (spelling, spelling.upper(), spelling.title()):
            assert equal(answer, gold, "text"), answer
    for form in FORMATS:
        assert equal(form(f"the {gold}"), gold, "text"), form(f"the {gold}")


@FEW
@given(TEXTS, TEXTS)
def test_another_text_is_another_answer_unless_it_is_a_synonym(gold: str, other: str) -> None:
    assume(gold != other)
    assert not equal(other, gold, "text")
    assert equal(other, gold, "text", rules=GradingRules(synonyms=(other,)))


@FEW
@given(st.text("ABCDEFGHIJ abcdefghij0123456789", min_size=1, max_size=30).filter(lambda text: text.strip() != ""))
def test_text_read_off_an_image_equals_itself_in_any_case_and_spacing(gold: str) -> None:
    for spelling in (gold, gold.lower(), gold.upper(), f"  {gold}", " ".join(gold.split()), f"**{gold}**", f"“{gold}”"):
        assert equal(spelling, gold, "ocr"), spelling


@FEW
@given(st.integers(0, 10**8), st.integers(1, 10**4))
def test_a_misread_numeral_is_wrong_however_similar(figure: int, step: int) -> None:
    assert not equal(f"Total due on the invoice: {figure + step}", f"Total due on the invoice: {figure}", "ocr")


@FEW
@given(st.text(max_size=40), st.text(max_size=40))
def test_the_similarity_of_two_texts_is_a_share(a: str, b: str) -> None:
    assert 0.0 <= ocr_similarity(a, b) <= 1.0
    assert ocr_similarity(a, a) == 1.0


@FEW
@given(TEXTS, TEXTS)
def test_the_similarity_of_plain_words_is_symmetric(a: str, b: str) -> None:
    assert ocr_similarity(a, b) == ocr_similarity(b, a)


@FEW
@given(st.tuples(*[st.integers(0, 900)] * 2), st.tuples(*[st.integers(1, 99)] * 2))
def test_a_box_equals_itself_in_every_notation_and_not_the_one_beside_it(
    corner: tuple[int, int], size: tuple[int, int]
) -> None:
    x, y, right, bottom = corner[0], corner[1], corner[0] + size[0], corner[1] + size[1]
    gold = f"[{x}, {y}, {right}, {bottom}]"
    for notation in (
        f"({x},{y}),({right},{bottom})",
        f"<|box_start|>({x},{y}),({right},{bottom})<|box_end|>",
        f'{{"bbox_2d": [{x}, {y}, {right}, {bottom}]}}',
        f"x1={x}, y1={y}, x2={right}, y2={bottom}",
        f"[{x}.0, {y}.0, {right}.0, {bottom}.0]",
        gold.translate(FULL_WIDTH),
    ):
        assert equal(notation, gold, "box"), notation
    assert not equal(f"[{x + size[0]}, {y}, {right + size[0]}, {bottom}]", gold, "box")


@FEW
@given(
    st.lists(INTEGERS, min_size=1, max_size=5, unique=True).flatmap(
        lambda values: st.tuples(st.just(values), st.permutations(values))
    )
)
def test_a_set_equals_itself_in_any_order_and_a_tuple_does_not(orders: tuple[list[int], list[int]]) -> None:
    values, shuffled = orders
    gold, other = (", ".join(map(str, order)) for order in (values, shuffled))
    assert equal(f"\\{{{other}\\}}", f"\\{{{gold}\\}}", "set")
    assert equal(f"\\{{{gold}\\}}", f"\\{{{other}\\}}", "set")
    assert not equal(f"\\{{{other}, {max(values) + 1}\\}}", f"\\{{{gold}\\}}", "set")
    if len(values) > 1:
        assert equal(f"({other})", f"({gold})", "tuple") == (values == shuffled)
        assert equal(f"({gold})", f"({gold})", "tuple")


@FEW
@given(
    st.integers(-99, 99),
    st.integers(1, 99),
    st.sampled_from("[("),
    st.sampled_from("])"),
    st.sampled_from("[("),
    st.sampled_from("])"),
)
def test_an_interval_has_both_its_ends_and_both_its_brackets(
    start: int, length: int, left: str, right: str, other_left: str, other_right: str
) -> None:
    inside = f"{start}, {start + length}"
    same = (left, right) == (other_left, other_right)
    assert equal(f"{other_left}{inside}{other_right}", f"{left}{inside}{right}", "interval") is same
    assert not equal(f"{left}{start}, {start + length + 1}{right}", f"{left}{inside}{right}", "interval")


EXACT = st.one_of(
    INTEGERS.map(lambda value: (f"{value:,}", "number")),
    st.tuples(st.integers(-99, 99), st.integers(1, 99)).map(lambda pair: (f"{pair[0]}/{pair[1]}", "number")),
    st.integers(0, 999).map(lambda value: (in_words(value), "number")),
    TEXTS.map(lambda text: (text, "text")),
    st.booleans().map(lambda value: ("yes" if value else "no", "yes_no")),
)


@FEW
@given(EXACT, EXACT)
def test_equality_is_symmetric_where_nothing_was_rounded(a: tuple[str, str], b: tuple[str, str]) -> None:
    assume(a[1] == b[1])
    assert equal(a[0], b[0], a[1]) == equal(b[0], a[0], a[1])


@st.composite
def two_golds(draw: st.DrawFn) -> tuple[str, str, str, tuple[str, ...]]:
    """Two different golds of one type, which is given with the options, if any."""
    kind = draw(st.sampled_from(["count", "integer", "text", "ocr", "yes_no", "choice", "letter", "percent"]))
    if kind in ("count", "integer", "percent"):
        a, b = draw(st.lists(st.integers(0, 99), min_size=2, max_size=2, unique=True))
        sign = "%" if kind == "percent" else ""
        return f"{a}{sign}", f"{b}{sign}", "number" if sign else kind, ()
    if kind == "yes_no":
        return (*draw(st.permutations(["yes", "no"])), kind, ())
    a, b, c, d = draw(st.permutations(WORDS))[:4]
    if kind == "choice":
        return a, b, "choice", (c, b, a, d)
    if kind == "letter":
        return *draw(st.permutations("ABCD"))[:2], "choice", draw(st.sampled_from([(), (a, b, c, d)]))
    return a, b, kind, ()


@FEW
@given(two_golds())
def test_a_hedge_between_two_golds_is_never_correct(golds: tuple[str, str, str, tuple[str, ...]]) -> None:
    a, b, answer_type, options = golds
    for hedge in HEDGES:
        assert not equal(hedge.format(a=a, b=b), a, answer_type, options), hedge


@FEW
@given(OPTIONS, st.data())
def test_all_options_at_once_are_never_correct(options: list[str], data: st.DataObject) -> None:
    letters = "ABCDEF"[: len(options)]
    gold = data.draw(st.sampled_from([*letters, *options]))
    labelled = [f"{letter}. {option}" for letter, option in zip(letters, options, strict=True)]
    for listed in (letters, options, labelled):
        for comma in (" ", ", ", "\n"):
            assert not equal(comma.join(listed), gold, "choice", options), (listed, gold)


@pytest.mark.parametrize(("precise", "gold"), [("3.1416", "3.14"), ("2.449", "2.45"), ("33.33", "33.3")])
def test_a_more_precise_answer_is_right_and_a_coarser_one_is_not(precise: str, gold: str) -> None:
    assert equal(precise, gold, "decimal")
    assert not equal(gold, precise, "decimal")
