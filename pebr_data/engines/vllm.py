"""The engine `vllm`: vLLM in this process and its children, on GPUs or, for tests, on the CPU.

Prompts go in unexpanded, with their images; vLLM expands the image tokens, and their number must be what the model's
processor makes. Every rollout is a request of its own with its key's seed; the prefix cache makes the rollouts of a
sample share prompt and image. Requests flow: a new one starts as soon as one has ended, so that the batch stays full.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

from pebr_data.engine_options import VllmOptions
from pebr_data.engines import orphans
from pebr_data.engines.base import Request, Sampling, failed, require_image_tokens
from pebr_data.engines.special_tokens import eos_token_ids, image_token_id
from pebr_data.errors import UnavailableError
from pebr_data.models import ResolvedModel
from pebr_data.types import Generation, RolloutKey

CPU_BATCHED_TOKENS = 4096
"""Prompt tokens that a step on the CPU may take, unless the context is longer."""

LARGEST_ASPECT = 200
"""The longest image that Qwen's processors take, as a ratio of its sides."""

Done = tuple[RolloutKey, Generation]


class VllmEngine:
    """A model loaded by vLLM.

    Args:
        model: The model to load.
        options: How it is run here.
        max_pixels: No image of a request has more; processors that know a budget plan their memory by it.

    Raises:
        UnavailableError: vLLM is not installed, or cannot load the model.
    """

    name = "vllm"

    def __init__(self, model: ResolvedModel, options: VllmOptions | None = None, max_pixels: int | None = None) -> None:
        options = options or VllmOptions()
        # vLLM talks on stdout unless told otherwise, its children included.
        os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        try:
            import vllm
            from transformers import AutoConfig, AutoProcessor, GenerationConfig
            from vllm.platforms import current_platform
        except ImportError as error:
            raise UnavailableError(
                f"the engine `vllm` needs a package that is not installed: {error.name}",
                help="pip install 'pebr[vllm]', in an environment of its own",
            ) from error
        self._vllm: Any = vllm
        self.options = options
        try:
            config = AutoConfig.from_pretrained(model.location, revision=model.hub_revision)
            self.processor: Any = AutoProcessor.from_pretrained(model.location, revision=model.hub_revision)
            try:
                generation_config = GenerationConfig.from_pretrained(model.location, revision=model.hub_revision)
            except OSError:
                generation_config = GenerationConfig.from_model_config(config)
            self._image_token_id = image_token_id(config, self.processor)
            self.eos_token_ids = eos_token_ids(generation_config, self.processor.tokenizer)
            on_cpu = current_platform.is_cpu()
            orphans.watch()
            with _children_without_interrupts():
                self.llm: Any = vllm.LLM(
                    model.location,
                    revision=model.hub_revision,
                    tokenizer_revision=model.hub_revision,
                    dtype=options.dtype or ("float32" if on_cpu else "bfloat16"),
                    tensor_parallel_size=options.tensor_parallel_size,
                    gpu_memory_utilization=options.gpu_memory_utilization,
                    max_model_len=options.max_model_len,
                    max_num_seqs=options.max_num_seqs,
                    enforce_eager=options.enforce_eager,
                    enable_prefix_caching=True,
                    # The model's own sampling defaults are in no fingerprint.
                    generation_config="vllm",
                    limit_mm_per_prompt={"image": options.max_images, "video": 0},
                    mm_processor_kwargs=_processor_kwargs(self.processor, max_pixels),
                    **(_whole_prompts(config, options) if on_cpu else {}),
                )
        except UnavailableError:
            raise
        except Exception as error:  # the boundary around processors and vLLM, which raise many kinds
            reason = " ".join(str(error).split())[:500]
            raise UnavailableError(
                f"vLLM cannot load the model: {type(error).__name__}: {reason}",
                where=model.location,
                help="VLLM_LOGGING_LEVEL=INFO shows what it did; or probe with `engine: transformers`",
            ) from error
        self._engine: Any = self.llm.llm_engine
        self._num_begun = 0
        self._image_tokens: dict[tuple[tuple[int, int], ...], int | None] = {}

    def generate(
        self, requests: Iterable[Request], sampling: Sampling, *, stop: Callable[[], object] | None = None
    ) -> Iterator[Done]:
        """One generation for every key of every request, as they end; see `Engine.generate`.

        When `stop` is true what is under way is still finished.
        """
        from vllm.v1.engine.exceptions import EngineDeadError

        source = iter(requests)
        running: dict[str, tuple[Request, RolloutKey]] = {}
        # A few more than run at once, so that none waits for us.
        room = self.options.max_num_seqs + self.options.max_num_seqs // 8
        more = True
        try:
            while True:
                while more and len(running) < room:
                    request = next(source, None)
                    if request is None:
                        more = False
                        break
                    yield from self._begin(request, sampling, running)
                if not running:
                    return
                for output in self._engine.step():
                    if output.finished and output.request_id in running:
                        asked, key = running.pop(output.request_id)
                        yield key, self._generation(asked, output, sampling)
                more = more and not (stop is not None and stop())
        except EngineDeadError as error:
            running.clear()
            if stop is not None and stop():
                # The signal went to vLLM's processes too; what they had in hand is owed.
                return
            raise UnavailableError(
                "vLLM's own process died; its reason is above",
                help="run the command again: what was kept stays; smaller `max_num_seqs` or `gpu_memory_utilization` "
                "if memory ran out",
            ) from error
        finally:
            if running:
                self._engine.abort_request(list(running))

    def _begin(
        self, request: Request, sampling: Sampling, running: dict[str, tuple[Request, RolloutKey]]
    ) -> Iterator[Done]:
        """Hands a request's rollouts to vLLM; gives those that it does not take."""
        try:
            prompt: dict[str, Any] = {"prompt": self._render(request)}
            if request.images:
                prompt["multi_modal_data"] = {"image": list(request.images)}
        except Exception as error:  # the boundary around chat templates
            yield from ((key, failed(error)) for key in request.keys)
            return
        for key in request.keys:
            name = str(self._num_begun)
            self._num_begun += 1
            try:
                self._engine.add_request(name, prompt, self.sampling_params(key, sampling))
            except Exception as error:  # the boundary around processors: too long, too many images, not an image
                yield key, failed(error)
                continue
            running[name] = (request, key)

    def _render(self, request: Request) -> str:
        text: str = self.processor.apply_chat_template(request.prompt, add_generation_prompt=True, tokenize=False)
        return text

    def sampling_params(self, key: RolloutKey, sampling: Sampling) -> Any:
        """How vLLM is to draw one rollout."""
        from vllm.sampling_params import RequestOutputKind

        return self._vllm.SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=key.seed,
            max_tokens=sampling.max_completion_length,
            stop_token_ids=sorted(self.eos_token_ids),
            # An image token in a completion stands for no image.
            logit_bias={self._image_token_id: -math.inf},
            # We decode the tokens ourselves, as the engine `transformers` does.
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _expected_image_tokens(self, request: Request) -> int | None:
        """Image tokens that the model's processor makes of images of these sizes; None when it takes none."""
        sizes = tuple(image.size for image in request.images)
        if sizes not in self._image_tokens:
            # The question does not count: there an image token stands for no image.
            content: list[dict[str, Any]] = [{"type": "image"} for _ in sizes]
            prompt = [{"role": "user", "content": [*content, {"type": "text", "text": "?"}]}]
            try:
                text = self.processor.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
                made = self.processor(text=[text], images=[list(request.images)] if sizes else None)
                tokens: list[int] = list(made["input_ids"][0])
                self._image_tokens[sizes] = tokens.count(self._image_token_id)
            except Exception:  # the boundary around processors
                self._image_tokens[sizes] = None
        return self._image_tokens[sizes]

    def _generation(self, request: Request, output: Any, sampling: Sampling) -> Generation:
        (completion,) = output.outputs
        tokens = list(completion.token_ids)
        num_image_tokens = output.prompt_token_ids.count(self._image_token_id)
        try:
            require_image_tokens(request, num_image_tokens, self._expected_image_tokens(request))
        except ValueError as error:
            return failed(error)
        if completion.finish_reason not in ("stop", "length"):
            return failed(f"vLLM ended the completion with {completion.finish_reason!r}")
        if completion.finish_reason == "length" and len(tokens) < sampling.max_completion_length:
            return failed(
                f"the context ended the completion after {len(tokens)} of {sampling.max_completion_length} tokens: "
                f"the prompt has {len(output.prompt_token_ids)}, raise `max_model_len` if the model allows it"
            )
        return Generation(
            completion=self.processor.tokenizer.decode(tokens, skip_special_tokens=True),
            num_tokens=len(tokens),
            finish_reason=completion.finish_reason,
            num_prompt_tokens=len(output.prompt_token_ids),
            num_image_tokens=num_image_tokens,
        )


