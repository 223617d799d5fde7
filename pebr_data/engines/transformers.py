"""The engine `transformers`: any image-text-to-text model of transformers, on one GPU or on the CPU.

Decoder-only language models behind a vision tower (Idefics3, SmolVLM, Qwen2-VL, Qwen2.5-VL, LLaVA, …). Prompts go in
unexpanded; the processor expands the image tokens, and their number is checked. float32 on the CPU, bfloat16 on a GPU.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pebr_data.engines.base import Request, Sampling, failed, require_image_tokens
from pebr_data.engines.batching import BatchSize, Length, batches
from pebr_data.engines.compile_trial import CompileTrial
from pebr_data.engines.decode import decode
from pebr_data.engines.special_tokens import eos_token_ids, image_token_id
from pebr_data.errors import UnavailableError
from pebr_data.models import ResolvedModel
from pebr_data.types import Generation, RolloutKey

MAX_ROWS = 512
"""Rollouts generated together unless memory says less; more was no faster on the CPU."""

ENOUGH_ROWS_ON_CPU = 128
"""As fast for each rollout as 512 there, and attention over padded prompts takes twice as long as without."""

CACHE_SHARE = 0.6
"""Share of the free memory that keys and values may take."""

USUAL_PROMPT = 1500
"""Tokens that every prompt is taken to have at least, since its image tokens are only estimated."""

Done = tuple[RolloutKey, Generation]


class TransformersEngine:
    """A loaded model and its processor.

    Args:
        model: The model to load.
        batch_size: Rollouts generated together; by default as many as memory holds, 512 at most.
        device: A torch device; the GPU by default where there is one.
        dtype: A torch dtype's name; bfloat16 on a GPU and float32 on the CPU by default.
        compile: Whether the steps are recorded, see `pebr_data.engines.step`. By default that is found out on a GPU
            with the first batches, and not done on the CPU.

    Raises:
        UnavailableError: The model cannot be loaded, or torch or transformers is not installed.
    """

    name = "transformers"

    def __init__(
        self,
        model: ResolvedModel,
        *,
        batch_size: int | None = None,
        device: str | None = None,
        dtype: str | None = None,
        compile: bool | None = None,
    ) -> None:
        try:
            import torch
            from transformers import AutoModelForImageTextToText, AutoProcessor
        except ImportError as error:
            raise UnavailableError(
                f"the engine `transformers` needs a package that is not installed: {error.name}",
                help="pip install 'pebr[train]'",
            ) from error
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        on_cpu = torch.device(self.device).type == "cpu"
        self._dtype = getattr(torch, dtype or ("float32" if on_cpu else "bfloat16"))
        try:
            with _quiet():
                self.processor: Any = AutoProcessor.from_pretrained(model.location, revision=model.hub_revision)
                loaded = AutoModelForImageTextToText.from_pretrained(
                    model.location, revision=model.hub_revision, dtype=self._dtype
                )
        except (OSError, ValueError, ImportError) as error:
            reason = " ".join(str(error).split())
            raise UnavailableError(
                f"the model cannot be loaded: {reason}",
                where=model.location,
                help="name an image-text-to-text model that transformers loads, processor included",
            ) from error
        self.model: Any = loaded.to(self.device).eval()
        if getattr(self.processor, "chat_template", None) is None:
            raise UnavailableError(
                "the model's processor has no chat template",
                where=model.location,
                help="use the instruction-tuned model, or add a chat_template.jinja to the directory",
            )
        self._tokenizer: Any = self.processor.tokenizer
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self.eos_token_ids = eos_token_ids(self.model.generation_config, self._tokenizer)
        self._image_token_id = image_token_id(self.model.config, self.processor)
        self._context = _context_length(self.model.config)
        self._max_rows = batch_size
        self._compile_trial = CompileTrial(False if on_cpu and compile is None else compile)
        self._batch_size: BatchSize | None = None

    def generate(
        self, requests: Iterable[Request], sampling: Sampling, *, stop: Callable[[], object] | None = None
    ) -> Iterator[Done]:
        """One generation for every key of every request, batch by batch; see `Engine.generate`."""
        if self._batch_size is None:
            tokens = None if self._max_rows else self._tokens_in_memory()
            rows = self._max_rows or MAX_ROWS
            if tokens is not None:
                rows = max(1, min(rows, tokens // (USUAL_PROMPT + sampling.max_completion_length)))
            self._batch_size = BatchSize(rows, ENOUGH_ROWS_ON_CPU if self.device == "cpu" else rows, tokens)
        self._batch_size.max_completion_length = sampling.max_completion_length
        for batch in batches(requests, self._length_of, self._batch_size):
            yield from self._generate_batch(batch, sampling)
            if stop is not None and stop():
                return

    def _generate_batch(self, batch: Sequence[Request], sampling: Sampling) -> list[Done]:
        """The batch's generations; where good rollouts were too many together, the most that fitted are the new limit.

        A batch with a rollout for which memory runs out even alone says nothing about how many others fit.
        """
        trial = _Trial()
        done = self._generate_in_parts(batch, sampling, trial)
        if trial.too_many and self._batch_size is not None:
            self._batch_size.rows = min(self._batch_size.rows, trial.most_rows)
        return done

    def _generate_in_parts(self, batch: Sequence[Request], sampling: Sampling, trial: _Trial) -> list[Done]:
        """The batch's generations. One that cannot be done together is done in halves, down to single rollouts."""
        import torch

        num_rows = sum(len(request.keys) for request in batch)
        try:
            done = self._generate_together(batch, sampling)
        except Exception as error:  # the boundary around processors and models, which raise many kinds
            # The error itself would keep its frames' tensors in memory.
            failure, out_of_memory = failed(error), isinstance(error, torch.OutOfMemoryError | MemoryError)
        else:
            trial.most_rows = max(trial.most_rows, num_rows)
            return done
        if out_of_memory and torch.cuda.is_available():
            torch.cuda.empty_cache()
        if out_of_memory and self._compile_trial.is_open and self._compile_trial.compiled:
            # A recording takes memory of its own: that says nothing about how many rollouts fit without.
            self._compile_trial.give_up()
            return self._generate_in_parts(batch, sampling, trial)
        if len(batch) > 1:
            middle = len(batch) // 2
            halves: Sequence[Sequence[Request]] = (batch[:middle], batch[middle:])
        elif out_of_memory and num_rows > 1:
            keys, middle = batch[0].keys, num_rows // 2
            halves = ([replace(batch[0], keys=keys[:middle])], [replace(batch[0], keys=keys[middle:])])
        else:
            return [(key, failure) for request in batch for key in request.keys]
        done = [one for half in halves for one in self._generate_in_parts(half, sampling, trial)]
        if out_of_memory and all(generation.finish_reason != "error" for _, generation in done):
            trial.too_many = True
        return done

    def _generate_together(self, batch: Sequence[Request], sampling: Sampling) -> list[Done]:
        inputs = self._inputs(batch)
        prompt_tokens, image_tokens = _count_tokens(inputs, self._image_token_id)
        for request, num_image_tokens in zip(batch, image_tokens, strict=True):
            require_image_tokens(request, int(num_image_tokens))
        rooms = [self._room(int(num_tokens), sampling) for num_tokens in prompt_tokens]
        seeds = [[key.seed for key in request.keys] for request in batch]
        within = replace(sampling, max_completion_length=max(rooms))
        compiled, started = self._compile_trial.compiled, time.perf_counter()
        completions = decode(
            self.model, inputs, seeds, within, self.eos_token_ids, [self._image_token_id], compiled=compiled
        )
        self._compile_trial.note(time.perf_counter() - started, sum(map(len, completions)))
        texts: list[str] = self._tokenizer.batch_decode(completions, skip_special_tokens=True)
        owners = [(index, key) for index, request in enumerate(batch) for key in request.keys]
        done: list[Done] = []
        for (index, key), tokens, text in zip(owners, completions, texts, strict=True):
            ended = int(tokens[-1]) in self.eos_token_ids
            if len(tokens) > rooms[index] or (len(tokens) < sampling.max_completion_length and not ended):
                done.append((key, failed(_cut_short(rooms[index], int(prompt_tokens[index]), sampling))))
                continue
            generation = Generation(
                completion=text,
                num_tokens=len(tokens),
                finish_reason="stop" if ended else "length",
                num_prompt_tokens=int(prompt_tokens[index]),
                num_image_tokens=int(image_tokens[index]),
            )
            done.append((key, generation))
        return done

    def _room(self, num_prompt_tokens: int, sampling: Sampling) -> int:
        """How many completion tokens fit behind a prompt.

        Raises:
            ValueError: None does.
        """
        if self._context is None:
            return sampling.max_completion_length
        if num_prompt_tokens >= self._context:
            raise ValueError(
                f"the prompt has {num_prompt_tokens} tokens, which fill the model's context of {self._context}"
            )
        return min(sampling.max_completion_length, self._context - num_prompt_tokens)

    def _inputs(self, batch: Sequence[Request]) -> Any:
        """The processor's tensors on the device, left-padded; image parts expanded to image tokens."""
        texts = [self._render(request) for request in batch]
        images = [list(request.images) for request in batch]
        inputs = self.processor(
            text=texts,
            images=images if any(images) else None,
            padding=True,
            padding_side="left",
            return_tensors="pt",
        )
        return inputs.to(self.device, dtype=self._dtype)

    def _render(self, request: Request) -> str:
        text: str = self.processor.apply_chat_template(request.prompt, add_generation_prompt=True, tokenize=False)
        return text

    def _length_of(self, request: Request) -> Length:
        # Images of one size expand to equally many tokens; 28 x 28 pixels a token is Qwen2.5-VL's rate.
        num_text_tokens = len(self._tokenizer(self._render(request))["input_ids"])
        return bool(request.images), num_text_tokens + request.num_pixels // 784

    def _tokens_in_memory(self) -> int:
        """How many tokens' keys and values fit."""
        import torch

        text = self.model.config.get_text_config(decoder=True)
        num_heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        bytes_per_token = 2 * text.num_hidden_layers * num_heads * width * self._dtype.itemsize
        if torch.device(self.device).type == "cuda":
            free, _ = torch.cuda.mem_get_info()
        else:
            free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return int(CACHE_SHARE * free / bytes_per_token)


