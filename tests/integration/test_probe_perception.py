"""One probe serves both stages: its rollouts are scored by the parts of the perception reward as training would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pebr_data.catalog.perception import PartScore
from pebr_data.catalog.store import Catalog
from pebr_data.config import PerceptionConfig
from pebr_data.probe import perception
from pebr_data.probe.perception import score_perception
from pebr_data.types import Generation, Grade, Outcome, Rollout, RolloutKey
from tests.probed_store import fill, fingerprint

PROBE = fingerprint().probe_id
WHOLE = "### Image Description: {} \n### Rationales: r\n### Step 1: s\n### The final answer is: 1"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    fill(tmp_path / "store", {"train": 2})
    return tmp_path / "store"


def merge(store: Path, texts: list[str], *, first: int = 0, num_tokens: int = 9) -> str:
    """Adds rollouts of the first sample; its keyword is `circle`."""
    with Catalog.open(store) as catalog:
        catalog.register_probe(fingerprint())
        sample_id = catalog.samples("small")[0].sample_id
        grade = Grade(Outcome.WRONG, "1", "scripted", "test-1")
        catalog.merge_rollouts(
            Rollout(RolloutKey(PROBE, sample_id, index), Generation(text, num_tokens, "stop"), grade)
            for index, text in enumerate(texts, start=first)
        )
    return sample_id


def scores(store: Path, sample_id: str) -> dict[str, PartScore]:
    with Catalog.open(store, read_only=True) as catalog:
        return {one.part: one for one in catalog.perception.of(PROBE, sample_id)}


def test_each_part_is_scored_over_a_samples_rollouts(store: Path) -> None:
    sample_id = merge(
        store, [WHOLE.format("a Circle"), "a circle", WHOLE.format("a square"), "nothing"], num_tokens=1024
    )
    assert score_perception(store, PROBE, PerceptionConfig()) == 1
    found = scores(store, sample_id)
    assert {part: (one.mean, one.variance) for part, one in found.items()} == {
        "keyword": (0.5, pytest.approx(1 / 3)),
        "format": (0.5, pytest.approx(1 / 3)),
        "length": (0.5, 0.0),
    }
    with Catalog.open(store, read_only=True) as catalog:
        parts = {row["part"]: row for row in catalog.perception.parts("small").iter_rows(named=True)}
    assert (parts["length"]["without_spread"], parts["keyword"]["without_spread"]) == (1.0, 0.0)
    assert parts["keyword"]["reliability"] == 1.0


def test_only_what_is_new_is_scored_and_other_settings_score_anew(store: Path) -> None:
    sample_id = merge(store, ["a circle"], num_tokens=1024)
    assert score_perception(store, PROBE, PerceptionConfig()) == 1
    assert scores(store, sample_id)["keyword"].variance is None
    assert score_perception(store, PROBE, PerceptionConfig()) == 0
    merge(store, ["a square"], first=1, num_tokens=1024)
    assert score_perception(store, PROBE, PerceptionConfig()) == 1
    assert (scores(store, sample_id)["keyword"].mean, scores(store, sample_id)["length"].mean) == (0.5, 0.5)
    assert score_perception(store, PROBE, PerceptionConfig(max_tokens=256)) == 1
    assert scores(store, sample_id)["length"].mean == 0.25


def test_a_view_that_pays_all_rollouts_alike_is_no_noise() -> None:
    rng = np.random.default_rng(0)
    rollouts, views = rng.normal(0, 0.3, (500, 8, 1)), rng.normal(0, 0.5, (500, 1, 3))
    noise = rng.normal(0, 0.1, (500, 8, 3))
    found = [perception.spread(perception._without_views(one)[None]) for one in rollouts + views + noise]
    assert np.mean([one.noise for one in found]) == pytest.approx(0.01, rel=0.05)
    assert np.mean([one.between for one in found]) == pytest.approx(0.09, rel=0.08)


def test_similarity_needs_an_encoder_that_is_loaded_once_it_owes(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    loaded: list[Any] = []

    class Encoder:
        """Cosine 0.2 for what names a circle, else 0; the views differ by nothing."""

        def __init__(self, model: Any) -> None:
            loaded.append(model)

        def embed_images(self, pictures: list[Any]) -> Any:
            assert [one.size for one in pictures] == [(32, 32)] * 3
            return torch.tensor([[1.0, 0.0]] * len(pictures))

        def embed_texts(self, texts: list[str]) -> Any:
            return torch.tensor([[0.2, 0.98] if "circle" in text else [0.0, 1.0] for text in texts])

    monkeypatch.setattr("pebr_data.engines.dual_encoder.DualEncoder", Encoder)
    sample_id = merge(store, [WHOLE.format("a circle"), WHOLE.format("a square"), "no section"])
    settings = PerceptionConfig(clip="pebr-tiny-clip")
    score_perception(store, PROBE, settings)
    score_perception(store, PROBE, settings)
    found = scores(store, sample_id)["similarity"]
    assert (len(loaded), found.mean, found.noise) == (1, pytest.approx(1 / 6), 0.0)
    assert found.deviation == pytest.approx(np.std([0.5, 0, 0], ddof=1))


def test_a_probe_scores_by_itself(store: Path, tmp_path: Path) -> None:
    from pebr_data.probe.run import probe
    from tests.integration.test_probe import Scripted
    from tests.probed_store import make_config

    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "config.json").write_text("{}")
    result = probe(make_config(tmp_path), store, str(tmp_path / "policy"), engine=Scripted())
    with Catalog.open(store, read_only=True) as catalog:
        told = catalog.stats("small", 4).perception
    assert set(told["part"]) == {"keyword", "format", "length"}
    assert (set(told["probe_id"]), set(told["num_samples"])) == ({result.probe_id}, {2})
