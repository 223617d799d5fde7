"""What needs a CUDA device: `python -m pytest -m gpu`. Without one these tests skip, as they do in CI."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from pebr_data.catalog.store import Catalog
from pebr_data.engines.base import Request, Sampling, open_engine
from pebr_data.engines.transformers import TransformersEngine
from pebr_data.images import ImageStore
from pebr_data.models import resolve_model
from pebr_data.probe.run import run_probe
from pebr_data.prompts import messages
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import Generation, Json, Outcome, RolloutKey
from tests.probed_store import fingerprint
from tests.tiny_vlm import save_qwen2_5_vl

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

NUM_SAMPLES, ROLLOUTS = 64, 8


GREEDY = Sampling(temperature=0.0, top_p=1.0, max_completion_length=120)


def requests(num_rollouts: int = 1, side: int = 72) -> list[Request]:
    """One for each sample of `shapes`; images from `side` pixels, each larger than the last where that is not 72."""
    source = ShapesSource(name="shapes", seed=0, splits={"test": NUM_SAMPLES})
    found = []
    for number, sample in enumerate(source.candidates()):
        image = Image.open(io.BytesIO(sample.images[0])).convert("RGB")
        image = image if side == 72 else image.resize((side + number, side))
        keys = tuple(RolloutKey("p", str(number), index) for index in range(num_rollouts))
        found.append(Request(messages("question", sample.question, 1), (image,), keys))
    return found


def greedy(model: str | Path, wanted: list[Request], **options: Json) -> dict[RolloutKey, Generation]:
    engine = open_engine("transformers", resolve_model(model), dtype="float32", **options)
    return dict(engine.generate(wanted, GREEDY))


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_greedy_rollouts_on_the_gpu_are_those_on_the_cpu(compiled: bool) -> None:
    on_cpu = greedy("pebr-tiny", requests(), device="cpu")
    on_gpu = greedy("pebr-tiny", requests(), device="cuda", compile=compiled)
    assert sum(on_gpu[key] == on_cpu[key] for key in on_cpu) >= 0.99 * NUM_SAMPLES


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_greedy_rollouts_of_a_qwen2_5_vl_are_those_on_the_cpu(tmp_path: Path, compiled: bool) -> None:
    pytest.importorskip("torchvision", reason="Qwen2.5-VL's processor needs it")
    model = save_qwen2_5_vl(tmp_path / "qwen", dtype="float32", device="cpu")
    on_cpu = greedy(model, requests(side=100), device="cpu")
    on_gpu = greedy(model, requests(side=100), device="cuda", compile=compiled)
    assert len({generation.num_image_tokens for generation in on_cpu.values()}) > 1
    assert sum(on_gpu[key] == on_cpu[key] for key in on_cpu) >= 0.95 * NUM_SAMPLES


def test_whether_recording_pays_is_found_out_along_the_way() -> None:
    on_cpu = greedy("pebr-tiny", requests(), device="cpu")
    engine = open_engine("transformers", resolve_model("pebr-tiny"), device="cuda", dtype="float32", batch_size=8)
    assert isinstance(engine, TransformersEngine)
    assert engine._compile_trial.is_open
    on_gpu = dict(engine.generate(requests(), GREEDY))
    assert not engine._compile_trial.is_open
    assert sum(on_gpu[key] == on_cpu[key] for key in on_cpu) >= 0.99 * NUM_SAMPLES


def test_rollouts_that_the_gpus_memory_cannot_hold_together_are_made_in_parts() -> None:
    num_rollouts = 64
    engine = open_engine(
        "transformers",
        resolve_model("pebr-tiny"),
        device="cuda",
        dtype="float32",
        batch_size=NUM_SAMPLES * num_rollouts,
        compile=False,
    )
    _, total = torch.cuda.mem_get_info()
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    together = dict(engine.generate(requests(num_rollouts), GREEDY))
    # Half of what they took together is too little.
    limit = held + (torch.cuda.max_memory_allocated() - held) // 2
    before = torch.cuda.memory_stats()["num_ooms"]
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(limit / total)
    try:
        done = dict(engine.generate(requests(num_rollouts), GREEDY))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert set(done) == set(together)
    assert {generation.finish_reason for generation in done.values()} <= {"stop", "length"}
    assert torch.cuda.memory_stats()["num_ooms"] > before


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