@dataclass(slots=True)
class _Trial:
    """What one batch showed about memory.

    Attributes:
        most_rows: The most rollouts that were generated together.
        too_many: Whether memory ran out for rollouts of which all fit in smaller numbers.
    """

    most_rows: int = 0
    too_many: bool = False


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bar and the advice that transformers prints while it loads; errors still show."""
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def _context_length(config: Any) -> int | None:
    """Prompt and completion tokens that the model takes together, as vLLM reads it; None where the config has none."""
    text = config.get_text_config(decoder=True)
    num_tokens = getattr(text, "max_position_embeddings", None)
    if num_tokens is None:
        return None
    rope = getattr(text, "rope_parameters", None) or {}
    # The other kinds of scaling have `max_position_embeddings` scaled already.
    factor = rope.get("factor") if rope.get("rope_type") in ("linear", "dynamic") else None
    return int(num_tokens * (factor or 1))


def _cut_short(room: int, num_prompt_tokens: int, sampling: Sampling) -> str:
    return (
        f"the context ended the completion after {room} of {sampling.max_completion_length} tokens: "
        f"the prompt has {num_prompt_tokens}"
    )


def _count_tokens(inputs: Any, image_token_id: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Prompt tokens and image tokens of each prompt, both of shape (prompts,)."""
    image_tokens = (inputs["input_ids"] == image_token_id).sum(dim=-1)
    return inputs["attention_mask"].sum(dim=-1).cpu().numpy(), image_tokens.cpu().numpy()
