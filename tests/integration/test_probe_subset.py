"""Which of a catalog's samples are probed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig
from pebr_data.errors import DataError, RefusedError, UsageError
from pebr_data.probe.run import plan_probe, probe
from pebr_data.probe.subset import Subset, parse_since, parse_where, read_samples
from pebr_data.select.mixture import select
from tests.integration.test_probe import Scripted
from tests.probed_store import YAML, candidate, fill, ingest, make_config


@pytest.fixture
def config(tmp_path: Path) -> CatalogConfig:
    return make_config(tmp_path, YAML.replace("  template", "  condition: blind\n  template"))


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "config.json").write_text("{}")
    return str(tmp_path / "policy")


def test_parts_of_a_catalog_are_probed(config: CatalogConfig, model: str, tmp_path: Path) -> None:
    small = tmp_path / "small"
    ids = fill(small, {"train": 6, "test": 2})

    def chosen(**parts: object) -> list[str]:
        return [one.sample_id for one in read_samples(config, small, Subset(**parts))]  # type: ignore[arg-type]

    assert chosen(where=parse_where(["skill=compare"])) == ids[0:6:2]
    assert chosen(where=parse_where(["skill=compare", "skill=count", "source=made"]), limit=4) == ids[:4]
    assert chosen(split="test", where={"answer_type": ["count"]}) == ids[6:]
    with pytest.raises(DataError, match=r"no samples in the split 'train' .*: source other"):
        chosen(where={"source": ["other"]})

    with pytest.raises(RefusedError, match="'warmup' has not been selected"):
        chosen(mixture="warmup")
    probe(config, small, model, engine=Scripted())
    warmup = next(one for one in select(config, small) if one.name == "warmup")
    assert chosen(mixture="warmup") == list(warmup.sample_ids)
    assert plan_probe(config, small, model, subset=Subset(where={"skill": ["count"]}), num_rollouts=5).num_owed == 3


def test_new_samples_alone_are_probed(config: CatalogConfig, tmp_path: Path) -> None:
    small = tmp_path / "small"
    fill(small, {"train": 3})
    before = datetime.now(UTC).replace(tzinfo=None)
    everything = set(ingest(small, (candidate(number) for number in range(5))))
    with Catalog.open(small, read_only=True) as catalog:
        old = {one.sample_id for one in catalog.samples("small")[:3]}
    new = {one.sample_id for one in read_samples(config, small, Subset(since=before))}
    assert (len(everything), new) == (5, everything - old)
    with pytest.raises(DataError, match="added since"):
        read_samples(config, small, Subset(since=before + timedelta(hours=1)))


def test_what_means_no_part_is_a_usage_error() -> None:
    for text in ("skill", "skill=", "metadata=1"):
        with pytest.raises(UsageError, match="--where expects KEY=VALUE"):
            parse_where([text])
    with pytest.raises(UsageError, match="--since expects a date"):
        parse_since("yesterday")
    assert parse_since("2026-05-31T14:00+02:00") == datetime(2026, 5, 31, 12)
