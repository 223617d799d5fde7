"""pebr-tiny in real vLLM gives what the engine `transformers` gives; CONTRIBUTING says how to install vLLM."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from pebr_data.engines.base import Request, Sampling
from pebr_data.engines.transformers import TransformersEngine
from pebr_data.models import resolve_model
from pebr_data.prompts import messages
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import RolloutKey

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

NUM_SAMPLES = 32
MAX_TOKENS = 120


def test_greedy_completions_in_vllm_are_those_of_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    vllm = pytest.importorskip("vllm", reason="vLLM is not installed in this environment")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    source = ShapesSource(name="shapes", seed=0, splits={"test": NUM_SAMPLES})
    model = resolve_model("pebr-tiny")
    engine = TransformersEngine(model)
    requests, prompts = [], []
    for number, sample in enumerate(source.candidates()):
        image = Image.open(io.BytesIO(sample.images[0])).convert("RGB")
        prompt = messages("question", sample.question, 1)
        requests.append(Request(prompt, (image,), (RolloutKey("p", f"{number}", 0),)))
        text = engine.processor.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
        prompts.append({"prompt": text, "multi_modal_data": {"image": image}})
    sampling = Sampling(temperature=0.0, top_p=1.0, max_completion_length=MAX_TOKENS)
    ours = {key.sample_id: generation.completion for key, generation in engine.generate(requests, sampling)}

    llm = vllm.LLM(
        model.location, dtype="float32", enforce_eager=True, max_model_len=256, limit_mm_per_prompt={"image": 1}
    )
    theirs = llm.generate(prompts, vllm.SamplingParams(temperature=0.0, max_tokens=MAX_TOKENS))

    same = sum(ours[f"{number}"] == output.outputs[0].text for number, output in enumerate(theirs))
    assert same >= NUM_SAMPLES - 1
