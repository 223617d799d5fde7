"""The probe around a scripted generation source: what it does, keeps, owes and says."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.engines.base import Engine, Request, Sampling
from pebr_data.errors import BusyError, ConfigError, DataError, Interrupted, UnavailableError, UsageError
from pebr_data.probe import keep
from pebr_data.probe.lock import probe_lock
from pebr_data.probe.pace import PACE_FILE, Pace, write_pace
from pebr_data.probe.run import ProbeResult, plan_probe, probe, run_probe
from pebr_data.types import Fingerprint, Generation, Outcome, Rollout, RolloutKey, Sample
from tests.probed_store import fill, fingerprint, make_config


class Scripted:
    """Answers from each key's seed; `fails` are sample ids that give errors, and it breaks after `breaks_after`."""

    name = "transformers"

    def __init__(self, fails: Iterable[str] = (), breaks_after: int | None = None) -> None:
        self.fails = set(fails)
        self.breaks_after = breaks_after
        self.made: list[RolloutKey] = []
        self.requests: list[Request] = []
        self.sampling: Sampling | None = None

    def generate(
        self, requests: Iterable[Request], sampling: Sampling, *, stop: Callable[[], object] | None = None
    ) -> Iterator[tuple[RolloutKey, Generation]]:
        self.sampling = sampling
        for request in requests:
            self.requests.append(request)
            for key in request.keys:
                if len(self.made) == self.breaks_after:
                    raise RuntimeError("the machine is on fire")
                self.made.append(key)
                yield key, self.generation(key)
            if stop is not None and stop():
                return

    def generation(self, key: RolloutKey) -> Generation:
        if key.sample_id in self.fails:
            return Generation("", 0, "error", error=f"ValueError: {key.sample_id}")
        return Generation(f"### The final answer is: {key.seed % 5}", 9, "stop", 30, 9)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("template") / "store"
    fill(store, {"train": 6, "test": 2})
    return store


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "store"))


def samples_of(store: Path, split: str = "train") -> list[Sample]:
    with Catalog.open(store, read_only=True) as catalog:
        return catalog.samples("small", split)


def kept(store: Path, policy: Fingerprint) -> list[Rollout]:
    with Catalog.open(store, read_only=True) as catalog:
        return catalog.rollouts(policy.probe_id)


def run(store: Path, engine: Engine, num_rollouts: int = 4, policy: Fingerprint | None = None) -> ProbeResult:
    return run_probe(store, samples_of(store), policy or fingerprint(), lambda: engine, num_rollouts=num_rollouts)


def must_not_load() -> Engine:
    raise AssertionError("nothing is owed, so nothing may be loaded")


def test_every_wanted_rollout_is_made_once_and_kept_with_its_grade(store: Path) -> None:
    engine = Scripted()
    result = run(store, engine)
    assert (result.num_generated, result.num_kept, result.num_owed) == (24, 0, 0)
    rollouts = kept(store, fingerprint())
    assert {rollout.key for rollout in rollouts} == set(engine.made)
    answers = {sample.sample_id: sample.answer for sample in samples_of(store)}
    for rollout in rollouts:
        correct = str(rollout.key.seed % 5) == answers[rollout.key.sample_id]
        assert rollout.generation == engine.generation(rollout.key)
        assert rollout.grade.outcome == (Outcome.CORRECT if correct else Outcome.WRONG)
    assert sum(result.outcomes.values()) == 24


def test_the_engine_is_asked_as_the_fingerprint_says(store: Path) -> None:
    engine = Scripted()
    run(store, engine, policy=fingerprint(max_pixels=800))
    assert engine.sampling == Sampling(1.2, 0.99, 64)
    request, sample = engine.requests[0], samples_of(store)[0]
    assert [part["type"] for part in request.prompt[0]["content"]] == ["image", "text"]
    assert request.prompt[0]["content"][1]["text"] == sample.question
    (image,) = request.images
    assert image.width * image.height <= 800


