"""The reward beside the shards, loaded from its file and called as each framework calls it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest

from pebr_data.export.shards import export
from pebr_data.manifest import Manifest
from pebr_data.select.mixture import select
from pebr_data.types import Mixture
from tests.probed_store import fill, group, make_config, probe
from tests.unit.test_export_reward import WHOLE, paid_by_training


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("rewards") / "store"
    probe(store, {sample_id: group(2) for sample_id in fill(store, {"train": 5})})
    return store


@pytest.fixture(scope="module")
def mixture(store: Path) -> Mixture:
    (mixture,) = select(make_config(store.parent), store, names=["reasoning"])
    return mixture


def load(manifest: Manifest) -> ModuleType:
    """The export's `reward.py`, as frameworks load a file."""
    spec = importlib.util.spec_from_file_location("custom_reward", manifest.directory / "reward.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows_of(manifest: Manifest) -> list[dict[str, Any]]:
    (path,) = manifest.paths
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def completions_of(rows: list[dict[str, Any]]) -> list[str]:
    """Right and wrong, with and without the sections, in turn."""
    return [(WHOLE if n % 2 else "### The final answer is: {}").format(n) for n, _ in enumerate(rows)]


def paid(store: Path, mixture: Mixture, texts: list[str]) -> list[float]:
    from pebr_data.catalog.store import Catalog

    with Catalog.open(store, read_only=True) as catalog:
        samples = catalog.samples(sample_ids=mixture.sample_ids)
    values = [paid_by_training(text, sample, ("section",)) for text, sample in zip(texts, samples, strict=True)]
    assert len(set(values)) > 1
    return values


def test_easyr1(store: Path, mixture: Mixture) -> None:
    manifest = export(store, mixture, format="easyr1")
    rows = rows_of(manifest)
    texts = completions_of(rows)
    inputs = [
        {"response": text, "response_length": 9, "ground_truth": row["gold"]}
        for text, row in zip(texts, rows, strict=True)
    ]

    module = load(manifest)

    scores = module.compute_score(inputs)
    assert module.REWARD_TYPE == "batch"
    assert [score["overall"] for score in scores] == paid(store, mixture, texts)
    assert [set(score) for score in scores] == [{"overall", "accuracy", "format"}] * len(rows)


def test_verl(store: Path, mixture: Mixture) -> None:
    manifest = export(store, mixture, format="verl")
    rows = rows_of(manifest)
    texts = completions_of(rows)
    compute_score = load(manifest).compute_score

    scores = [
        compute_score(
            data_source=row["data_source"],
            solution_str=text,
            ground_truth=row["reward_model"]["ground_truth"],
            extra_info={**row["extra_info"], "num_turns": None},
        )
        for text, row in zip(texts, rows, strict=True)
    ]

    assert [score["score"] for score in scores] == paid(store, mixture, texts)


@pytest.mark.parametrize("home", ["swift.rewards", "swift.plugin"])
def test_swift(store: Path, mixture: Mixture, monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    """ms-swift itself is not installed: its base class and its table of rewards stand in, in either of their places."""

    class Orm:
        def __init__(self, args: object = None, **kwargs: object) -> None:
            self.args = args

    orms: dict[str, Any] = {}
    monkeypatch.setitem(sys.modules, "swift", ModuleType("swift"))
    plugin = ModuleType(home)
    plugin.__dict__.update(ORM=Orm, orms=orms)
    monkeypatch.setitem(sys.modules, home, plugin)
    manifest = export(store, mixture, format="swift")
    rows = rows_of(manifest)
    texts = completions_of(rows)

    load(manifest)

    columns = {name: [row[name] for row in rows] for name in rows[0]}
    scores = orms["pebr"](args=None)(texts, **columns, is_truncated=[False] * len(rows), trainer_state=None)
    assert scores == paid(store, mixture, texts)
    cut = orms["pebr"]()(texts, **columns, is_truncated=[True] * len(rows))
    assert max(cut) <= 0.1


def test_openrlhf(store: Path, mixture: Mixture) -> None:
    torch = pytest.importorskip("torch")
    manifest = export(store, mixture, format="openrlhf")
    rows = rows_of(manifest)
    texts = completions_of(rows)
    prompts = [f"<|user|>{row['prompt'].replace('<image>', '<|image|>')}<|end|><|assistant|>" for row in rows]
    queries = [p.replace("<|image|>", "<|image|>" * 4) + t + "<|end|>" for p, t in zip(prompts, texts, strict=True)]

    told = load(manifest).reward_func(queries, prompts, [row["label"] for row in rows])

    assert told["rewards"].tolist() == pytest.approx(paid(store, mixture, texts))
    assert torch.equal(told["rewards"], told["scores"])
    assert set(told["extra_logs"]) == {"accuracy", "format"}