@contextmanager
def _children_without_interrupts() -> Iterator[None]:
    """Processes started inside never get a terminal's Ctrl-C: whoever started them decides when they end."""
    # Starting this helper of Python's unblocks the signal; its children find it running.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _whole_prompts(config: Any, options: VllmOptions) -> dict[str, Any]:
    """Keeps prompts whole on the CPU: where one is split over steps vLLM rewinds its seed, and torch refuses."""
    own: int = getattr(config.get_text_config(decoder=True), "max_position_embeddings", 0)
    num_tokens = max(CPU_BATCHED_TOKENS, own if options.max_model_len is None else options.max_model_len)
    return {"enable_chunked_prefill": False, "max_num_batched_tokens": num_tokens}


def _processor_kwargs(processor: Any, max_pixels: int | None) -> dict[str, int] | None:
    """What bounds the processor's images by the pixel budget, where it has such a bound (Qwen-VL).

    Our images are within the budget already. The bound must not shrink one that rounding to whole patches made larger:
    then this policy would see less than the one that is trained. It is there because vLLM reserves memory by it.
    """
    size = getattr(getattr(processor, "image_processor", None), "size", None) or {}
    patch = getattr(getattr(processor, "image_processor", None), "patch_size", None)
    merge = getattr(getattr(processor, "image_processor", None), "merge_size", None)
    if max_pixels is None or not isinstance(patch, int) or not isinstance(merge, int) or "shortest_edge" not in size:
        return None
    unit = patch * merge
    # Rounding adds half a unit to each side at most; the longest image has the largest sum of sides.
    sides = math.sqrt(max_pixels / LARGEST_ASPECT) * (1 + LARGEST_ASPECT)
    rounded = math.ceil(max_pixels + unit / 2 * sides + unit * unit / 4)
    return {"min_pixels": size["shortest_edge"], "max_pixels": min(size["longest_edge"], rounded)}
