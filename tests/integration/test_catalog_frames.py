"""The catalog as lazy frames says what its other readers say."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.errors import DataError
from pebr_data.types import Outcome
from tests.probed_store import fill, group, probe


def test_frames_hold_what_the_lists_hold(tmp_path: Path) -> None:
    sample_ids = fill(tmp_path, {"train": 6, "test": 2})
    probe_id = probe(tmp_path, {sample_id: group(2) for sample_id in sample_ids[:3]})
    with Catalog.open(tmp_path, read_only=True) as catalog:
        samples = catalog.lazy.samples("small", "train").collect()
        listed = catalog.samples("small", "train")
        assert samples["sample_id"].to_list() == [sample.sample_id for sample in listed]
        assert samples["image_hashes"].to_list() == [list(sample.image_hashes) for sample in listed]
        assert [json.loads(text) for text in samples["metadata"]] == [sample.metadata for sample in listed]
        right = catalog.lazy.rollouts(probe_id).filter(pl.col("outcome") == "correct").select("sample_id", "idx")
        assert sorted(right.collect().rows()) == [
            (one.key.sample_id, one.key.index)
            for one in catalog.rollouts(probe_id)
            if one.grade.outcome is Outcome.CORRECT
        ]
        rates = catalog.lazy.pass_rates(probe_id, 4, "small")
        joined = catalog.lazy.samples("small").join(rates, on="sample_id").select("pass_rate").collect()
        assert joined["pass_rate"].drop_nulls().to_list() == [0.5] * 3
        assert samples.to_arrow().num_rows == 6


def test_frames_of_what_is_not_there_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"train": 1})
    with Catalog.open(tmp_path, read_only=True) as catalog:
        with pytest.raises(DataError, match="no catalog named other"):
            catalog.lazy.samples("other")
        with pytest.raises(DataError, match="no probe feed"):
            catalog.lazy.rollouts("feed")
