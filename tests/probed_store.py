"""A small store whose samples have been probed with a known result; for tests of what comes after the probe."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig, load_catalog_config
from pebr_data.images import ImageStore
from pebr_data.types import Candidate, Condition, Fingerprint, Generation, Grade, Outcome, Rollout, RolloutKey

YAML = """\
name: small
sources:
  - {name: made, type: shapes, splits: {train: 1}}
probe:
  template: question
  max_completion_length: 64
  max_pixels: 4096
  rollouts: 4
mixtures:
  warmup: {policy: pebr, band: hard}
  perception: {policy: pebr, band: easy}
  reasoning: {policy: pebr, band: medium}
  control: {policy: random, match: reasoning}
"""
GROUP_SIZE = 4


def png(seed: int, size: tuple[int, int] = (32, 32)) -> bytes:
    """A plain image that no other seed gives."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (seed % 256, seed // 256 % 256, 77)).save(buffer, format="PNG")
    return buffer.getvalue()


def candidate(number: int, split: str = "train") -> Candidate:
    return Candidate(
        source="made",
        split=split,
        question=f"How many circles are there in picture {number}?",
        answer=str(number % 5),
        images=(png(number),),
        answer_type="count",
        keywords=("circle",),
        description=f"a large red circle at center, number {number}",
        response=f"### The final answer is: {number % 5}",
        skill="count" if number % 2 else "compare",
        metadata={"level": number % 3},
    )


def fingerprint(model: str = "scripted", **changes: object) -> Fingerprint:
    values: dict[str, object] = {
        "model": model,
        "revision": "1",
        "template": "question",
        "condition": Condition.IMAGE,
        "temperature": 1.2,
        "top_p": 0.99,
        "max_completion_length": 64,
        "max_pixels": 4096,
        "engine": "transformers",
    }
    return Fingerprint(**{**values, **changes})  # type: ignore[arg-type]


def rollout(probe_id: str, sample_id: str, index: int, outcome: Outcome) -> Rollout:
    failed = outcome is Outcome.ERROR
    return Rollout(
        key=RolloutKey(probe_id, sample_id, index),
        generation=Generation(
            completion=f"completion {index}", num_tokens=5, finish_reason="error" if failed else "stop"
        ),
        grade=Grade(outcome=outcome, answer=None if failed else "1", reason="scripted", grader_version="test-1"),
    )


def make_config(directory: Path, text: str = YAML) -> CatalogConfig:
    """The catalog of `text`, written to a file as a user would have it."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "small.yaml"
    path.write_text(text, encoding="utf-8")
    return load_catalog_config(path)


def fill(store: Path, splits: Mapping[str, int]) -> list[str]:
    """Ingest that many samples of each split; gives their ids in order."""
    numbered = [split for split, count in splits.items() for _ in range(count)]
    return ingest(store, (candidate(n, split) for n, split in enumerate(numbered)))


def ingest(store: Path, candidates: Iterable[Candidate]) -> list[str]:
    """Ingest these candidates; gives their ids in order."""
    with Catalog.open(store) as catalog:
        catalog.ingest("small", "digest", candidates, ImageStore(store / "images"))
        return [sample.sample_id for sample in catalog.samples("small")]


def probe(store: Path, outcomes: Mapping[str, Sequence[Outcome]], policy: Fingerprint | None = None) -> str:
    """Merge rollouts with these outcomes, by sample id; gives the probe's id."""
    policy = policy or fingerprint()
    with Catalog.open(store) as catalog:
        probe_id = catalog.register_probe(policy)
        catalog.merge_rollouts(
            rollout(probe_id, sample_id, index, outcome)
            for sample_id, group in outcomes.items()
            for index, outcome in enumerate(group)
        )
    return probe_id


def group(num_correct: int) -> list[Outcome]:
    """A complete group with that many correct rollouts."""
    return [Outcome.CORRECT] * num_correct + [Outcome.WRONG] * (GROUP_SIZE - num_correct)
