"""GRPO by `pebr-train run` on a random model of Qwen2.5-VL-3B's shape: whether it runs, how fast, in how much memory.

    python -m tests.bench.qwen_3b DIRECTORY [--tiny] [--prompts 16] [--updates 3] [--side 560]

DIRECTORY gets the model (8 GB in bfloat16), a store and a run, whose checkpoint is 40 GB. It needs torchvision and, but
for `--tiny`, a GPU with 80 GB. Random weights answer nothing right and never end a completion: the figures are those of
completions of full length, and say nothing of learning.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image

from pebr_data.sources.shapes import ShapesSource
from pebr_train.recipe import load_recipe
from pebr_train.rundir import RunDir
from pebr_train.runner import run
from pebr_train.voice import Voice
from tests.tiny_vlm import QWEN_3B, TINY_QWEN, save_qwen2_5_vl

BEGAN = time.perf_counter()

CATALOG = """\
name: enlarged
sources:
  - {{name: shapes, type: jsonl, file: data/train.jsonl, fields: {{images: image}}}}
probe: {{template: question, max_completion_length: {length}, rollouts: 8}}
mixtures:
  any: {{policy: random, limit: {samples}}}
"""
RECIPE = """\
name: qwen
model: ./model
catalog: catalog.yaml
stages:
  - name: reasoning
    kind: grpo
    mixture: any
    freeze: [vision_tower, projector]
    learning_rate: 1.0e-6
    max_steps: {updates}
    per_device_train_batch_size: {micro}
    gradient_accumulation_steps: {accumulate}
    num_generations: 8
    beta: 0.01
    save_steps: 1000
    rewards: [{{name: length, weight: 0.9, params: {{max_tokens: 8}}}}, {{name: accuracy, weight: 0.1}}]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--tiny", action="store_true", help="a model of a few thousand parameters")
    parser.add_argument("--prompts", type=int, default=16, help="of one update")
    parser.add_argument("--updates", type=int, default=3)
    parser.add_argument("--micro", type=int, default=16, help="completions of one forward and backward pass")
    parser.add_argument("--length", type=int, default=128, help="completion tokens")
    parser.add_argument("--side", type=int, default=560, help="pixels of an image's side; 28 x 28 are one token")
    parser.add_argument("--only-model", action="store_true", help="make the model and stop")
    asked = parser.parse_args()

    there = asked.directory
    if not (there / "model").exists():
        there.mkdir(parents=True, exist_ok=True)
        on_gpu = torch.cuda.is_available()
        began = time.perf_counter()
        save_qwen2_5_vl(
            there / "model",
            TINY_QWEN if asked.tiny else QWEN_3B,
            dtype="bfloat16" if on_gpu else "float32",
            device="cuda" if on_gpu else "cpu",
        )
        print(f"model made in {time.perf_counter() - began:.0f} s", flush=True)
    if asked.only_model:
        return
    num_samples = asked.prompts * asked.updates
    write_data(there / "data", num_samples, asked.side)
    (there / "catalog.yaml").write_text(CATALOG.format(length=asked.length, samples=num_samples))
    accumulate = asked.prompts * 8 // asked.micro
    (there / "recipe.yaml").write_text(RECIPE.format(updates=asked.updates, micro=asked.micro, accumulate=accumulate))
    recipe, catalog = load_recipe(there / "recipe.yaml")
    voice = Voice(say=say, progress=progress)
    run(recipe, catalog, store=there / "store", runs=there / "runs", resume="", voice=voice)
    print(f"probe, selection and training took {time.perf_counter() - BEGAN:.0f} s{most_memory()}")
    for line in RunDir(there / "runs" / "qwen").stage("reasoning").metrics.read_text().splitlines():
        values = json.loads(line)
        kept = ("step", "step_time", "completions/mean_length", "rewards/length/mean", "kl", "grad_norm", "num_tokens")
        print({key: round(values[key], 4) for key in kept if isinstance(values.get(key), int | float)})


def most_memory() -> str:
    """What torch has taken of the GPU's memory, or nothing where there is none."""
    if not torch.cuda.is_available():
        return ""
    return f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB at most"


def say(text: str) -> None:
    print(f"{time.perf_counter() - BEGAN:6.0f} s  {text}", file=sys.stderr, flush=True)


@contextmanager
def progress(title: str, unit: str) -> Iterator[Callable[..., None]]:
    """A line whenever five seconds have passed since the last, with the most memory taken so far."""
    told = -math.inf

    def update(done: int, total: int | None = None, note: str = "") -> None:
        nonlocal told
        if time.perf_counter() - told > 5:
            told = time.perf_counter()
            say(f"{title}: {done} of {total} {unit} {note}{most_memory()}")

    yield update


def write_data(directory: Path, num_samples: int, side: int) -> None:
    """A JSON line for each sample, its image enlarged to `side` pixels."""
    directory.mkdir(parents=True, exist_ok=True)
    source = ShapesSource(name="shapes", seed=0, splits={"train": num_samples})
    with (directory / "train.jsonl").open("w") as lines:
        for number, sample in enumerate(source.candidates()):
            image = Image.open(io.BytesIO(sample.images[0])).resize((side, side))
            image.save(directory / f"{number}.png")
            row = {"question": sample.question, "answer": sample.answer, "image": f"{number}.png"}
            lines.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
