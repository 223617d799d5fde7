"""Trains pebr-tiny from scratch on the `pretrain` split of the shapes world.

    python recipes/pretrain_tiny.py --out pebr_data/assets/pebr-tiny

Three phases. The first two learn from clean worked responses, the second mostly from questions that have to find
objects by their looks. The third goes on with *imperfect demonstrators*, who leave objects out, mistake attributes,
miscount and skip sections (`imperfect.py`): a base that has learnt from them can do better than it usually does, and
that head-room is what GRPO brings out. Initial weights, samples and imperfections follow from the seed; the number of
threads may change the last digits of a float.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from imperfect import imperfect_response
from tiny_tokenizer import build_tokenizer
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor, PreTrainedTokenizerFast
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from pebr_data.sources.shapes import draw_pairs
from pebr_data.sources.shapes.questions import respond
from pebr_data.sources.shapes.render import SIDE_PIXELS, render

PATCH_PIXELS = 12
SCALE_FACTOR = 2
NUM_IMAGE_TOKENS = (SIDE_PIXELS // PATCH_PIXELS // SCALE_FACTOR) ** 2
WIDTH = 192


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Idefics3Processor:
    """The processor: one 72 x 72 px view of the image, 9 image tokens."""
    images = Idefics3ImageProcessorPil(
        do_image_splitting=False,
        size={"longest_edge": SIDE_PIXELS},
        max_image_size={"longest_edge": SIDE_PIXELS},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return Idefics3Processor(images, tokenizer, image_seq_len=NUM_IMAGE_TOKENS, chat_template=tokenizer.chat_template)


def build_model(tokenizer: PreTrainedTokenizerFast) -> Idefics3ForConditionalGeneration:
    """An Idefics3 with 4 vision and 4 text layers, randomly initialised."""
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in ("<bos>", "<end_of_utterance>", "<pad>", "<image>")}
    config = Idefics3Config(
        vision_config={
            "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "image_size": SIDE_PIXELS,
            "patch_size": PATCH_PIXELS,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": 512,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "max_position_embeddings": 512,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True,
            "bos_token_id": ids["<bos>"],
            "eos_token_id": ids["<end_of_utterance>"],
            "pad_token_id": ids["<pad>"],
        },
        scale_factor=SCALE_FACTOR,
        image_token_id=ids["<image>"],
        pad_token_id=ids["<pad>"],
        tie_word_embeddings=True,
    )
    model = Idefics3ForConditionalGeneration(config)
    model.generation_config.eos_token_id = ids["<end_of_utterance>"]
    model.generation_config.pad_token_id = ids["<pad>"]
    model.generation_config.bos_token_id = ids["<bos>"]
    return model


@dataclass(frozen=True)
class Phase:
    """One phase of the training.

    Attributes:
        name: Names the directory its weights are saved in.
        num_steps: Optimizer steps.
        learning_rate: At its highest.
        imperfect: Whether the demonstrators make mistakes.
        train_vision: Whether the vision tower and the projector learn too.
        other_skills: The share of questions kept that are not about finding objects by their looks.
    """

    name: str
    num_steps: int
    learning_rate: float
    imperfect: bool = False
    train_vision: bool = True
    other_skills: float = 1.0


PHASES = (
    Phase("clean", num_steps=3300, learning_rate=2e-3),
    Phase("lookup", num_steps=1800, learning_rate=1.5e-3, train_vision=False, other_skills=0.35),
    Phase("imperfect", num_steps=1600, learning_rate=6e-4, imperfect=True, train_vision=False),
)
LOOKUP_SKILLS = {"locate", "count-group", "compare", "subtract", "combine", "compose"}


class Lessons(IterableDataset[dict[str, Any]]):
    """Endless (pixels, question, response)."""

    def __init__(self, phase: Phase, seed: int) -> None:
        self._phase = phase
        self._seed = seed

    def __iter__(self) -> Iterator[dict[str, Any]]:
        rng = random.Random(f"lessons/{self._phase.name}/{self._seed}")
        stream = self._seed
        while True:
            # A stream never repeats a layout, so it is left before the world runs out of small scenes.
            for scene, question in islice(draw_pairs("pretrain", stream), 20_000):
                if question.skill not in LOOKUP_SKILLS and rng.random() >= self._phase.other_skills:
                    continue
                if self._phase.imperfect:
                    response = imperfect_response(scene, question, rng)
                else:
                    response = respond(scene.description, question.rationale, question.steps, question.answer)
                yield {"pixels": np.asarray(render(scene)), "question": question.text, "response": response}
            stream += 1


def collate(rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerFast) -> dict[str, Tensor]:
    """input_ids, labels, attention_mask [B, T] and pixel_values [B, 1, 3, 72, 72] in -1 .. 1."""
    image = "<fake_token_around_image><global-img>" + "<image>" * NUM_IMAGE_TOKENS + "<fake_token_around_image>"
    sequences, starts = [], []
    for row in rows:
        prompt = f"<bos><|user|>{image}{row['question']}<end_of_utterance><|assistant|>"
        prompt_ids = tokenizer(prompt, add_special_tokens=False).input_ids
        starts.append(len(prompt_ids))
        reply = tokenizer(row["response"] + "<end_of_utterance>", add_special_tokens=False).input_ids
        sequences.append(prompt_ids + reply)
    length = max(map(len, sequences))
    input_ids = torch.full((len(rows), length), tokenizer.pad_token_id)
    labels = torch.full((len(rows), length), -100)
    attention = torch.zeros((len(rows), length), dtype=torch.long)
    for index, (sequence, start) in enumerate(zip(sequences, starts, strict=True)):
        input_ids[index, : len(sequence)] = torch.tensor(sequence)
        labels[index, start : len(sequence)] = torch.tensor(sequence[start:])
        attention[index, : len(sequence)] = 1
    pixels = torch.from_numpy(np.stack([row["pixels"] for row in rows])).permute(0, 3, 1, 2).float() / 127.5 - 1
    return {
        "input_ids": input_ids,
        "labels": labels,
        "attention_mask": attention,
        "pixel_values": pixels.unsqueeze(1),
        "pixel_attention_mask": torch.ones(len(rows), 1, SIDE_PIXELS, SIDE_PIXELS, dtype=torch.bool),
    }


def train(
    model: Idefics3ForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    phase: Phase,
    *,
    seed: int,
    batch_size: int,
) -> None:
    """Runs one phase: AdamW, 3 % linear warm-up, cosine to a twentieth."""
    num_steps = phase.num_steps
    for part in (model.model.vision_model, model.model.connector):
        part.requires_grad_(phase.train_vision)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    loader = DataLoader(
        Lessons(phase, seed),
        batch_size=batch_size,
        collate_fn=lambda rows: collate(rows, tokenizer),
        num_workers=1,
        prefetch_factor=8,
    )
    optimizer = torch.optim.AdamW(trained, lr=phase.learning_rate, weight_decay=0.01, betas=(0.9, 0.98))

    def scale(step: int) -> float:
        warm = min(1.0, (step + 1) / max(1, 0.03 * num_steps))
        return warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / num_steps)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, scale)
    model.train()
    started, losses = time.monotonic(), []
    for step, batch in zip(range(num_steps), loader, strict=False):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % 100 == 0 or step + 1 == num_steps:
            rate = (step + 1) * batch_size / (time.monotonic() - started)
            print(
                json.dumps({"step": step + 1, "loss": round(float(np.mean(losses[-100:])), 4), "rate": round(rate)}),
                flush=True,
            )


def save(model: Idefics3ForConditionalGeneration, processor: Idefics3Processor, out: Path) -> None:
    """Writes weights in bf16, configuration and processor."""
    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(out)
    model.to(torch.float32)
    processor.save_pretrained(out)


def main() -> None:
    """Runs the phases in order; each one's weights are saved, the last one's in `--out`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--after", choices=[phase.name for phase in PHASES[:-1]], help="go on after this phase")
    arguments = parser.parse_args()

    def saved(phase: Phase) -> Path:
        out: Path = arguments.out
        return out if phase is PHASES[-1] else out.with_name(f"{out.name}-{phase.name}")

    torch.manual_seed(arguments.seed)
    tokenizer = build_tokenizer()
    processor = build_processor(tokenizer)
    todo = list(PHASES)
    if arguments.after:
        done = next(index for index, phase in enumerate(PHASES) if phase.name == arguments.after)
        model = Idefics3ForConditionalGeneration.from_pretrained(saved(PHASES[done]), dtype=torch.float32)
        todo = todo[done + 1 :]
    else:
        model = build_model(tokenizer)
        print(json.dumps({"parameters": model.num_parameters()}), flush=True)
    for phase in todo:
        print(json.dumps({"phase": phase.name}), flush=True)
        train(model, tokenizer, phase, seed=arguments.seed, batch_size=arguments.batch_size)
        save(model, processor, saved(phase))


if __name__ == "__main__":
    main()
