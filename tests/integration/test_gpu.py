"""What needs a CUDA device: `python -m pytest -m gpu`. Without one these tests skip, as they do in CI."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from pebr_data.catalog.store import Catalog
from pebr_data.engines.base import Request, Sampling, open_engine
from pebr_data.images import ImageStore
from pebr_data.models import resolve_model
from pebr_data.probe.run import run_probe
from pebr_data.prompts import messages
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import Generation, Json, Outcome, RolloutKey
from tests.probed_store import fingerprint

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

NUM_SAMPLES, ROLLOUTS = 64, 8


def greedy_rollouts(device: str, **options: Json) -> dict[RolloutKey, Generation]:
    source = ShapesSource(name="shapes", seed=0, splits={"test": NUM_SAMPLES})
    requests = [
        Request(
            messages("question", sample.question, 1),
            (Image.open(io.BytesIO(sample.images[0])).convert("RGB"),),
            (RolloutKey("p", str(number), 0),),
        )
        for number, sample in enumerate(source.candidates())
    ]
    greedy = Sampling(temperature=0.0, top_p=1.0, max_completion_length=120)
    engine = open_engine("transformers", resolve_model("pebr-tiny"), device=device, dtype="float32", **options)
    return dict(engine.generate(requests, greedy))


def test_greedy_rollouts_on_the_gpu_are_those_on_the_cpu() -> None:
    on_gpu, on_cpu = (greedy_rollouts(device) for device in ("cuda", "cpu"))
    assert sum(on_gpu[key] == on_cpu[key] for key in on_cpu) >= 0.99 * NUM_SAMPLES


def test_greedy_rollouts_by_recorded_steps_are_those_by_plain_ones() -> None:
    plain, recorded = (greedy_rollouts("cuda", compile=compiled) for compiled in (False, True))
    assert sum(recorded[key] == plain[key] for key in plain) >= 0.99 * NUM_SAMPLES


def test_pass_rates_by_the_gpus_own_dtype_are_those_of_the_cpu(tmp_path: Path) -> None:
    """bfloat16 turns some draws; the mean pass rate stays within the noise of so many rollouts."""
    shares = []
    for device in ("cuda", "cpu"):
        policy, store = fingerprint("pebr-tiny", max_completion_length=120), tmp_path / device
        with Catalog.open(store) as catalog:
            source = ShapesSource(name="shapes", seed=0, splits={"train": NUM_SAMPLES})
            catalog.ingest("shapes", "digest", source.candidates(), ImageStore(store / "images"))
            samples = catalog.samples("shapes")
        engine = open_engine("transformers", resolve_model("pebr-tiny"), device=device)
        done = run_probe(store, samples, policy, lambda engine=engine: engine, num_rollouts=ROLLOUTS)
        assert (done.num_owed, done.num_failed) == (0, 0), done.errors
        shares.append(done.outcomes[Outcome.CORRECT] / (NUM_SAMPLES * ROLLOUTS))
    # Four standard errors of the difference of two shares.
    assert abs(shares[0] - shares[1]) < 4 * (2 * 0.25 / (NUM_SAMPLES * ROLLOUTS)) ** 0.5