@pytest.mark.parametrize("condition", ["blind", "described"])
def test_other_conditions_show_no_image(store: Path, condition: str) -> None:
    engine = Scripted()
    run(store, engine, policy=fingerprint(condition=condition))
    assert all(not request.images for request in engine.requests)


def test_a_second_run_loads_nothing(store: Path) -> None:
    run(store, Scripted())
    result = run_probe(store, samples_of(store), fingerprint(), must_not_load, num_rollouts=4)
    assert (result.num_kept, result.num_generated, result.num_owed) == (24, 0, 0)


def test_asking_for_more_makes_only_the_difference(store: Path) -> None:
    run(store, Scripted(), num_rollouts=2)
    engine = Scripted()
    result = run(store, engine, num_rollouts=4)
    assert (result.num_kept, result.num_generated) == (12, 12)
    assert {key.index for key in engine.made} == {2, 3}


def test_another_policy_shares_nothing(store: Path) -> None:
    run(store, Scripted())
    result = run(store, Scripted(), policy=fingerprint(temperature=1.0))
    assert result.num_generated == 24
    assert result.probe_id != fingerprint().probe_id
    assert len(kept(store, fingerprint())) == 24


def test_failed_rollouts_are_reported_and_owed_again(store: Path) -> None:
    bad = samples_of(store)[2].sample_id
    first = run(store, Scripted(fails=[bad]))
    assert (first.outcomes[Outcome.ERROR], first.num_owed) == (4, 4)
    assert first.errors == (f"ValueError: {bad}",)
    engine = Scripted()
    second = run(store, engine)
    assert (second.num_kept, second.num_generated, second.num_owed) == (20, 4, 0)
    assert {key.sample_id for key in engine.made} == {bad}
    assert all(rollout.generation.finish_reason == "stop" for rollout in kept(store, fingerprint()))


def test_when_everything_fails_the_reason_is_raised(store: Path) -> None:
    engine = Scripted(fails=[sample.sample_id for sample in samples_of(store)])
    with pytest.raises(UnavailableError, match="everything that was generated failed: ValueError"):
        run(store, engine)
    assert run(store, Scripted()).num_generated == 24


def test_a_sample_that_always_fails_does_not_undo_what_the_others_gave(store: Path) -> None:
    bad = samples_of(store)[2].sample_id
    run(store, Scripted(fails=[bad]))
    again = run(store, Scripted(fails=[bad]))
    assert (again.num_kept, again.num_owed, again.errors) == (20, 4, (f"ValueError: {bad}",))


def test_a_missing_image_fails_its_sample_alone(store: Path) -> None:
    first = samples_of(store)[0]
    (image,) = (store / "images").rglob(f"{first.image_hashes[0]}.*")
    image.unlink()
    result = run(store, Scripted())
    assert (result.outcomes[Outcome.ERROR], result.num_owed) == (4, 4)
    assert "there is no image" in result.errors[0]


def test_what_was_made_before_a_crash_is_kept(store: Path) -> None:
    engine = Scripted(breaks_after=10)
    with pytest.raises(RuntimeError, match="on fire"):
        run(store, engine)
    assert {rollout.key for rollout in kept(store, fingerprint())} == set(engine.made)
    assert run(store, Scripted()).num_generated == 14


def test_a_busy_catalog_in_between_does_not_stop_the_probe(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep, "MERGE_EVERY", 4)
    merge, calls = Catalog.merge_rollouts, 0

    def sometimes(self: Catalog, merged: Iterable[Rollout]) -> int:
        nonlocal calls
        calls += 1
        if calls <= 2:
            raise BusyError("somebody holds the catalog")
        return merge(self, merged)

    monkeypatch.setattr(Catalog, "merge_rollouts", sometimes)
    assert run(store, Scripted()).num_generated == 24
    assert len(kept(store, fingerprint())) == 24


