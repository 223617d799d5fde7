"""Regrading stored rollouts: what is added, what counts, and that no group is ever graded by two."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pebr_data.catalog.golds import GoldFix
from pebr_data.catalog.rollouts import Probe
from pebr_data.catalog.store import Catalog
from pebr_data.engines.base import Request, Sampling
from pebr_data.errors import BusyError, Interrupted, RefusedError, UsageError
from pebr_data.export.shards import export
from pebr_data.grading import GRADER_VERSION, Grader
from pebr_data.grading.versions import SOURCE_GOLDS, Grading, golds_of, profile_of
from pebr_data.images import ImageStore
from pebr_data.probe.lock import probe_lock
from pebr_data.probe.run import run_probe
from pebr_data.probe.spool import SpoolWriter
from pebr_data.regrade import run as regrading
from pebr_data.regrade.compare import BandChange
from pebr_data.regrade.run import Regraded, RegradePlan, plan_regrade, regrade, seconds_expected
from pebr_data.select.mixture import frozen, select
from pebr_data.types import Band, Fingerprint, Generation, Outcome, Rollout, RolloutKey, Sample
from tests.probed_store import GROUP_SIZE, candidate, fill, fingerprint, make_config

NUM_TRAIN = 10
PAPER = Grading(Grader("paper"))


def completion(sample: Sample, index: int) -> str:
    """Sample n of the test store has the gold n % 5; its rollouts say 0, 1, 2, …, the last one without the marker."""
    return f"### The final answer is: {index}" if index < GROUP_SIZE - 1 else sample.answer


class Answering:
    """Gives `completion` for every request; `asked` collects the keys."""

    name = "transformers"

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.samples = {sample.sample_id: sample for sample in samples}
        self.asked: list[RolloutKey] = []

    def generate(
        self, requests: Iterable[Request], sampling: Sampling, *, stop: Callable[[], object] | None = None
    ) -> Iterator[tuple[RolloutKey, Generation]]:
        for request in requests:
            for key in request.keys:
                self.asked.append(key)
                yield key, Generation(completion(self.samples[key.sample_id], key.index), 5, "stop")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 train samples with complete groups that `paper` has graded, and 2 test samples that were not probed."""
    store = tmp_path_factory.mktemp("template") / "store"
    fill(store, {"train": NUM_TRAIN, "test": 2})
    merge(store, samples_of(store), fingerprint())
    return store


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Path:
    """A copy of the template that a test may change."""
    return Path(shutil.copytree(template, tmp_path / "store"))


def samples_of(store: Path, split: str = "train") -> list[Sample]:
    with Catalog.open(store, read_only=True) as catalog:
        return catalog.samples("small", split)


def merge(store: Path, samples: Iterable[Sample], policy: Fingerprint, num: int = GROUP_SIZE) -> str:
    """Rollouts of these samples, graded by `paper`."""
    rollouts = []
    for sample in samples:
        for index in range(num):
            text = completion(sample, index)
            (verdict,) = PAPER.grade([(text, sample, "stop")])
            key = RolloutKey(policy.probe_id, sample.sample_id, index)
            rollouts.append(Rollout(key, Generation(text, 5, "stop"), verdict))
    with Catalog.open(store) as catalog:
        catalog.register_probe(policy)
        catalog.merge_rollouts(rollouts)
    return policy.probe_id


def probes_of(store: Path) -> list[Probe]:
    with Catalog.open(store, read_only=True) as catalog:
        return catalog.probes("small")


def planned(store: Path, profile: str = "pebr", golds: dict[str, str] | None = None) -> RegradePlan:
    path = None
    if golds is not None:
        path = store.parent / "golds.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("sample_id", "answer"), *golds.items()])
    return plan_regrade(make_config(store.parent), store, probes_of(store), profile=profile, golds=path)


def bands(store: Path, version: str | None = None) -> list[str]:
    with Catalog.open(store, read_only=True) as catalog:
        rates = catalog.pass_rates(fingerprint().probe_id, GROUP_SIZE, "small", "train", version=version)
    return list(rates["band"])


def in_force(store: Path) -> str | None:
    with Catalog.open(store, read_only=True) as catalog:
        return catalog.grader_version(fingerprint().probe_id)


def fix_of(sample: Sample, answer: str) -> GoldFix:
    return GoldFix(sample.sample_id, answer, None, None, "miscounted")


def only(results: list[Regraded]) -> Regraded:
    (result,) = results
    return result


