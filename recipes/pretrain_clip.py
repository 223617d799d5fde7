"""Trains pebr-tiny-clip from scratch on the `pretrain` split of the shapes world.

    python recipes/pretrain_clip.py --out pebr_data/assets/pebr-tiny-clip

A small CLIP: images against reference descriptions, contrastively. Besides the other descriptions of the batch, each
image meets near misses of its own description (an object left out, added or mistaken), because in-batch negatives
alone teach the gist of a scene and not its details. Prints retrieval accuracy on scenes of the `test` split.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from imperfect import near_miss
from tiny_tokenizer import build_tokenizer
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from transformers import CLIPConfig, CLIPModel, CLIPProcessor, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from pebr_data.sources.shapes import draw_pairs
from pebr_data.sources.shapes.render import SIDE_PIXELS, render
from pebr_data.sources.shapes.scene import COLORS, PLACES, SHAPES, SIZES, Scene, SceneObject

NUM_NEAR_MISSES = 3
MAX_TEXT_TOKENS = 64


def miss(scene: Scene, rng: random.Random) -> str:
    """A description of the scene with one object left out, added, or with one attribute mistaken."""
    objects = list(scene.objects)
    free = [place for place in PLACES if place not in {item.place for item in objects}]
    match rng.choice(("left out", "added", "mistaken", "mistaken")):
        case "left out" if len(objects) > 1:
            objects.pop(rng.randrange(len(objects)))
        case "added":
            place = rng.choice(free)
            objects.append(SceneObject(rng.choice(SIZES), rng.choice(COLORS), rng.choice(SHAPES), place))
            objects.sort(key=lambda item: item.cell)
        case _:
            index = rng.randrange(len(objects))
            objects[index] = near_miss(objects[index], rng)
    return ", ".join(item.phrase for item in objects)


def clip_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of pebr-tiny, with begin and end tokens around every text."""
    tokenizer = build_tokenizer()
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A <end_of_utterance>",
        special_tokens=[("<bos>", bos), ("<end_of_utterance>", eos)],
    )
    tokenizer.chat_template = None
    tokenizer.padding_side = "right"
    tokenizer.model_max_length = MAX_TEXT_TOKENS
    return tokenizer


def build_model(tokenizer: PreTrainedTokenizerFast) -> CLIPModel:
    """A CLIP with 4 vision and 3 text layers, 128 wide, randomly initialised."""
    shape = {"hidden_size": 128, "intermediate_size": 384, "num_attention_heads": 4}
    tokens = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {**shape, "num_hidden_layers": 4, "image_size": SIDE_PIXELS, "patch_size": 12}
    text = {**shape, "num_hidden_layers": 3, "vocab_size": len(tokenizer), "max_position_embeddings": MAX_TEXT_TOKENS}
    return CLIPModel(CLIPConfig(vision_config=vision, text_config={**text, **tokens}, projection_dim=128))


class Pairs(IterableDataset[dict[str, Any]]):
    """Endless (pixels, description, near misses)."""

    def __init__(self, split: str, seed: int) -> None:
        self._split = split
        self._seed = seed

    def __iter__(self) -> Iterator[dict[str, Any]]:
        rng = random.Random(f"pairs/{self._split}/{self._seed}")
        stream = self._seed
        while True:
            for scene, _ in islice(draw_pairs(self._split, stream), 20_000):
                misses = [miss(scene, rng) for _ in range(NUM_NEAR_MISSES)]
                yield {"pixels": np.asarray(render(scene)), "texts": [scene.description, *misses]}
            stream += 1


def collate(rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerFast) -> dict[str, Tensor]:
    """pixel_values [B, 3, 72, 72] in -1 .. 1; texts [B * (1 + misses), T], the true descriptions first."""
    texts = [row["texts"][0] for row in rows] + [text for row in rows for text in row["texts"][1:]]
    pixels = torch.from_numpy(np.stack([row["pixels"] for row in rows])).permute(0, 3, 1, 2).float() / 127.5 - 1
    encoded = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    return {"pixel_values": pixels, "input_ids": encoded.input_ids, "attention_mask": encoded.attention_mask}


def embed(model: CLIPModel, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Unit embeddings of images [B, D] and texts [B * (1 + misses), D]."""
    text = model.text_model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).pooler_output
    image = model.vision_model(pixel_values=batch["pixel_values"]).pooler_output
    return (
        F.normalize(model.visual_projection(image).float(), dim=-1),
        F.normalize(model.text_projection(text).float(), dim=-1),
    )


def measure(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, num_scenes: int = 512) -> dict[str, float]:
    """Retrieval accuracy among held-out scenes, and how often the truth beats its near misses."""
    rows = list(islice(iter(Pairs("test", 7)), num_scenes))
    model.eval()
    with torch.inference_mode():
        image, text = embed(model, collate(rows, tokenizer))
    truth, misses = text[:num_scenes], text[num_scenes:].view(num_scenes, NUM_NEAR_MISSES, -1)
    scores, target = image @ truth.T, torch.arange(num_scenes)
    own = scores.diagonal()
    against = torch.einsum("bd,bkd->bk", image, misses)
    return {
        "image_to_text_top1": (scores.argmax(1) == target).float().mean().item(),
        "text_to_image_top1": (scores.argmax(0) == target).float().mean().item(),
        "beats_all_near_misses": (own.unsqueeze(1) > against).all(1).float().mean().item(),
        "cosine_of_truth": own.mean().item(),
        "cosine_of_near_miss": against.mean().item(),
        "cosine_of_other": ((scores.sum() - own.sum()) / (num_scenes * (num_scenes - 1))).item(),
    }


def main() -> None:
    """Train, measure retrieval on held-out scenes, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    tokenizer = clip_tokenizer()
    model = build_model(tokenizer)
    print(json.dumps({"parameters": model.num_parameters()}), flush=True)
    loader = DataLoader(
        Pairs("pretrain", arguments.seed),
        batch_size=arguments.batch_size,
        collate_fn=lambda rows: collate(rows, tokenizer),
        num_workers=1,
        prefetch_factor=4,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=arguments.learning_rate, weight_decay=0.05, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / arguments.steps))),
    )
    model.train()
    started, losses = time.monotonic(), []
    for step, batch in zip(range(arguments.steps), loader, strict=False):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            image, text = embed(model, batch)
        logits = model.logit_scale.exp().clamp(max=100) * image @ text.T
        target = torch.arange(len(image))
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits[:, : len(image)].T, target)) / 2
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            rate = (step + 1) * arguments.batch_size / (time.monotonic() - started)
            print(
                json.dumps({"step": step + 1, "loss": round(float(np.mean(losses[-100:])), 4), "rate": round(rate)}),
                flush=True,
            )
    images = CLIPImageProcessorPil(
        size={"height": SIDE_PIXELS, "width": SIDE_PIXELS},
        do_center_crop=False,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(arguments.out)
    CLIPProcessor(images, tokenizer).save_pretrained(arguments.out)
    print(json.dumps(measure(model.float(), tokenizer)), flush=True)


if __name__ == "__main__":
    main()
