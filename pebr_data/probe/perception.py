"""Scoring the parts of the perception reward: what a probe's stored completions would be paid in the first stage.

    score_perception(store, probe_id, config.probe.perception)

The functions are those that training pays by. `keyword`, `format` and `length` need no model. `similarity` compares
each description with several views of the image that show the same, so that the encoder's own noise is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pebr_data.catalog.perception import PartScore
from pebr_data.catalog.store import Catalog
from pebr_data.config import PerceptionConfig
from pebr_data.difficulty.counts import FloatArray
from pebr_data.difficulty.spread import spread
from pebr_data.grading import format_reward, keyword_reward, length_reward, similarity_reward, split_sections
from pebr_data.hashing import digest
from pebr_data.images import ImageStore, decode
from pebr_data.models import ResolvedModel, resolve_model
from pebr_data.types import Rollout, Sample

if TYPE_CHECKING:
    from PIL import Image

    from pebr_data.engines.dual_encoder import DualEncoder

BATCH_SIZE = 2048
"""Samples that are scored, and kept, at a time."""

Stop = Callable[[], object]
Scored = Callable[[Sample, Sequence[Rollout]], FloatArray]
"""The scores of a sample's rollouts, each under every view: [rollouts, views]."""


def score_perception(store: Path, probe_id: str, settings: PerceptionConfig, stop: Stop = lambda: False) -> int:
    """Scores what was not, and gives how many samples that were; those of other settings are scored anew.

    Args:
        store: The store.
        probe_id: The probe.
        settings: Of the rewards; the dual encoder is loaded only when it is named and something is to be scored by it.
        stop: Ends it between two batches when it returns true.

    Raises:
        BusyError: Another process holds the catalog.
        DataError: The dual encoder cannot be loaded.
        UnavailableError: There is no such encoder.
    """
    exact: Mapping[str, Scored] = {
        "keyword": lambda sample, rollouts: _column(
            keyword_reward(one.generation.completion, sample.keywords) for one in rollouts
        ),
        "format": lambda sample, rollouts: _column(format_reward(one.generation.completion) for one in rollouts),
        "length": lambda sample, rollouts: _column(
            length_reward(one.generation.num_tokens, settings.max_tokens) for one in rollouts
        ),
    }
    num_scored = _score(store, probe_id, f"max_tokens {settings.max_tokens}", tuple(exact), lambda: exact, stop)
    if settings.clip is None:
        return num_scored
    encoder = resolve_model(settings.clip)
    scorer = digest([encoder.revision, settings.floor, settings.ceiling])[:16]

    def load() -> Mapping[str, Scored]:
        return {"similarity": _similarity(store, encoder, settings)}

    return num_scored + _score(store, probe_id, scorer, ("similarity",), load, stop)


def _score(
    store: Path,
    probe_id: str,
    scorer: str,
    parts: tuple[str, ...],
    load: Callable[[], Mapping[str, Scored]],
    stop: Stop,
) -> int:
    with Catalog.open(store, read_only=True) as catalog:
        # All parts of a sample are kept together.
        owed = catalog.perception.unscored(probe_id, parts[0], scorer)
    scored = load() if owed else {}
    for start in range(0, len(owed), BATCH_SIZE):
        if stop():
            return start
        ids = owed[start : start + BATCH_SIZE]
        with Catalog.open(store, read_only=True) as catalog:
            samples = {one.sample_id: one for one in catalog.samples(sample_ids=ids)}
            rollouts = [one for one in catalog.rollouts(probe_id, ids) if one.generation.finish_reason != "error"]
        found = [
            _part_score(part, scorer, samples[sample_id], its, scored[part])
            for sample_id, its in _by_sample(rollouts)
            for part in parts
        ]
        with Catalog.open(store) as catalog:
            catalog.perception.save(probe_id, found)
    return len(owed)


def _by_sample(rollouts: Sequence[Rollout]) -> Iterator[tuple[str, list[Rollout]]]:
    for sample_id, its in groupby(rollouts, key=lambda one: one.key.sample_id):
        yield sample_id, list(its)


def _part_score(part: str, scorer: str, sample: Sample, rollouts: Sequence[Rollout], scored: Scored) -> PartScore:
    scores = scored(sample, rollouts)
    variance: float | None = None
    noise = 0.0
    if len(rollouts) > 1:
        if scores.shape[1] == 1:
            variance = float(scores[:, 0].var(ddof=1))
        else:
            seen = spread(_without_views(scores)[None])
            variance, noise = float(seen.between[0]), seen.noise
    return PartScore(sample.sample_id, part, scorer, len(rollouts), float(scores.mean()), variance, noise)


def _without_views(scores: FloatArray) -> FloatArray:
    """The scores without what a view adds to all of a sample's rollouts alike: a group's advantages do not see that.

    Taking it out costs one of R degrees of freedom, which is given back.
    """
    num_rollouts = len(scores)
    of_rollout = scores.mean(axis=1, keepdims=True)
    rest = scores - of_rollout - scores.mean(axis=0, keepdims=True) + scores.mean()
    left: FloatArray = of_rollout + rest * np.sqrt(num_rollouts / (num_rollouts - 1))
    return left


def _similarity(store: Path, model: ResolvedModel, settings: PerceptionConfig) -> Scored:
    from pebr_data.engines.dual_encoder import DualEncoder

    encoder: DualEncoder = DualEncoder(model)
    images = ImageStore(store / "images")

    def scored(sample: Sample, rollouts: Sequence[Rollout]) -> FloatArray:
        scores = np.zeros((len(rollouts), NUM_VIEWS))
        descriptions = [split_sections(one.generation.completion).description for one in rollouts]
        described = [row for row, text in enumerate(descriptions) if text]
        if not described or not sample.image_hashes:
            return scores
        views = encoder.embed_images(list(_views(decode(images.get(sample.image_hashes[0])))))
        texts = encoder.embed_texts([str(descriptions[row]) for row in described])
        for row, cosines in zip(described, (texts @ views.T).tolist(), strict=True):
            scores[row] = [similarity_reward(one, settings.floor, settings.ceiling) for one in cosines]
        return scores

    return scored


NUM_VIEWS = 3


def _views(picture: Image.Image) -> Iterator[Image.Image]:
    """The image, the image without a thin border, and the image a little darker: none of them shows anything else."""
    yield picture
    width, height = picture.size
    edge = max(1, min(width, height) // 32)
    yield picture.crop((edge, edge, width - edge, height - edge)).resize((width, height))
    yield picture.point([round(level * 0.9) for level in range(256)] * len(picture.getbands()))


def _column(scores: Iterator[float]) -> FloatArray:
    return np.fromiter(scores, np.float64)[:, None]