def test_the_new_grades_stand_beside_the_old_ones_which_still_count(store: Path) -> None:
    before = bands(store)
    result = only(regrade(planned(store)))

    assert result.num_graded == NUM_TRAIN * GROUP_SIZE
    assert (in_force(store), bands(store)) == (PAPER.version, before)
    with Catalog.open(store, read_only=True) as catalog:
        assert catalog.grader_versions(fingerprint().probe_id) == [PAPER.version, GRADER_VERSION]


def test_the_comparison_counts_rollouts_by_both_outcomes_and_samples_by_both_bands(store: Path) -> None:
    found = only(regrade(planned(store))).comparison

    # The rollout without a marker is a correct whole response to `paper`, and no answer to `pebr`.
    assert found is not None
    assert found.confusion == {
        (Outcome.CORRECT, Outcome.CORRECT): 6,
        (Outcome.CORRECT, Outcome.UNPARSED): NUM_TRAIN,
        (Outcome.WRONG, Outcome.WRONG): 24,
    }
    assert found.num_changed == NUM_TRAIN
    # The golds 3 and 4 were right in that rollout alone.
    lost = tuple(sample.sample_id for sample in samples_of(store) if sample.answer in "34")
    assert found.band_changes == (BandChange(Band.MEDIUM, Band.HARD, 4, lost),)


def test_what_was_graded_is_not_graded_again(store: Path) -> None:
    regrade(planned(store))
    assert seconds_expected(planned(store)) is None
    assert only(regrade(planned(store))).num_graded == 0
    merge(store, samples_of(store, "test"), fingerprint())
    assert sum(planned(store).num_owed.values()) == 2 * GROUP_SIZE
    assert only(regrade(planned(store))).num_graded == 2 * GROUP_SIZE


def test_a_plan_counts_what_is_owed_and_estimates_without_keeping_a_grade(store: Path) -> None:
    plan = planned(store)
    assert list(plan.num_owed.values()) == list(plan.num_rollouts.values()) == [NUM_TRAIN * GROUP_SIZE]
    seconds = seconds_expected(plan)
    assert seconds is not None
    assert seconds > 0
    assert planned(store).num_owed == plan.num_owed


def test_an_interrupted_regrade_goes_on_where_it_stopped(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regrading, "BATCH_SIZE", 15)
    seen: list[tuple[int, int | None]] = []
    with pytest.raises(Interrupted, match="interrupted") as caught:
        regrade(
            planned(store),
            use=True,
            progress=lambda done, total, note: seen.append((done, total)),
            stop=lambda: len(seen) == 2,
            resume="pebr-data regrade small.yaml",
        )
    assert "go on with: pebr-data regrade small.yaml" in (caught.value.help or "")
    assert seen == [(15, 40), (30, 40)]
    assert in_force(store) == PAPER.version
    assert only(regrade(planned(store), use=True)).num_graded == 40 - 30
    assert in_force(store) == GRADER_VERSION


def test_used_it_counts_everywhere_and_back_again(store: Path) -> None:
    by_paper = bands(store)
    regrade(planned(store), use=True)
    by_pebr = bands(store)
    assert (by_pebr.count("hard"), by_paper.count("hard")) == (4, 0)
    with Catalog.open(store, read_only=True) as catalog:
        versions = {one.grade.grader_version for one in catalog.rollouts(fingerprint().probe_id)}
        outcomes = catalog.stats("small", GROUP_SIZE).outcomes
    assert versions == {GRADER_VERSION}
    assert outcomes["unparsed"].sum() == NUM_TRAIN

    result = only(regrade(planned(store, "paper"), use=True))

    assert (result.num_graded, bands(store)) == (0, by_paper)


def test_a_mixture_knows_who_graded_and_is_chosen_anew_when_that_changes(store: Path, tmp_path: Path) -> None:
    config = make_config(tmp_path)
    (before,) = select(config, store, names=["reasoning"])
    assert before.config["grader_version"] == PAPER.version
    regrade(planned(store), use=True)
    with pytest.raises(RefusedError, match="not selected yet"):
        frozen(config, store, names=["reasoning"])
    (after,) = select(config, store, names=["reasoning"])
    assert (len(before.sample_ids), len(after.sample_ids)) == (10, 6)
    assert after.config["grader_version"] == GRADER_VERSION


