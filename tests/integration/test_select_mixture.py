from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.errors import ConfigError, DataError, RefusedError, UsageError
from pebr_data.images import ImageStore
from pebr_data.select.default_probe import find_probe, remember_probe
from pebr_data.select.mixture import frozen, preview, select
from pebr_data.types import Outcome
from tests.probed_store import YAML, candidate, fill, fingerprint, group, make_config, probe

NUM_SAMPLES = 20


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 train samples with 0..4 of 4 correct in turn, and 2 test samples that were not probed."""
    store = tmp_path_factory.mktemp("template") / "store"
    sample_ids = fill(store, {"train": NUM_SAMPLES, "test": 2})[:NUM_SAMPLES]
    probe(store, {sample_id: group(n % 5) for n, sample_id in enumerate(sample_ids)})
    return store


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Path:
    """A copy of the template that a test may change."""
    return Path(shutil.copytree(template, tmp_path / "store"))


def test_the_three_mixtures_hold_exactly_their_bands(store: Path, tmp_path: Path) -> None:
    config = make_config(tmp_path)

    mixtures = {mixture.name: mixture for mixture in select(config, store)}

    with Catalog.open(store, read_only=True) as catalog:
        sample_ids = [sample.sample_id for sample in catalog.samples("small", split="train")]
    by_correct = {k: set(sample_ids[k::5]) for k in range(5)}
    assert set(mixtures["warmup"].sample_ids) == by_correct[0]
    assert set(mixtures["perception"].sample_ids) == by_correct[4]
    assert set(mixtures["reasoning"].sample_ids) == by_correct[1] | by_correct[2] | by_correct[3]
    assert mixtures["warmup"].drops == {"band-easy": 4, "band-medium": 12}


def test_the_control_is_as_large_as_what_it_matches_and_draws_from_every_band(store: Path, tmp_path: Path) -> None:
    control, reasoning = select(make_config(tmp_path), store, names=["control", "reasoning"])

    assert len(control.sample_ids) == len(reasoning.sample_ids) == 12
    assert control.drops == {"not-drawn": 8}
    assert set(control.sample_ids) - set(reasoning.sample_ids)


def test_the_control_needs_no_selection_of_what_it_matches(store: Path, tmp_path: Path) -> None:
    (control,) = select(make_config(tmp_path), store, names=["control"])
    assert len(control.sample_ids) == 12


def test_selecting_again_gives_the_same_frozen_mixtures_and_writes_nothing(store: Path, tmp_path: Path) -> None:
    config = make_config(tmp_path)

    first = select(config, store)
    with Catalog.open(store, read_only=True):
        # Another reader would make a write wait, and with it fail this test.
        second = select(config, store)

    assert second == first
    assert frozen(config, store) == first


def test_more_rollouts_make_another_mixture_and_leave_the_old_one(store: Path, tmp_path: Path) -> None:
    config = make_config(tmp_path)
    before = {mixture.name: mixture for mixture in select(config, store)}
    grown = [candidate(number) for number in (*range(NUM_SAMPLES), 99)]
    with Catalog.open(store) as catalog:
        catalog.ingest("small", "digest of the grown source", iter(grown), ImageStore(store / "images"))
        new = next(sample.sample_id for sample in catalog.samples("small") if "picture 99" in sample.question)
    probe(store, {new: group(0)})

    after = {mixture.name: mixture for mixture in select(config, store)}

    assert new in after["warmup"].sample_ids
    assert after["warmup"].mixture_id != before["warmup"].mixture_id
    with Catalog.open(store, read_only=True) as catalog:
        assert catalog.mixture(before["warmup"].mixture_id) == before["warmup"]


def test_a_choice_made_again_is_the_one_that_counts(store: Path, tmp_path: Path) -> None:
    config, images = make_config(tmp_path), ImageStore(store / "images")
    with Catalog.open(store, read_only=True) as catalog:
        numbers = [int(sample.question.split()[-1].rstrip("?")) for sample in catalog.samples("small", "train")]
    first = select(config, store, names=["warmup"])
    for change, held in (("smaller", numbers[1:]), ("as before", numbers)):
        with Catalog.open(store) as catalog:
            catalog.ingest("small", change, map(candidate, held), images)
        selected = select(config, store, names=["warmup"])
        assert frozen(config, store, names=["warmup"]) == selected

    assert selected == first


def test_an_incomplete_group_is_never_banded_and_says_why(tmp_path: Path) -> None:
    store = tmp_path / "store"
    ids = fill(store, {"train": 5})
    probe(
        store,
        {
            ids[0]: group(0),
            ids[1]: group(0)[:3],
            ids[2]: [*group(0)[:3], Outcome.ERROR],
            ids[3]: [Outcome.UNGRADABLE] * 4,
        },
    )

    (warmup,) = select(make_config(tmp_path), store, names=["warmup"])

    assert warmup.sample_ids == (ids[0],)
    assert warmup.drops == {"error": 1, "incomplete": 1, "ungradable": 1, "unprobed": 1}


def test_without_one_complete_group_selecting_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "store"
    ids = fill(store, {"train": 2})
    probe(store, {ids[0]: group(0)[:3]})

    with pytest.raises(RefusedError, match="all its 4 rollouts") as caught:
        select(make_config(tmp_path), store)
    assert "pebr-data probe" in (caught.value.help or "")


def test_an_unprobed_catalog_is_refused_with_the_command_to_probe_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    fill(store, {"train": 2})
    with pytest.raises(RefusedError, match="not been probed") as caught:
        select(make_config(tmp_path), store)
    assert "pebr-data probe" in (caught.value.help or "")


def test_a_whole_split_can_be_taken_although_it_was_never_probed(store: Path, tmp_path: Path) -> None:
    config = make_config(tmp_path, YAML + "  demonstrations: {policy: all, split: test}\n")
    (demonstrations,) = select(config, store, names=["demonstrations"])
    assert len(demonstrations.sample_ids) == 2
    assert not demonstrations.drops


def test_a_split_without_samples_names_those_that_have_some(store: Path, tmp_path: Path) -> None:
    config = make_config(tmp_path, YAML.replace("band: hard", "band: hard, split: tarin"))
    with pytest.raises(DataError, match=r"tarin.*test, train"):
        select(config, store, names=["warmup"])


def test_an_unknown_mixture_names_the_known_ones(store: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'warmpu'") as caught:
        select(make_config(tmp_path), store, names=["warmpu"])
    assert "warmup" in (caught.value.help or "")


def test_a_catalog_without_mixtures_is_a_configuration_error(store: Path, tmp_path: Path) -> None:
    config = make_config(tmp_path, YAML[: YAML.index("mixtures:")])
    with pytest.raises(ConfigError, match="no mixtures"):
        select(config, store)


def test_a_changed_yaml_is_not_frozen_yet(store: Path, tmp_path: Path) -> None:
    select(make_config(tmp_path), store)
    config = make_config(tmp_path, YAML.replace("band: hard", "band: hard, limit: 2"))

    with pytest.raises(RefusedError, match="warmup"):
        frozen(config, store)
    (warmup,) = select(config, store, names=["warmup"])
    assert len(warmup.sample_ids) == 2
    assert warmup.drops["over-limit"] == 2


def test_a_preview_writes_nothing(store: Path, tmp_path: Path) -> None:
    config = make_config(tmp_path)
    _, choices = preview(config, store)
    with Catalog.open(store, read_only=True) as catalog:
        assert catalog.mixtures() == []
    assert {name: tuple(choice.kept) for name, choice in choices.items()} == {
        mixture.name: mixture.sample_ids for mixture in select(config, store)
    }


class TestWhichProbe:
    def test_of_several_policies_one_must_be_named(self, store: Path, tmp_path: Path) -> None:
        config = make_config(tmp_path)
        with Catalog.open(store, read_only=True) as catalog:
            (first,) = catalog.probes("small")
            sample_id = catalog.samples("small", split="train")[0].sample_id
        second = probe(store, {sample_id: group(2)}, fingerprint("warmed-up"))

        with pytest.raises(UsageError, match="2 probes") as caught:
            select(config, store)
        assert first.probe_id in str(caught.value)
        assert second in str(caught.value)
        for asked in (second, second[:6], "warmed-up"):
            assert {mixture.probe_id for mixture in select(config, store, probe_id=asked)} == {second}

    def test_a_probe_that_finished_no_group_is_not_taken_by_itself(self, store: Path, tmp_path: Path) -> None:
        config = make_config(tmp_path)
        with Catalog.open(store, read_only=True) as catalog:
            (first,) = catalog.probes("small")
            sample_id = catalog.samples("small", split="train")[0].sample_id
        evaluated = fingerprint("warmed-up")
        probe(store, {sample_id: group(2)[:2]}, evaluated)
        probe(store, {sample_id: group(2)[:1]}, dataclasses.replace(evaluated, temperature=0.0, top_p=1.0))

        with Catalog.open(store, read_only=True) as catalog:
            assert find_probe(catalog, store, config).probe_id == first.probe_id
            assert find_probe(catalog, store, config, "warmed-up").probe_id == evaluated.probe_id

    def test_the_one_that_was_run_last_is_preferred(self, store: Path, tmp_path: Path) -> None:
        config = make_config(tmp_path)
        with Catalog.open(store, read_only=True) as catalog:
            sample_id = catalog.samples("small", split="train")[0].sample_id
        second = probe(store, {sample_id: group(2)}, fingerprint("warmed-up"))

        remember_probe(store, "small", second)

        with Catalog.open(store, read_only=True) as catalog:
            assert find_probe(catalog, store, config).probe_id == second

    def test_it_does_not_matter_where_the_engine_was_placed(self, store: Path, tmp_path: Path) -> None:
        config = make_config(tmp_path)
        placed = config.probe.model_copy(update={"engine": "ray", "engine_options": {"engine": "transformers"}})

        with Catalog.open(store, read_only=True) as catalog:
            (only,) = catalog.probes("small")
            assert find_probe(catalog, store, config.model_copy(update={"probe": placed})).probe_id == only.probe_id

    def test_a_probe_under_other_settings_is_not_taken_by_itself(self, tmp_path: Path) -> None:
        store = tmp_path / "store"
        (sample_id,) = fill(store, {"train": 1})
        other = probe(store, {sample_id: group(2)}, fingerprint(temperature=0.7))

        with pytest.raises(RefusedError, match=f"under others.*{other}"):
            select(make_config(tmp_path), store)
        assert select(make_config(tmp_path), store, probe_id=other)

    def test_an_unknown_probe_lists_the_known_ones(self, store: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"no probe: .*scripted, 80 rollouts"):
            select(make_config(tmp_path), store, probe_id="zzzz")
