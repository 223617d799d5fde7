"""Probes, rollouts, grades and pass rates in the catalog."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pebr_data.catalog.store import Catalog
from pebr_data.errors import DataError
from pebr_data.grading.versions import SOURCE_GOLDS
from pebr_data.images import ImageStore
from pebr_data.types import Candidate, Condition, Fingerprint, Generation, Grade, Outcome, Rollout, RolloutKey

POLICY = Fingerprint("tiny", "r1", "question", Condition.IMAGE, 1.2, 0.99, 64, 5184, "transformers")
PROBE = POLICY.probe_id
NUMBERS = itertools.count()
MARKS = {
    "c": Outcome.CORRECT, "w": Outcome.WRONG, "u": Outcome.UNPARSED,
    "t": Outcome.TRUNCATED, "g": Outcome.UNGRADABLE, "e": Outcome.ERROR,
}  # fmt: skip


def rollout(sample_id: str, index: int, mark: str, version: str = "v1", probe_id: str = PROBE) -> Rollout:
    outcome = MARKS[mark]
    finish = {"t": "length", "e": "error"}.get(mark, "stop")
    return Rollout(
        key=RolloutKey(probe_id, sample_id, index),
        generation=Generation(f"text {mark}", 7, finish, 20, 9, "out of memory" if mark == "e" else None),
        grade=Grade(outcome, "3" if mark in "cw" else None, f"because {mark}", version),
    )


def group(sample_id: str, marks: str, version: str = "v1") -> list[Rollout]:
    return [rollout(sample_id, index, mark, version) for index, mark in enumerate(marks)]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path) as opened:
        candidates = [
            Candidate("toy", "test" if number == 5 else "train", f"q{number}", str(number), skill=f"skill{number % 2}")
            for number in range(6)
        ]
        opened.ingest("toys", "digest", iter(candidates), ImageStore(tmp_path / "images"))
        opened.register_probe(POLICY)
        yield opened


def test_a_probe_is_registered_once_and_gives_its_policy_back(catalog: Catalog) -> None:
    assert catalog.register_probe(POLICY) == PROBE
    assert catalog.fingerprint(PROBE) == POLICY
    assert [probe.probe_id for probe in catalog.probes()] == [PROBE]
    assert catalog.probes("toys") == []


def test_rollouts_come_back_as_they_were_merged(catalog: Catalog) -> None:
    sample_id = catalog.samples()[0].sample_id
    merged = group(sample_id, "cwutge")
    assert catalog.merge_rollouts(reversed(merged)) == 6
    assert catalog.rollouts(PROBE) == merged
    assert catalog.rollouts(PROBE, [sample_id]) == merged
    assert catalog.rollouts(PROBE, ["nobody"]) == []
    [probe] = catalog.probes("toys")
    assert (probe.num_samples, probe.num_rollouts) == (1, 5)


def test_a_probe_is_known_to_a_catalog_however_many_rollouts_of_others_it_began_with(catalog: Catalog) -> None:
    catalog.merge_rollouts([rollout(f"elsewhere{number}", 0, "c") for number in range(100)])
    assert catalog.known_probes("toys") == []
    catalog.merge_rollouts([rollout(catalog.samples()[0].sample_id, 0, "c")])
    assert [probe.probe_id for probe in catalog.known_probes("toys")] == [PROBE]
    assert catalog.known_probes("toys", "test") == []


def test_merging_twice_changes_nothing(catalog: Catalog) -> None:
    merged = group(catalog.samples()[0].sample_id, "cwcwcwcw")
    assert catalog.merge_rollouts([*merged, *merged]) == 8
    assert catalog.merge_rollouts(merged) == 0
    assert catalog.rollouts(PROBE) == merged
    assert catalog.merge_rollouts([]) == 0


def test_a_kept_rollout_is_never_replaced_but_an_engines_error_is(catalog: Catalog) -> None:
    assert catalog.merge_rollouts([rollout("a", 0, "c"), rollout("a", 1, "e")]) == 2
    assert catalog.rollout_keys(PROBE) == {("a", 0)}
    assert catalog.merge_rollouts([rollout("a", 0, "w"), rollout("a", 1, "w")]) == 1
    assert catalog.rollout_keys(PROBE) == {("a", 0), ("a", 1)}
    assert catalog.rollouts(PROBE) == [rollout("a", 0, "c"), rollout("a", 1, "w")]
    assert catalog.merge_rollouts([rollout("a", 1, "e"), rollout("a", 2, "e"), rollout("a", 2, "c")]) == 1
    assert [kept.grade.outcome for kept in catalog.rollouts(PROBE)] == ["correct", "wrong", "correct"]


def test_rollouts_of_an_unknown_probe_are_refused_whole(catalog: Catalog) -> None:
    with pytest.raises(DataError, match="no probe strange"):
        catalog.merge_rollouts([rollout("a", 0, "c"), rollout("a", 0, "c", probe_id="strange")])
    assert catalog.rollout_keys(PROBE) == set()
    for read in (catalog.rollouts, catalog.pass_rates, catalog.fingerprint):
        with pytest.raises(DataError, match="no probe strange"):
            read("strange")


def test_pass_rates_exist_for_complete_groups_only(catalog: Catalog) -> None:
    easy, medium, hard, broken, bad_gold, never = (sample.sample_id for sample in catalog.samples("toys"))
    for sample_id, marks in [
        (easy, "cccccccc"), (medium, "cwutcwut"), (hard, "wutwutwu"), (broken, "ccccccce"), (bad_gold, "gggggggg"),
    ]:  # fmt: skip
        catalog.merge_rollouts(group(sample_id, marks))
    rates = {row["sample_id"]: row for row in catalog.pass_rates(PROBE, 8, "toys").iter_rows(named=True)}
    assert list(rates) == [easy, medium, hard, broken, bad_gold, never]
    assert {key: row["band"] for key, row in rates.items()} == {
        easy: "easy", medium: "medium", hard: "hard", broken: "unprobed", bad_gold: "unprobed", never: "unprobed",
    }  # fmt: skip
    assert [row["pass_rate"] for row in rates.values()] == [1.0, 0.25, 0.0, None, None, None]
    assert [row["num_rollouts"] for row in rates.values()] == [8, 8, 8, 7, 0, 0]
    assert [rates[medium][f"num_{outcome}"] for outcome in Outcome] == [2, 2, 2, 2, 0, 0]
    assert (rates[broken]["num_error"], rates[bad_gold]["num_ungradable"]) == (1, 8)
    assert rates[broken]["posterior_mean"] == pytest.approx(8 / 9)
    assert rates[never]["posterior_mean"] is rates[bad_gold]["posterior_low"] is None
    assert rates[easy]["posterior_low"] < rates[easy]["posterior_mean"] < rates[easy]["posterior_high"]


def test_pass_rates_are_asked_for_by_catalog_and_split(catalog: Catalog) -> None:
    samples = catalog.samples("toys")
    catalog.merge_rollouts(group(samples[5].sample_id, "cc"))
    assert catalog.pass_rates(PROBE, 2, "toys", "test")["band"].to_list() == ["easy"]
    assert len(catalog.pass_rates(PROBE, 2, "toys", "train")) == 5
    assert catalog.pass_rates(PROBE, 2)["sample_id"].to_list() == [samples[5].sample_id]
    with pytest.raises(DataError, match="no catalog named toyz"):
        catalog.pass_rates(PROBE, 2, "toyz")


def test_rollouts_beyond_the_group_do_not_count_and_a_hole_keeps_it_open(catalog: Catalog) -> None:
    first, second = (sample.sample_id for sample in catalog.samples("toys")[:2])
    catalog.merge_rollouts(group(first, "ccccwwww"))
    catalog.merge_rollouts([made for made in group(second, "ccccc") if made.key.index != 2])
    small = {row["sample_id"]: row for row in catalog.pass_rates(PROBE, 4, "toys").iter_rows(named=True)}
    assert (small[first]["num_rollouts"], small[first]["band"]) == (4, "easy")
    assert (small[second]["num_rollouts"], small[second]["band"]) == (3, "unprobed")


def test_two_policies_are_never_mixed(catalog: Catalog) -> None:
    sample_id = catalog.samples("toys")[0].sample_id
    other = catalog.register_probe(dataclasses.replace(POLICY, temperature=1.0))
    catalog.merge_rollouts(group(sample_id, "cc"))
    catalog.merge_rollouts([rollout(sample_id, index, "w", probe_id=other) for index in range(2)])
    assert catalog.pass_rates(PROBE, 2)["band"].to_list() == ["easy"]
    assert catalog.pass_rates(other, 2)["band"].to_list() == ["hard"]


def test_two_graders_are_never_mixed_and_the_first_counts_until_another_is_put_in_force(catalog: Catalog) -> None:
    sample_id = catalog.samples("toys")[0].sample_id
    catalog.merge_rollouts(group(sample_id, "cccc"))
    regraded = [(made.key, made.grade) for made in group(sample_id, "wwww", version="v2")]
    catalog.save_grades(regraded[:2])
    assert catalog.pass_rates(PROBE, 4)["band"].to_list() == ["easy"]
    assert catalog.pass_rates(PROBE, 4, version="v2")["band"].to_list() == ["unprobed"]
    assert catalog.use_grading([PROBE], "v2", SOURCE_GOLDS) == [PROBE]
    assert catalog.grader_version(PROBE) == "v1"

    catalog.save_grades(regraded)
    assert catalog.pass_rates(PROBE, 4)["band"].to_list() == ["easy"]
    assert catalog.use_grading([PROBE], "v2", SOURCE_GOLDS) == []

    assert catalog.pass_rates(PROBE, 4)["band"].to_list() == ["hard"]
    assert {kept.grade.grader_version for kept in catalog.rollouts(PROBE)} == {"v2"}
    assert {kept.generation.completion for kept in catalog.rollouts(PROBE)} == {"text c"}
    assert catalog.pass_rates(PROBE, 4, version="v1")["band"].to_list() == ["easy"]
    assert catalog.grader_versions(PROBE) == ["v1", "v2"]
    assert [probe.grader_version for probe in catalog.probes("toys")] == ["v2"]


def test_what_a_grading_has_not_judged_is_owed_and_so_is_what_took_a_failed_rollouts_place(catalog: Catalog) -> None:
    sample_id = catalog.samples("toys")[0].sample_id
    catalog.merge_rollouts(group(sample_id, "cew"))
    judged = [(made.key, made.grade) for made in group(sample_id, "cew", version="v2")]
    catalog.save_grades(judged[:2])
    (place,) = catalog.ungraded(PROBE, "v2").tolist()
    assert catalog.completions_at(PROBE, [place]) == [(sample_id, 2, "text w", "stop", None)]
    catalog.save_grades(judged)
    assert len(catalog.ungraded(PROBE, "v2")) == 0

    catalog.merge_rollouts([rollout(sample_id, 1, "c")])

    assert [owed[1] for owed in catalog.completions_at(PROBE, catalog.ungraded(PROBE, "v2").tolist())] == [1]
    assert len(catalog.ungraded(PROBE, "v1")) == 0


def test_an_error_of_the_grader_itself_is_a_verdict_and_not_owed(catalog: Catalog) -> None:
    sample_id = catalog.samples("toys")[0].sample_id
    catalog.merge_rollouts(group(sample_id, "c"))
    timed_out = Grade(Outcome.ERROR, "5^(5^5)", "out of time twice", "v2")
    catalog.save_grades([(RolloutKey(PROBE, sample_id, 0), timed_out)])
    assert len(catalog.ungraded(PROBE, "v2")) == 0


def test_disputed_are_rollouts_of_which_one_grader_holds_correct_or_says_nothing(catalog: Catalog) -> None:
    first, second, third = (sample.sample_id for sample in catalog.samples("toys")[:3])
    for sample_id, before, after in ((first, "cwcg", "wwcw"), (second, "wtuw", "uuwt"), (third, "cc", "wc")):
        catalog.merge_rollouts(group(sample_id, before))
        catalog.save_grades([(made.key, made.grade) for made in group(sample_id, after, version="v2")])
    found = catalog.disputed_samples(PROBE, "v1", "v2").to_dicts()
    assert [(row["sample_id"], row["num_disputed"], row["num_rollouts"]) for row in found] == [
        (first, 2, 4),
        (third, 1, 2),
    ]
    example = {name: found[0][name] for name in ("example", "outcome_one", "outcome_other", "num_correct_one")}
    assert example == {"example": 0, "outcome_one": "correct", "outcome_other": "wrong", "num_correct_one": 2}
    assert catalog.confusion(PROBE, "v1", "v2")[Outcome.CORRECT, Outcome.WRONG] == 2


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), marks=st.lists(st.text("cwutge", min_size=0, max_size=8), min_size=1, max_size=4))
def test_merging_in_any_order_and_grouping_gives_the_same(
    tmp_path: Path, data: st.DataObject, marks: list[str]
) -> None:
    policy = dataclasses.replace(POLICY, revision=f"r{next(NUMBERS)}")
    probe_id = policy.probe_id
    merged = [
        rollout(f"sample{number}", index, mark, probe_id=probe_id)
        for number, row in enumerate(marks)
        for index, mark in enumerate(row)
    ]
    shuffled = data.draw(st.permutations(merged))
    cut = data.draw(st.integers(0, len(merged)))
    with Catalog.open(tmp_path) as catalog:
        catalog.register_probe(policy)
        added = [catalog.merge_rollouts(part) for part in (shuffled[:cut], shuffled, shuffled[cut:])]
        assert sum(added) == len(merged)
        assert catalog.rollouts(probe_id) == merged


def test_stats_count_what_is_there(catalog: Catalog) -> None:
    samples = catalog.samples("toys", "train")
    catalog.merge_rollouts([*group(samples[0].sample_id, "cc"), *group(samples[1].sample_id, "cu")])
    stats = catalog.stats("toys", num_rollouts=2)
    assert stats.samples.rows() == [
        ("toys", "toy", "test", "skill1", 1),
        ("toys", "toy", "train", "skill0", 3),
        ("toys", "toy", "train", "skill1", 2),
    ]
    assert stats.bands.select("split", "skill", "num_samples", "easy", "medium", "hard", "unprobed").rows() == [
        ("train", "skill0", 3, 1, 0, 0, 2), ("train", "skill1", 2, 0, 1, 0, 1),
    ]  # fmt: skip
    assert stats.outcomes.select("skill", "correct", "unparsed", "error").rows() == [
        ("skill0", 2, 0, 0),
        ("skill1", 1, 1, 0),
    ]
    assert [probe.probe_id for probe in stats.probes] == [PROBE]


def test_stats_of_an_empty_store_are_empty(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "empty") as empty:
        stats = empty.stats()
    assert stats.probes == ()
    for frame in (stats.samples, stats.rejects, stats.bands, stats.outcomes):
        assert frame.height == 0
        assert "catalog" in frame.columns