def test_corrected_golds_name_the_version_and_change_nothing_until_used(store: Path) -> None:
    first = samples_of(store)[0]
    plan = planned(store, golds={first.sample_id: "2"})
    assert plan.version == f"{GRADER_VERSION}+golds-{plan.golds}"
    found = only(regrade(plan)).comparison
    assert found is not None
    assert found.confusion[Outcome.WRONG, Outcome.CORRECT] == 1
    assert samples_of(store)[0].answer == first.answer

    regrade(plan, use=True)

    assert samples_of(store)[0] == replace(first, answer="2")
    with Catalog.open(store, read_only=True) as catalog:
        assert catalog.samples("small", "train", golds=SOURCE_GOLDS)[0] == first
        assert [(fix.sample_id, fix.answer) for fix in catalog.golds(plan.golds)] == [(first.sample_id, "2")]


def test_without_the_file_the_sources_golds_are_back(store: Path) -> None:
    first = samples_of(store)[0]
    regrade(planned(store, golds={first.sample_id: "2"}), use=True)
    regrade(planned(store), use=True)
    assert samples_of(store)[0] == first
    assert in_force(store) == GRADER_VERSION


def test_corrections_of_another_catalogs_samples_stay(store: Path) -> None:
    with Catalog.open(store) as catalog:
        other = [replace(candidate(number), source="elsewhere") for number in (90, 91)]
        catalog.ingest("other", "digest", other, ImageStore(store / "images"))
        foreign = catalog.samples("other")[0]
        catalog.use_grading([], "", catalog.save_golds([fix_of(foreign, "8")]))
    plan = planned(store)
    assert golds_of(plan.version) == plan.golds_before != SOURCE_GOLDS
    regrade(plan, use=True)
    with Catalog.open(store, read_only=True) as catalog:
        assert catalog.samples("other")[0].answer == "8"


