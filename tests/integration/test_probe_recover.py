"""A probe after a crash: what its spool has and the catalog lacks, and what damage costs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.errors import BusyError
from pebr_data.probe.run import run_probe
from pebr_data.probe.spool import read_spool
from pebr_data.types import Rollout
from tests.integration.test_probe import Scripted, kept, must_not_load, run, samples_of
from tests.probed_store import fill, fingerprint


@pytest.fixture
def store(tmp_path: Path) -> Path:
    fill(tmp_path / "store", {"train": 6})
    return tmp_path / "store"


def test_what_only_the_spool_has_is_merged_and_not_made_again(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Catalog, merged: Iterable[Rollout]) -> int:
        raise BusyError("somebody holds the catalog")

    engine = Scripted()
    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "merge_rollouts", refuse)
        with pytest.raises(BusyError):
            run(store, engine)
    assert kept(store, fingerprint()) == []
    result = run_probe(store, samples_of(store), fingerprint(), must_not_load, num_rollouts=4)
    assert (result.num_recovered, result.num_generated, result.num_owed) == (24, 0, 0)
    assert {rollout.key for rollout in kept(store, fingerprint())} == set(engine.made)


@pytest.mark.parametrize(("packs", "num_lost"), [(False, 1), (True, 24)], ids=["appended to", "packed"])
def test_damage_in_the_spool_is_named_and_what_it_costs_made_again(
    store: Path, monkeypatch: pytest.MonkeyPatch, packs: bool, num_lost: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "merge_rollouts", lambda self, merged: 0)
        if not packs:
            patch.setattr("pebr_data.probe.generate.pack_spool", lambda directory: None)
        run(store, Scripted())
    (segment,) = read_spool(store / "probes" / fingerprint().probe_id / "spool")
    data = bytearray(segment.path.read_bytes())
    data[20] ^= 0xFF
    segment.path.write_bytes(data)

    result = run(store, Scripted())
    assert (result.num_recovered, result.num_generated, result.num_owed) == (24 - num_lost, num_lost, 0)
    assert result.damaged == (f"{segment.path}, byte 0",)
