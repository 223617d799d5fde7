"""How long a step of the engine `transformers` takes on a random model of Qwen2.5-VL-3B's shape, and what shortens it.

    python -m tests.bench.decode_step [--tiny] [--prompts 64] [--rollouts 8] [--steps 48]

Prompts have one image of 391 tokens and some 60 words, of one length (no mask) or of several. Needs a 40 GB GPU, or
`--tiny`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from pebr_data.engines import decode as loop
from pebr_data.engines.base import Sampling
from pebr_data.engines.decode import decode
from tests.tiny_vlm import QWEN_3B, TINY_QWEN, TINY_QWEN_TOKENS, qwen2_5_vl

ROWS, COLUMNS = 34, 46
"""Patches of an image; four are one token."""


@contextmanager
def without_cudnn(model: Any) -> Iterator[None]:
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(True)


ATTENTION: dict[str, tuple[Callable[[Any], AbstractContextManager[None]], bool]] = {
    "as transformers and PyTorch do it": (lambda model: nullcontext(), False),
    "without cuDNN": (without_cudnn, False),
    "heads grouped too": (loop.attention_for_steps, False),
    "and recorded (compile)": (loop.attention_for_steps, True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a model of a few thousand parameters")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--rollouts", type=int, default=8)
    parser.add_argument("--steps", type=int, default=48)
    asked = parser.parse_args()

    on_gpu = torch.cuda.is_available()
    torch.set_default_dtype(torch.bfloat16 if on_gpu else torch.float32)
    with torch.device("cuda" if on_gpu else "cpu"):
        model = qwen2_5_vl(shape=TINY_QWEN if asked.tiny else QWEN_3B)
    seeds = [
        [prompt * asked.rollouts + rollout for rollout in range(asked.rollouts)] for prompt in range(asked.prompts)
    ]
    print(f"{asked.prompts} prompts x {asked.rollouts} rollouts; milliseconds a step, prompts apart")
    print(f"{'':34} {'one length':>12} {'several':>12}")
    for name, (attention, compiled) in ATTENTION.items():
        loop.attention_for_steps = attention  # type: ignore[assignment]
        took = []
        for several in (False, True):
            inputs = {key: value.to(model.device) for key, value in prompts(asked.prompts, several).items()}
            # The prompts cost the same whatever follows them. The first time loads kernels.
            seconds = [timed(model, inputs, seeds, steps, compiled) for steps in (2, 2, 2 + asked.steps)]
            took.append(1000 * (seconds[2] - seconds[1]) / asked.steps)
        print(f"{name:34} {took[0]:>12.1f} {took[1]:>12.1f}", flush=True)


def timed(model: Any, inputs: dict[str, torch.Tensor], seeds: list[list[int]], steps: int, compiled: bool) -> float:
    began = time.perf_counter()
    decode(model, inputs, seeds, Sampling(1.2, 0.99, steps), [TINY_QWEN_TOKENS["eos_token_id"]], compiled=compiled)
    return time.perf_counter() - began


def prompts(count: int, several: bool) -> dict[str, torch.Tensor]:
    """Prompts with an image each, left-padded where their lengths differ."""
    generator = torch.Generator().manual_seed(0)
    image, start, end = (TINY_QWEN_TOKENS[f"{name}_token_id"] for name in ("image", "vision_start", "vision_end"))
    rows = []
    for number in range(count):
        words = torch.randint(3, 50, (60 - number % 8 if several else 60,), generator=generator).tolist()
        rows.append([start, *[image] * (ROWS * COLUMNS // 4), end, *words])
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    return {
        "input_ids": ids,
        "attention_mask": torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows]),
        "mm_token_type_ids": (ids == image).int(),
        "pixel_values": torch.randn(count * ROWS * COLUMNS, 3 * 2 * 14 * 14, generator=generator),
        "image_grid_thw": torch.tensor([[1, ROWS, COLUMNS]] * count),
    }


if __name__ == "__main__":
    main()
