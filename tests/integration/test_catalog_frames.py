"""The catalog as lazy frames says what its other readers say."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pebr_data.catalog.store import Catalog
from pebr_data.errors import DataError, UsageError
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


SCORED = "SELECT sample_id, question, score, note FROM samples JOIN mine USING (sample_id)"


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("form", ["polars", "arrow"])
def test_a_frame_of_ones_own_is_joined_with_the_samples(tmp_path: Path, form: str, read_only: bool) -> None:
    sample_ids = fill(tmp_path, {"train": 6})
    notes = ["short", "a text of more than twelve bytes", None]
    scores = pl.DataFrame({"sample_id": sample_ids[:3], "score": [0.25, 0.5, 0.75], "note": notes})
    others = pl.DataFrame({"sample_id": sample_ids[3:], "score": [1.0, 1.0, 1.0], "note": notes})
    with Catalog.open(tmp_path, read_only=read_only) as catalog:
        one, other = (
            catalog.lazy.query(SCORED, {"mine": made.to_arrow() if form == "arrow" else made})
            for made in (scores, others)
        )
        kept = one.filter(pl.col("score") > 0.3).sort("score").collect()
        questions = {sample.sample_id: sample.question for sample in catalog.samples()}
        assert kept.rows() == [
            (sample_id, questions[sample_id], score, note) for sample_id, score, note in list(scores.iter_rows())[1:]
        ]
        assert set(other.collect()["sample_id"]) == set(sample_ids[3:]), "frames of one name do not meet"
        with pytest.raises(UsageError, match="mine does not exist"):
            catalog.lazy.query("FROM mine")
    with Catalog.open(tmp_path, wait_seconds=0), pytest.raises(duckdb.ConnectionException):
        one.collect()


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_frames_are_read_where_they_are(tmp_path: Path) -> None:
    sample_ids = fill(tmp_path, {"train": 2})
    notes = [f"a text of more than twelve bytes, number {number}" for number in range(1_000_000)]
    mine = pl.DataFrame({"sample_id": sample_ids * 500_000, "score": 1.0, "note": notes})
    with Catalog.open(tmp_path, read_only=True) as catalog:
        catalog.lazy.query(SCORED, {"mine": mine.head(1)}).collect()
        before = resident()
        found = catalog.lazy.query(SCORED, {"mine": mine})
        assert resident() - before < mine.estimated_size() / 4
        assert found.select(pl.col("score").sum()).collect().item() == len(mine)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("DELETE FROM samples", "one SELECT is answered"),
        ("SELECT 1; SELECT 2", "one SELECT is answered"),
        ("SELECT colour FROM samples", "colour"),
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled by configuration"),
        ("SELECT * FROM sample_ids", "sample_ids does not exist"),
    ],
)
def test_a_query_is_one_select_that_reads_nothing_else(tmp_path: Path, sql: str, told: str) -> None:
    sample_ids = pl.DataFrame({"sample_id": fill(tmp_path, {"train": 1})})
    with Catalog.open(tmp_path) as catalog:
        with pytest.raises(UsageError, match=told):
            catalog.lazy.query(sql)
        with pytest.raises(UsageError, match="a table `Samples` of its own"):
            catalog.lazy.query("FROM samples", {"Samples": sample_ids})
        assert len(catalog.samples()) == 1
