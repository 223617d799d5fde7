"""Rollouts/s of the engine `transformers` with its steps recorded as CUDA graphs, as they are, and finding out which.

    python -m tests.bench.recorded_steps [--model pebr-tiny] [--samples 512] [--side 72] [--batch-size 256]
                                         [--max-completion-length 120] [--rounds 2]

Each round generates the same 8 rollouts of every sample of the embedded world three ways, in turns. What the choice
went by is logged. `python -m tests.bench.qwen_3b DIRECTORY --only-model` makes a model of a real one's size. Needs a
GPU, which holds the model three times; on the CPU nothing is recorded.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path

from pebr_data.engines.base import Sampling
from pebr_data.engines.transformers import TransformersEngine
from pebr_data.models import resolve_model
from tests.bench.engine_overhead import build, policy_of, ready

WAYS = {"recorded": True, "as they are": False, "found out": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pebr-tiny")
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--side", type=int, help="pixels of an image's side")
    parser.add_argument("--batch-size", type=int, default=256, help="rollouts; six batches go into finding out")
    parser.add_argument("--max-completion-length", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()

    logging.basicConfig(format="%(message)s")
    logging.getLogger("pebr_data").setLevel(logging.INFO)
    model = resolve_model(asked.model)
    policy = policy_of(model, "transformers", asked.max_completion_length)
    sampling = Sampling(policy.temperature, policy.top_p, policy.max_completion_length)
    engines = {
        name: TransformersEngine(model, batch_size=asked.batch_size, compile=compiled)
        for name, compiled in WAYS.items()
    }
    with tempfile.TemporaryDirectory() as directory:
        samples = build(Path(directory), asked.samples, asked.side)
        requests = ready(Path(directory), samples, policy, 8)
        # The first batches load kernels. What is to be found out is not found out yet.
        for name in ("recorded", "as they are"):
            list(engines[name].generate(requests[: asked.batch_size // 8], sampling))
        for number in range(1, asked.rounds + 1):
            for name, engine in engines.items():
                began = time.perf_counter()
                done = list(engine.generate(requests, sampling))
                seconds = time.perf_counter() - began
                print(f"round {number}, {name}: {len(done) / seconds:,.1f} rollouts/s", flush=True)


if __name__ == "__main__":
    main()