@pytest.mark.parametrize(("share", "often"), [(1e9, True), (1e-9, False)])
def test_merging_takes_a_small_share_of_the_time(
    store: Path, monkeypatch: pytest.MonkeyPatch, share: float, often: bool
) -> None:
    monkeypatch.setattr(keep, "SYNC_EVERY", 1)
    monkeypatch.setattr(keep, "MERGE_SECONDS", 0.0)
    monkeypatch.setattr(keep, "MERGE_SHARE", share)
    merge, sizes = Catalog.merge_rollouts, list[int]()

    def counted(self: Catalog, merged: Sequence[Rollout]) -> int:
        sizes.append(len(merged))
        return merge(self, merged)

    monkeypatch.setattr(Catalog, "merge_rollouts", counted)
    assert run(store, Scripted()).num_generated == 24
    # The first merge shows how long one takes; what is left is merged at the end.
    assert sizes == ([1] * 24 if often else [1, 23])
    assert len(kept(store, fingerprint())) == 24


def test_one_run_of_a_probe_at_a_time(store: Path) -> None:
    with (
        probe_lock(store / "probes" / fingerprint().probe_id),
        pytest.raises(BusyError, match=r"process \d+ on \S+ is running this probe"),
    ):
        run(store, Scripted())
    assert run(store, Scripted()).num_generated == 24
    with probe_lock(store / "probes" / fingerprint().probe_id):
        assert run(store, Scripted()).num_owed == 0, "a finished probe has nothing to wait for"


def test_the_catalog_can_be_read_while_a_probe_generates(store: Path) -> None:
    class Reading(Scripted):
        def generation(self, key: RolloutKey) -> Generation:
            assert len(samples_of(store)) == 6
            return super().generation(key)

    assert run(store, Reading()).num_generated == 24


def test_stopping_keeps_what_was_made_and_names_the_command(store: Path) -> None:
    engine = Scripted()
    with pytest.raises(Interrupted) as caught:
        run_probe(
            store,
            samples_of(store),
            fingerprint(),
            lambda: engine,
            num_rollouts=4,
            stop=lambda: len(engine.made) >= 8,
            resume="pebr-data probe x.yaml",
        )
    assert caught.value.exit_code == 130
    assert "pebr-data probe x.yaml" in str(caught.value.help)
    assert len(kept(store, fingerprint())) == 8
    assert run(store, Scripted()).num_generated == 16


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_probe_after_the_batch_in_hand(store: Path, number: signal.Signals, code: int) -> None:
    class Signalled(Scripted):
        def generation(self, key: RolloutKey) -> Generation:
            if len(self.made) == 5:
                signal.raise_signal(number)
            return super().generation(key)

    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        run(store, Signalled())
    assert caught.value.exit_code == code
    assert signal.getsignal(number) == before
    assert len(kept(store, fingerprint())) == 8


def test_a_second_signal_ends_it_at_once_and_still_keeps_what_was_made(store: Path) -> None:
    class Signalled(Scripted):
        def generation(self, key: RolloutKey) -> Generation:
            if len(self.made) in (2, 4):
                signal.raise_signal(signal.SIGINT)
            return super().generation(key)

    with pytest.raises(KeyboardInterrupt):
        run(store, Signalled())
    assert len(kept(store, fingerprint())) == 3


def test_progress_counts_from_what_is_kept_to_all(store: Path) -> None:
    run(store, Scripted(), num_rollouts=1)
    seen: list[tuple[int, int]] = []
    run_probe(
        store,
        samples_of(store),
        fingerprint(),
        Scripted,
        num_rollouts=4,
        progress=lambda done, total, note: seen.append((done, total)),
    )
    assert seen[0] == (6, 24)
    assert seen[-1] == (24, 24)


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "config.json").write_text("{}")
    return str(tmp_path / "policy")


@pytest.fixture
def config(tmp_path: Path) -> CatalogConfig:
    return make_config(tmp_path)


