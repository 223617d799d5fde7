"""Options in an order of their own for every rollout: the prompt, the grade and what is kept agree."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pebr_data.catalog.store import Catalog
from pebr_data.grading import Grader, grade
from pebr_data.probe.recover import recover
from pebr_data.probe.run import run_probe
from pebr_data.probe.spool import read_spool
from pebr_data.regrade.run import plan_regrade, regrade
from pebr_data.shuffled import as_shown, reordered, say_unshuffled, unshuffled, why_not, with_options
from pebr_data.types import Candidate, Outcome, RolloutKey, Sample
from tests.integration.test_probe import Scripted
from tests.probed_store import YAML, fingerprint, ingest, make_config, png

OPTIONS = ("30°", "45°", "60°", "90°")
SHUFFLING = fingerprint(shuffle_options=True)
GRADER = Grader(extractors=("section",))


def choice(answer: str = "B", options: tuple[str, ...] = OPTIONS, **changes: object) -> Sample:
    question = with_options("How large is the angle?", options)
    sample = Sample("s", "made", "train", question, answer, answer_type="choice", options=options)
    return replace(sample, **changes)  # type: ignore[arg-type]


@given(order=st.permutations(range(4)), right=st.integers(0, 3), labelled=st.booleans(), by_text=st.booleans())
def test_only_the_letter_of_the_right_option_is_right_whatever_the_order(
    order: list[int], right: int, labelled: bool, by_text: bool
) -> None:
    options = tuple(f"{letter}. {one}" for letter, one in zip("ABCD", OPTIONS, strict=True)) if labelled else OPTIONS
    shown = reordered(choice(OPTIONS[right] if by_text else "ABCD"[right], options), order)
    lines = shown.question.splitlines()[1:]
    assert lines == [f"{letter}. {OPTIONS[place]}" for letter, place in zip("ABCD", order, strict=True)]
    said = {letter: grade(f"### The final answer is: {letter}", shown, GRADER).outcome for letter in "ABCD"}
    assert said == {line[0]: Outcome.CORRECT if OPTIONS[right] in line else Outcome.WRONG for line in lines}
    assert grade(f"### The final answer is: {OPTIONS[right]}", shown, GRADER).outcome == Outcome.CORRECT


def test_several_letters_move_together() -> None:
    assert reordered(choice("AC"), (2, 3, 1, 0)).answer == "AD"


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (choice(question="How large? (A) 30° (B) 45° (C) 60° (D) 90°"), "does not end in its options"),
        (choice(question="How large is the angle?"), "does not end in its options"),
        (choice("B", ("A", "B", "C")), "its options are letters"),
        (choice("B", ("red", "blue", "both of them")), "speaks of others"),
        (choice("C", ("red", "blue", "none of the above")), "speaks of others"),
        (choice("7"), "its gold names no option"),
        (choice(answer_type="count"), "no multiple-choice"),
    ],
)
def test_what_would_change_its_meaning_keeps_its_order(sample: Sample, reason: str) -> None:
    assert reason in str(why_not(sample))
    assert as_shown(sample, SHUFFLING, RolloutKey("p", "s", 0)) == (sample, ())


def test_what_keeps_its_order_is_counted_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    samples = [choice(), choice(question="Which? (A) 30° (B) 45°"), choice("7"), choice(answer_type="count")]
    assert sum(unshuffled(samples).values()) == 2
    say_unshuffled(samples)
    assert "note: 1 of 3 multiple-choice questions keep the order of their options: its gold" in capsys.readouterr().err


def test_orders_come_from_the_key_alone_and_are_all_alike() -> None:
    orders = [as_shown(choice(), SHUFFLING, RolloutKey("p", "s", index))[1] for index in range(2_400)]
    counted = Counter(orders)
    assert len(counted) == 24
    assert all(60 < count < 150 for count in counted.values())
    assert as_shown(choice(), fingerprint(), RolloutKey("p", "s", 0))[1] == ()


def test_only_shuffling_changes_the_id_of_a_probe() -> None:
    assert SHUFFLING.probe_id != fingerprint().probe_id
    assert "shuffle_options" not in fingerprint().to_json()


def test_the_order_is_kept_and_goes_with_the_rollout(tmp_path: Path) -> None:
    store = tmp_path / "store"
    question = with_options("How large is the angle?", OPTIONS)
    made = Candidate("made", "train", question, "B", (png(1),), answer_type="choice", options=OPTIONS)
    (sample_id,) = ingest(store, [made])
    with Catalog.open(store, read_only=True) as catalog:
        samples = catalog.samples("small")

    class Guessing(Scripted):
        def generation(self, key: RolloutKey):  # type: ignore[no-untyped-def]
            return replace(super().generation(key), completion="### The final answer is: A")

    engine = Guessing()
    run_probe(store, samples, SHUFFLING, lambda: engine, num_rollouts=12)

    def kept() -> dict[int, tuple[tuple[int, ...], Outcome]]:
        with Catalog.open(store, read_only=True) as catalog:
            rollouts = catalog.rollouts(SHUFFLING.probe_id, [sample_id])
        return {one.key.index: (one.order, one.grade.outcome) for one in rollouts}

    first = kept()
    asked = {key.index: request.prompt[0]["content"][1]["text"] for request in engine.requests for key in request.keys}
    for index, (order, outcome) in first.items():
        assert asked[index] == reordered(samples[0], order).question
        assert (outcome == Outcome.CORRECT) == (order[0] == 1)
    assert {outcome for _, outcome in first.values()} == {Outcome.CORRECT, Outcome.WRONG}
    spooled = [
        one for segment in read_spool(store / "probes" / SHUFFLING.probe_id / "spool") for one in segment.rollouts
    ]
    assert {one.key.index: one.order for one in spooled} == {index: order for index, (order, _) in first.items()}

    config = make_config(tmp_path, YAML.replace("probe:", "probe:\n  shuffle_options: true"))
    with Catalog.open(store, read_only=True) as catalog:
        probes = catalog.probes("small")
    regrade(plan_regrade(config, store, probes, profile="paper"), use=True, stop=lambda: False)
    assert kept() == first

    (store / "catalog.duckdb").unlink()
    ingest(store, [made])
    recover(store, SHUFFLING, None, store / "probes" / SHUFFLING.probe_id / "spool", set(), [])
    assert kept() == first
