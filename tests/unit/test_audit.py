"""The audit of a grader: what it tries, what it expects, and what it counts."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_data.audit import run
from pebr_data.audit.differ import strict_key, surely_differ
from pebr_data.audit.reformat import reformattings
from pebr_data.audit.run import Report, as_completion, audit
from pebr_data.audit.samples import audited_samples, draw
from pebr_data.audit.trials import CHECKS, Expected, trials
from pebr_data.catalog.store import Catalog
from pebr_data.grading import EXTRACTORS, Grader, find_answer
from pebr_data.grading.versions import SOURCE_GOLDS
from pebr_data.prompts import TEMPLATES
from pebr_data.types import Grade, Outcome, Sample
from tests.probed_store import fill, make_config

OPTIONS = ("A. 30°", "B. 45°", "C. 60°")
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def sample(
    answer: str, answer_type: str, options: tuple[str, ...] = (), keywords: tuple[str, ...] = (), number: int = 0
) -> Sample:
    return Sample(
        f"{answer_type}-{answer}-{number}", "made", "train", "What do you see?", answer,
        answer_type=answer_type, options=options, keywords=keywords,
    )  # fmt: skip


def tried(one: Sample, answer_type: str, golds: Iterable[str] = ()) -> dict[str, dict[str, Expected]]:
    """Check -> answer -> what is expected of it."""
    found: dict[str, dict[str, Expected]] = {}
    for trial in trials(one, answer_type, list(golds), random.Random(0)):
        found.setdefault(trial.check, {})[trial.answer] = trial.expected
    return found


def test_an_option_may_be_given_by_its_letter_its_text_or_both_and_no_other_way() -> None:
    found = tried(sample("B", "choice", OPTIONS), "choice", ["A", "B", "C", "45°"])
    assert found["letter or text"] == dict.fromkeys(["B", "45°", "B. 45°", "(B) 45°"], Expected.RIGHT)
    assert found["another option"] == dict.fromkeys("AC", Expected.WRONG)
    assert found["all options"] == dict.fromkeys(["A, B, C", "30°, 45°, 60°"], Expected.WRONG)
    assert found["hedge"] == dict.fromkeys(["B or C", "45° or 60°"], Expected.WRONG)
    assert found["another gold"] == {"A": Expected.WRONG, "C": Expected.WRONG, "45°": Expected.UNKNOWN}


def test_a_letter_from_elsewhere_that_names_the_right_option_is_no_other_gold() -> None:
    found = tried(sample("45°", "text", OPTIONS), "choice", ["B", "C"])
    assert found["another gold"] == {"C": Expected.WRONG}


def test_two_options_with_the_same_text_are_told_apart_by_letter_alone() -> None:
    found = tried(sample("A", "choice", ("A. 30", "B. 30", "C. 60")), "choice")
    assert "30" not in found["letter or text"]
    assert set(found["another option"]) == {"C"}


def test_options_that_are_letters_themselves_are_left_alone() -> None:
    found = tried(sample("B", "choice", ("B", "C", "D")), "choice", ["A", "B"])
    assert "letter or text" not in found
    assert found["another gold"] == {"A": Expected.UNKNOWN}


def test_keywords_stuff_and_questions_echo() -> None:
    many = sample("red", "text", keywords=("red", "blue", "circle"))
    found = tried(many, "text", ["red", "blue", "left", "right"])
    assert found["keywords"] == {"red, blue, circle": Expected.WRONG}
    assert found["question"] == {many.question: Expected.WRONG}
    assert found["empty"] == {"": Expected.WRONG}
    ((line, expected),) = found["all golds"].items()
    assert (set(line.split(", ")), expected) == ({"red", "blue", "left", "right"}, Expected.WRONG)
    assert tried(sample("red", "text", keywords=("red",)), "text").get("keywords") is None
    few = tried(sample("red circle", "text", keywords=("red", "circle")), "text")
    assert few["keywords"] == {"red, circle": Expected.UNKNOWN}


@pytest.mark.parametrize(
    ("gold", "other", "expected"),
    [
        ("3", "4", True), ("1,200", "1201", True), ("yes", "No", True), ("A", "(B)", True), ("2.5", "7", True),
        ("1/2", "0.5", False), ("3.14", "3.1", False), ("3", "3.0", False), ("cat", "dog", False),
        ("x+1", "1+x", False),
        ("1200", "1,200", False), ("yes", "True", False), ("A", "(A)", False), ("three", "4", False),
    ],
)  # fmt: skip
def test_only_what_differs_beyond_doubt_is_held_to_differ(gold: str, other: str, expected: bool) -> None:
    assert surely_differ(sample(gold, "text"), other) is expected


def test_nothing_surely_differs_where_a_tolerance_is_given() -> None:
    near = Sample("s", "made", "train", "q", "3", grading={"tolerance": 2})
    assert not surely_differ(near, "4")


@given(st.text(max_size=12), st.text(max_size=12))
def test_to_differ_for_certain_is_symmetric_and_never_holds_for_the_same_text(one: str, other: str) -> None:
    assert surely_differ(sample(one, "text"), other) == surely_differ(sample(other, "text"), one)
    if strict_key(one) == strict_key(other):
        assert not surely_differ(sample(one, "text"), other)


@pytest.mark.parametrize(
    ("gold", "answer_type", "expected"),
    [
        ("1200", "integer", {"1,200", "1200.0", "$1200$", "1200.", r"\boxed{1200}", "**1200**", "The answer is 1200"}),
        ("3", "count", {"three", "3.0"}),
        ("1/2", "number", {r"\frac{1}{2}"}),
        ("2.50", "decimal", {"2.500"}),
        ("50%", "number", {"50 %"}),
        (r"50\%", "number", {r"$50\%$"}),
        ("B", "choice", {"(B)", "B)", "B.", "Option B", "b"}),
        ("Red", "text", {"red", "RED", '"Red"'}),
        ("(1, 2)", "tuple", {"(1,2)"}),
    ],
)
def test_a_gold_is_respelled_as_people_do(gold: str, answer_type: str, expected: set[str]) -> None:
    assert expected <= set(reformattings(gold, answer_type))


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_answer_stands_where_the_template_asks_for_it(name: str) -> None:
    extractors = TEMPLATES[name].extractors
    found = find_answer(as_completion(r"\frac{1}{2}", Grader(extractors=extractors)), extractors)
    assert found is not None
    assert found.text == r"\frac{1}{2}"


def test_every_extractor_has_a_place_and_every_check_is_documented() -> None:
    assert set(run._PLACES) == set(EXTRACTORS)
    assert [name for name, what in CHECKS.items() if f"| {name} | {what}" not in README] == []


def test_the_default_grader_passes_on_its_own_golds() -> None:
    samples = [
        *(sample(str(number), "count", number=number) for number in range(6)),
        *(sample(word, "text") for word in ("red", "blue", "green circle")),
        *(sample(word, "yes_no") for word in ("yes", "no")),
        *(sample(letter, "choice", OPTIONS) for letter in "ABC"),
    ]
    report = audit(samples, Grader())
    assert report.num_samples == {"choice": 3, "count": 6, "text": 3, "yes_no": 2}
    assert {key: found.mistakes for key, found in report.findings.items() if found.mistakes} == {}
    assert report.num_unfit == 0
    assert audit(samples, Grader()) == report


def judged(monkeypatch: pytest.MonkeyPatch, outcome: Outcome, *samples: Sample) -> Report:
    """An audit of a grader that always comes to this outcome."""
    monkeypatch.setattr(
        run, "grade_samples", lambda batch, grader: [Grade(outcome, None, "always", "stub") for _ in batch]
    )
    return audit(samples, Grader())


def test_a_grader_that_accepts_everything_is_caught_by_every_trap(monkeypatch: pytest.MonkeyPatch) -> None:
    report = judged(monkeypatch, Outcome.CORRECT, *(sample(x, "choice", OPTIONS, ("a", "b", "c")) for x in "AB"))
    wrong = {check for (_, check), found in report.findings.items() if found.num_accepted}
    assert wrong == set(CHECKS) - {"itself", "reformatted", "letter or text"}
    assert all(found.num_rejected == 0 for found in report.findings.values())


def test_a_grader_that_rejects_everything_is_caught_by_what_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    report = judged(monkeypatch, Outcome.WRONG, *(sample(x, "choice", OPTIONS) for x in "AB"))
    wrong = {check for (_, check), found in report.findings.items() if found.num_rejected}
    assert wrong == {"itself", "reformatted", "letter or text"}
    assert report.num_unfit == 2


def test_equal_golds_are_left_out_and_doubtful_ones_are_no_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [sample("1/2", "number"), sample("0.5", "number"), sample(" 0.5 ", "number", number=1)]
    found = judged(monkeypatch, Outcome.CORRECT, *samples).findings["number", "another gold"]
    assert (found.num_tried, found.num_accepted, found.num_unknown) == (3, 0, 3)
    assert {(one.gold.strip(), one.answer) for one in found.doubtful} == {("1/2", "0.5"), ("0.5", "1/2")}


def test_a_gold_that_cannot_be_used_is_rejected_once_and_tried_no_further() -> None:
    report = audit([sample("nan", "text"), sample("red", "text")], Grader())
    found = report.findings["text", "itself"]
    assert (found.num_tried, found.num_rejected, report.num_unfit) == (2, 1, 1)
    assert found.mistakes[0].grade.outcome is Outcome.UNGRADABLE
    assert report.findings["text", "empty"].num_tried == 1


def test_no_verdict_is_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    report = judged(monkeypatch, Outcome.ERROR, sample("x", "expression"))
    assert report.findings["expression", "itself"].num_errors == 1
    assert report.findings["expression", "empty"].num_accepted == 0


def test_sources_give_the_samples_that_a_build_gives(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    from_sources, is_built = audited_samples(config, tmp_path / "store")
    assert (len(from_sources), is_built) == (1, False)
    fill(tmp_path / "store", {"train": 3})
    built, is_built = audited_samples(config, tmp_path / "store")
    assert is_built
    with Catalog.open(tmp_path / "store", read_only=True) as catalog:
        assert built == catalog.samples("small", golds=SOURCE_GOLDS)


def test_a_limit_draws_the_same_samples_in_their_order() -> None:
    samples = [sample(str(number), "count") for number in range(20)]
    drawn = draw(samples, 5)
    assert drawn == draw(samples, 5)
    assert len(drawn) == 5
    assert [samples.index(one) for one in drawn] == sorted(samples.index(one) for one in drawn)
    assert draw(samples, None) == samples
