"""What the probe costs on top of its engine: rollouts/s of a whole probe over those of the bare engine, in one run.

    python tests/bench/engine_overhead.py [--engine transformers|vllm] [--samples 128] [--rollouts 8] [--rounds 3]
                                          [--model pebr-tiny] [--layers N] [--side 72] [--max-completion-length 160]

Both make the same rollouts of the embedded world, in turns: the bare engine from prompts and images that lie ready, the
probe from the store, images decoded, every rollout graded, fsynced and merged. Bare is `TransformersEngine.generate`,
and `vllm.LLM.generate` with the same prompts, seeds and settings. `--layers` gives the model that many layers, with
random weights: pebr-tiny is a thousandth of a real model, and what a probe costs is the same. A model with random
weights (`python -m tests.bench.qwen_3b` makes one, too) never ends a rollout, so each is as long as it may be.

The last column compares CPU seconds of the thread that drives the engine: the same on a busy machine. It counts
where the model runs in that thread: `transformers`, with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from pebr_data.catalog.store import Catalog
from pebr_data.engines.base import Engine, Request, Sampling, open_engine
from pebr_data.images import ImageStore
from pebr_data.models import ResolvedModel, resolve_model
from pebr_data.probe.plan import owed_keys
from pebr_data.probe.requests import OwedRequests
from pebr_data.probe.run import run_probe
from pebr_data.sources.shapes import ShapesSource
from pebr_data.types import Condition, Fingerprint, Sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=["transformers", "vllm"], default="transformers")
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--rollouts", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="pebr-tiny")
    parser.add_argument("--layers", type=int, help="of the language model, which then has random weights")
    parser.add_argument("--side", type=int, help="pixels of an image's side")
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="record the steps of `transformers`; found out on a GPU by default",
    )
    parser.add_argument("--max-completion-length", type=int, default=160)
    asked = parser.parse_args()

    if asked.layers is None:
        compare(asked, resolve_model(asked.model))
        return
    with tempfile.TemporaryDirectory() as directory:
        compare(asked, resolve_model(deepened(resolve_model(asked.model), asked.layers, Path(directory))))


def deepened(model: ResolvedModel, num_layers: int, directory: Path) -> Path:
    """The model saved anew with that many layers and random weights, its processor beside it."""
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    config = AutoConfig.from_pretrained(model.location)
    config.get_text_config(decoder=True).num_hidden_layers = num_layers
    AutoModelForImageTextToText.from_config(config).save_pretrained(directory)
    AutoProcessor.from_pretrained(model.location).save_pretrained(directory)
    return directory


def compare(asked: argparse.Namespace, model: ResolvedModel) -> None:
    policy = policy_of(model, asked.engine, asked.max_completion_length)
    options = (
        {"enforce_eager": True, "max_images": 1, "dtype": "float32"}
        if asked.engine == "vllm"
        else {"compile": asked.compile}
    )
    engine = open_engine(asked.engine, model, max_pixels=policy.max_pixels, **options)
    with tempfile.TemporaryDirectory() as directory:
        stores = [Path(directory) / str(number) for number in range(asked.rounds + 1)]
        for store in stores:
            samples = build(store, asked.samples, asked.side)
        requests = ready(stores[0], samples, policy, asked.rollouts)
        bare = bare_vllm if asked.engine == "vllm" else bare_transformers
        sampling = Sampling(policy.temperature, policy.top_p, policy.max_completion_length)
        # The first time of each is warming up, and short.
        bare(engine, requests[:16], sampling)
        run_probe(stores[0], samples[:16], policy, lambda: engine, num_rollouts=asked.rollouts)
        num_rollouts = asked.samples * asked.rollouts
        print(f"{asked.engine}, {model.name}: {asked.samples} samples x {asked.rollouts} rollouts, temperature 1.2")
        print(
            f"{'round':>5} {'bare, rollouts/s':>18} {'probe, rollouts/s':>18} {'ratio':>6} {'CPU ratio':>10}",
            flush=True,
        )
        all_bare = all_probe = Spent(0.0, 0.0)
        ratios = []
        for number, store in enumerate(stores[1:], 1):
            acts = {
                "bare": lambda: bare(engine, requests, sampling),
                "probe": lambda store=store: run_probe(
                    store, samples, policy, lambda: engine, num_rollouts=asked.rollouts
                ),
            }
            # In turns, so that a machine that slows down or speeds up favours neither.
            spent = {name: measured(acts[name]) for name in sorted(acts, reverse=number % 2 == 0)}
            all_bare, all_probe = all_bare.plus(spent["bare"]), all_probe.plus(spent["probe"])
            ratios.append(spent["bare"].clock / spent["probe"].clock)
            row(str(number), num_rollouts, spent["bare"], spent["probe"])
        row("all", num_rollouts * asked.rounds, all_bare, all_probe)
        if len(ratios) > 1:
            error = statistics.stdev(ratios) / len(ratios) ** 0.5
            print(f"mean ratio of the rounds {statistics.mean(ratios):.3f}, standard error {error:.3f}")


def policy_of(model: ResolvedModel, engine: str, max_completion_length: int) -> Fingerprint:
    return Fingerprint(
        model=model.name,
        revision=model.revision,
        template="question",
        condition=Condition.IMAGE,
        temperature=1.2,
        top_p=0.99,
        max_completion_length=max_completion_length,
        max_pixels=802_816,
        engine=engine,
    )


def build(store: Path, num_samples: int, side: int | None) -> list[Sample]:
    """A store with that many samples, the same ones each time; their images enlarged to `side` pixels."""
    source = ShapesSource(name="shapes", seed=0, splits={"train": num_samples})
    candidates = (
        replace(one, images=tuple(enlarged(image, side) for image in one.images)) for one in source.candidates()
    )
    with Catalog.open(store) as catalog:
        catalog.ingest("shapes", "bench", candidates if side else source.candidates(), ImageStore(store / "images"))
        return catalog.samples("shapes")


def enlarged(image: bytes, side: int) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(image)).resize((side, side)).save(buffer, "PNG")
    return buffer.getvalue()


def ready(store: Path, samples: Sequence[Sample], policy: Fingerprint, num_rollouts: int) -> list[Request]:
    """Every request of the probe, its images decoded."""
    owed = owed_keys(policy.probe_id, samples, num_rollouts, set())
    return list(OwedRequests(samples, owed, policy, ImageStore(store / "images")))


def bare_transformers(engine: Engine, requests: Sequence[Request], sampling: Sampling) -> None:
    for _ in engine.generate(requests, sampling):
        pass


def bare_vllm(engine: Any, requests: Sequence[Request], sampling: Sampling) -> None:
    prompts, params = [], []
    for request in requests:
        text = engine.processor.apply_chat_template(request.prompt, add_generation_prompt=True, tokenize=False)
        for key in request.keys:
            prompts.append({"prompt": text, "multi_modal_data": {"image": list(request.images)}})
            params.append(engine.sampling_params(key, sampling))
    engine.llm.generate(prompts, params, use_tqdm=False)


class Spent(NamedTuple):
    """Seconds on the clock, and of this thread on the CPU."""

    clock: float
    cpu: float

    def plus(self, other: Spent) -> Spent:
        return Spent(self.clock + other.clock, self.cpu + other.cpu)


def measured(act: Callable[[], object]) -> Spent:
    clock, cpu = time.perf_counter(), time.thread_time()
    act()
    return Spent(time.perf_counter() - clock, time.thread_time() - cpu)


def row(name: str, num_rollouts: int, bare: Spent, probe: Spent) -> None:
    print(
        f"{name:>5} {num_rollouts / bare.clock:>18,.1f} {num_rollouts / probe.clock:>18,.1f} "
        f"{bare.clock / probe.clock:>6.3f} {bare.cpu / probe.cpu:>10.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