def test_a_catalog_is_probed_by_its_configuration(store: Path, config: CatalogConfig, model: str) -> None:
    plan = plan_probe(config, store, model)
    assert (plan.num_samples, plan.num_kept, plan.num_owed, plan.max_tokens) == (6, 0, 24, 24 * 64)
    assert plan.expected_tokens is None

    result = probe(config, store, model, engine=Scripted())

    assert (result.probe_id, result.num_generated) == (plan.probe_id, 24)
    assert result.fingerprint.model == "policy"
    more = plan_probe(config, store, model, num_rollouts=6)
    assert (more.num_kept, more.num_owed, more.expected_tokens) == (24, 12, 12 * 9)


def test_split_limit_and_rollouts_narrow_it(store: Path, config: CatalogConfig, model: str) -> None:
    engine = Scripted()
    probe(config, store, model, split="test", limit=1, num_rollouts=2, engine=engine)
    assert [key.sample_id for key in engine.made] == [samples_of(store, "test")[0].sample_id] * 2


def test_a_plan_counts_what_is_only_in_the_spool(
    store: Path, config: CatalogConfig, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Catalog, "merge_rollouts", lambda self, merged: 0)
    probe(config, store, model, engine=Scripted())
    assert plan_probe(config, store, model).num_owed == 0


def test_a_missing_split_names_the_build(store: Path, config: CatalogConfig, model: str) -> None:
    with pytest.raises(DataError, match="no samples in the split 'validation'") as caught:
        probe(config, store, model, split="validation", engine=Scripted())
    assert "pebr-data build" in str(caught.value.help)


def test_settings_that_do_not_exist_are_configuration_errors(store: Path, config: CatalogConfig, model: str) -> None:
    for change, match in (({"engine": "vlm"}, "unknown engine"), ({"template": "section"}, "unknown prompt template")):
        changed = config.model_copy(update={"probe": config.probe.model_copy(update=change)})
        with pytest.raises(ConfigError, match=match):
            plan_probe(changed, store, model)


def test_an_engine_that_is_not_the_configured_one_is_refused(store: Path, config: CatalogConfig, model: str) -> None:
    other = Scripted()
    other.name = "server"
    with pytest.raises(UsageError, match="not 'server'"):
        probe(config, store, model, engine=other)


def test_seeds_come_from_the_key_alone() -> None:
    key = RolloutKey(fingerprint().probe_id, "sample", 3)
    assert key.seed == replace(key).seed
    assert len({replace(key, index=index).seed for index in range(100)}) == 100


def test_a_probe_whose_engine_does_not_open_leaves_no_trace_in_the_catalog(store: Path) -> None:
    def broken() -> Engine:
        raise UnavailableError("the model cannot be loaded")

    with pytest.raises(UnavailableError):
        run_probe(store, samples_of(store), fingerprint(), broken, num_rollouts=4)
    with Catalog.open(store, read_only=True) as catalog:
        assert catalog.probes() == []


def test_a_plan_tells_time_only_by_what_this_model_was_timed_at(
    store: Path, config: CatalogConfig, model: str, tmp_path: Path
) -> None:
    unknown = plan_probe(config, store, model)
    probe(config, store, model, limit=2, engine=Scripted())
    pace = Pace(num_rollouts=8, num_tokens=40, seconds=2.0)
    directory = store / "probes" / unknown.probe_id
    assert json.loads((directory / PACE_FILE).read_text("utf-8"))["num_tokens"] == 8 * 9
    write_pace(directory, pace)
    write_pace(directory, Pace(num_rollouts=3, num_tokens=3, seconds=9.0))
    hotter = config.model_copy(update={"probe": config.probe.model_copy(update={"temperature": 1.5})})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"other": true}', encoding="utf-8")

    same, alike = plan_probe(config, store, model), plan_probe(hotter, store, model)

    assert (unknown.expected_tokens, unknown.expected_seconds) == (None, None)
    assert (same.num_owed, same.expected_tokens, same.expected_seconds) == (16, 80, 4.0)
    assert (alike.num_owed, alike.expected_tokens, alike.expected_seconds) == (24, 120, 6.0)
    assert plan_probe(config, store, str(tmp_path / "other")).pace is None
