"""What every engine takes and gives, and the names they go by.

    engine = open_engine("transformers", resolve_model("pebr-tiny"))
    for key, generation in engine.generate(requests, Sampling(1.2, 0.99, 2048)):
        ...

A new engine is one module and one line in `ENGINES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pebr_data.engine_options import RayOptions, ServerOptions, VllmOptions, open_options
from pebr_data.errors import ConfigError
from pebr_data.types import Generation, RolloutKey

if TYPE_CHECKING:
    from PIL import Image

    from pebr_data.models import ResolvedModel


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt and the rollouts wanted of it.

    Attributes:
        prompt: Chat messages as `pebr_data.prompts.messages` makes them, image parts unexpanded.
        images: RGB images for the prompt's image parts, in order.
        keys: One per completion; each key's seed makes that completion.
    """

    prompt: list[dict[str, Any]]
    images: tuple[Image.Image, ...]
    keys: tuple[RolloutKey, ...]

    @property
    def num_pixels(self) -> int:
        """Of all its images."""
        return sum(image.width * image.height for image in self.images)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        temperature: Divides the logits; 0 takes the likeliest token.
        top_p: Only the smallest set of tokens with at least this probability is drawn from; in (0, 1].
        max_completion_length: Completion tokens at most, the end-of-sequence token included.
    """

    temperature: float
    top_p: float
    max_completion_length: int


class Engine(Protocol):
    """Generates completions.

    Attributes:
        name: The engine that shapes the answers, a name in `ENGINES` and part of the fingerprint. One that only places
            another has the other's name.
    """

    name: str

    def generate(
        self, requests: Iterable[Request], sampling: Sampling, *, stop: Callable[[], object] | None = None
    ) -> Iterator[tuple[RolloutKey, Generation]]:
        """One generation for every key of every request, as they finish, in any order.

        A rollout depends on its request and its key's seed, not on what is generated beside it, up to rounding. A
        request that fails gives generations with `finish_reason="error"`. Requests are read as they are needed.

        Args:
            requests: What to generate.
            sampling: How.
            stop: Asked between batches; when true, nothing further is begun and the iterator ends.
        """
        ...


def failed(reason: Exception | str) -> Generation:
    """The generation of a rollout that could not be made; it is recorded, and owed again."""
    text = reason if isinstance(reason, str) else f"{type(reason).__name__}: {reason}"
    return Generation(completion="", num_tokens=0, finish_reason="error", error=" ".join(text.split())[:500])


def require_image_tokens(request: Request, num_image_tokens: int, num_expected: int | None = None) -> None:
    """Makes sure that the policy saw the request's images, and no others.

    Args:
        request: What was asked.
        num_image_tokens: Image tokens in its prompt as the model got it.
        num_expected: What the model's processor makes of images of these sizes; None when it cannot tell.

    Raises:
        ValueError: It did not: there are images without tokens, tokens without images, or more or fewer than expected.
    """
    if num_image_tokens < len(request.images) or bool(request.images) != bool(num_image_tokens):
        raise ValueError(
            f"the prompt has {len(request.images)} images and the processor made {num_image_tokens} image tokens of it"
        )
    if num_expected is not None and num_image_tokens != num_expected:
        raise ValueError(
            f"the prompt has {num_image_tokens} image tokens and the processor alone makes {num_expected} of its images"
        )


def _transformers(model: ResolvedModel, max_pixels: int | None, **options: Any) -> Engine:
    from pebr_data.engines.transformers import TransformersEngine

    return TransformersEngine(model, **options)


def _vllm(model: ResolvedModel, max_pixels: int | None, **options: Any) -> Engine:
    from pebr_data.engines.vllm import VllmEngine

    return VllmEngine(model, VllmOptions(**options), max_pixels)


def _server(model: ResolvedModel, max_pixels: int | None, **options: Any) -> Engine:
    from pebr_data.engines.server import ServerEngine

    return ServerEngine(model, ServerOptions(**options))


def _ray(model: ResolvedModel, max_pixels: int | None, **options: Any) -> Engine:
    from pebr_data.engines.ray import RayEngine

    opened = open_options("ray", options)
    assert isinstance(opened, RayOptions)
    return RayEngine(model, opened, max_pixels)


ENGINES: dict[str, Callable[..., Engine]] = {
    "transformers": _transformers,
    "vllm": _vllm,
    "server": _server,
    "ray": _ray,
}
"""Every engine's name and what loads it, from the model, the images' largest size in pixels and its own options."""


def open_engine(name: str, model: ResolvedModel, *, max_pixels: int | None = None, **options: Any) -> Engine:
    """The engine of that name with the model loaded.

    Args:
        name: A key of `ENGINES`.
        model: The model.
        max_pixels: No image of a request has more; lets an engine plan its memory.
        options: The engine's own, see `pebr_data.engine_options`; none of them changes which answers are likely.

    Raises:
        ConfigError: There is no such engine or option.
        UnavailableError: The model or a package that the engine needs is missing.
    """
    opened = ENGINES[require_engine(name)]
    return opened(model, max_pixels=max_pixels, **open_options(name, options).model_dump(exclude_unset=True))


def require_engine(name: str) -> str:
    """The name, when there is such an engine.

    Raises:
        ConfigError: There is not.
    """
    if name not in ENGINES:
        raise ConfigError(f"unknown engine {name!r}", help=f"set `probe.engine` to one of: {', '.join(ENGINES)}")
    return name