def test_an_exported_sample_has_the_corrected_gold(store: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    first = samples_of(store)[0]
    regrade(planned(store, golds={first.sample_id: "2"}), use=True)
    (mixture,) = select(make_config(tmp_path), store, names=["reasoning"])
    manifest = export(store, mixture, tmp_path / "exported")
    table = parquet.read_table(tmp_path / "exported" / manifest.shards[0].file, columns=["sample_id", "answer"])
    assert dict(zip(*table.to_pydict().values(), strict=True))[first.sample_id] == "2"


def test_golds_are_changed_for_every_probe_of_the_catalog_or_for_none(store: Path) -> None:
    merge(store, samples_of(store), fingerprint("second"))
    whole = planned(store, golds={samples_of(store)[0].sample_id: "2"})
    part = replace(whole, probes=whole.probes[:1])
    with pytest.raises(UsageError, match="every probe of the catalog"):
        regrade(part, use=True)
    assert len(regrade(part)) == 1
    assert len(regrade(whole, use=True)) == 2
    with Catalog.open(store, read_only=True) as catalog:
        assert {probe.grader_version for probe in catalog.probes("small")} == {whole.version}


def test_a_probe_that_is_under_way_is_graded_but_not_switched(store: Path) -> None:
    with probe_lock(store / "probes" / fingerprint().probe_id), pytest.raises(BusyError, match="running this probe"):
        regrade(planned(store), use=True)
    assert in_force(store) == PAPER.version
    assert planned(store).num_owed == {fingerprint().probe_id: 0}


@pytest.mark.parametrize("golds", [None, "2"])
@pytest.mark.parametrize("profile", ["paper", "pebr"])
def test_a_later_probe_grades_by_what_is_in_force(store: Path, profile: str, golds: str | None) -> None:
    samples = samples_of(store, "test")
    fixes = None if golds is None else {samples[0].sample_id: golds, samples_of(store)[0].sample_id: golds}
    plan = planned(store, profile, fixes)
    regrade(plan, use=True)

    read = samples_of(store, "test")
    engine = Answering(samples)
    run_probe(store, read, fingerprint(), lambda: engine, num_rollouts=GROUP_SIZE)

    assert len(engine.asked) == 2 * GROUP_SIZE
    with Catalog.open(store, read_only=True) as catalog:
        made = catalog.rollouts(fingerprint().probe_id, [sample.sample_id for sample in samples])
    assert len(made) == 2 * GROUP_SIZE
    assert {rollout.grade.grader_version for rollout in made} == {plan.version}
    correct = [
        one.key.index for one in made if one.key.sample_id == samples[0].sample_id and one.grade.outcome == "correct"
    ]
    gold = samples[0].answer if golds is None else golds
    assert correct == [index for index in range(GROUP_SIZE) if PROFILE_READS[profile](samples[0], index) == gold]


PROFILE_READS: dict[str, Callable[[Sample, int], str | None]] = {
    "paper": lambda sample, index: str(index) if index < GROUP_SIZE - 1 else sample.answer,
    "pebr": lambda sample, index: str(index) if index < GROUP_SIZE - 1 else None,
}


def test_a_probe_whose_grading_has_other_golds_than_the_samples_keeps_to_its_own(store: Path) -> None:
    """Another catalog's regrade has changed the golds under a probe that it did not concern."""
    sample = samples_of(store, "test")[0]
    with Catalog.open(store) as catalog:
        catalog.use_grading([], "", catalog.save_golds([fix_of(sample, "1")]))
    read = samples_of(store, "test")
    assert read[0].answer == "1"
    run_probe(store, read, fingerprint(), lambda: Answering([sample, *read[1:]]), num_rollouts=2)
    with Catalog.open(store, read_only=True) as catalog:
        made = catalog.rollouts(fingerprint().probe_id, [sample.sample_id])
    assert [one.grade.outcome for one in made] == [
        "correct" if str(index) == sample.answer else "wrong" for index in range(2)
    ]


def test_a_new_probe_goes_by_the_corrected_golds(store: Path) -> None:
    sample = samples_of(store)[0]
    plan = planned(store, golds={sample.sample_id: "2"})
    regrade(plan, use=True)
    policy = fingerprint("later")
    run_probe(store, samples_of(store)[:1], policy, lambda: Answering([sample]), num_rollouts=3)
    with Catalog.open(store, read_only=True) as catalog:
        made = catalog.rollouts(policy.probe_id)
    assert [one.grade.outcome for one in made] == ["wrong", "wrong", "correct"]
    assert {one.grade.grader_version for one in made} == {plan.version}


def test_grades_of_another_pebr_are_never_mixed_with_new_ones(store: Path, tmp_path: Path) -> None:
    foreign = fingerprint("foreign")
    sample = samples_of(store)[0]
    with Catalog.open(store) as catalog:
        catalog.register_probe(foreign)
        verdict = replace(PAPER.grade([("1", sample, "stop")])[0], grader_version="pebr-0")
        key = RolloutKey(foreign.probe_id, sample.sample_id, 0)
        catalog.merge_rollouts([Rollout(key, Generation("1", 1, "stop"), verdict)])

    with pytest.raises(RefusedError, match="pebr-0 graded them") as caught:
        run_probe(store, [sample], foreign, lambda: Answering([sample]), num_rollouts=2)
    assert f"pebr-data regrade CATALOG.yaml --probe {foreign.probe_id} --use" in (caught.value.help or "")
    run_probe(store, [sample], foreign, lambda: Answering([sample]), num_rollouts=1)

    plan = planned(store)
    regrade(replace(plan, probes=tuple(one for one in plan.probes if one.probe_id == foreign.probe_id)), use=True)
    assert run_probe(store, [sample], foreign, lambda: Answering([sample]), num_rollouts=2).num_generated == 1
    with Catalog.open(store, read_only=True) as catalog:
        assert {one.grade.grader_version for one in catalog.rollouts(foreign.probe_id)} == {GRADER_VERSION}


def test_what_another_pebr_left_in_the_spool_is_recovered_under_the_grading_in_force(store: Path) -> None:
    regrade(planned(store), use=True)
    sample = samples_of(store, "test")[0]
    (verdict,) = PAPER.grade([("### The final answer is: 0", sample, "stop")])
    left = Rollout(
        RolloutKey(fingerprint().probe_id, sample.sample_id, 0),
        Generation("### The final answer is: 0", 5, "stop"),
        replace(verdict, grader_version="pebr-0"),
    )
    with SpoolWriter(store / "probes" / fingerprint().probe_id / "spool") as spool:
        spool.append([left])
        spool.sync()

    result = run_probe(store, [sample], fingerprint(), lambda: Answering([sample]), num_rollouts=2)

    assert (result.num_recovered, result.num_generated) == (1, 1)
    with Catalog.open(store, read_only=True) as catalog:
        made = catalog.rollouts(fingerprint().probe_id, [sample.sample_id])
    assert [one.grade.grader_version for one in made] == [GRADER_VERSION] * 2
    assert made[0].grade.outcome == "correct"


def test_versions_say_whose_rules_and_which_golds() -> None:
    version = Grading(Grader("paper"), "1a2b3c4d").version
    assert (profile_of(version), golds_of(version)) == ("paper", "1a2b3c4d")
    assert (profile_of(GRADER_VERSION), golds_of(GRADER_VERSION)) == ("pebr", SOURCE_GOLDS)
    assert profile_of("pebr-0") is None
