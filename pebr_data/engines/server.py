"""The engine `server`: any OpenAI-compatible endpoint with image input, such as vLLM, SGLang or a hosted API.

Images go as base64 PNG. What a server does with a prompt cannot be seen, only counted: prompt tokens with and without
the images are compared, once for each size of images and then now and again. The difference is the image tokens and the
markers around them. A sample's rollouts must all have equally many prompt tokens.
vLLM and SGLang are told to leave out what the model's generation config would add to the sampling; others cannot be.
"""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pebr_data.engine_options import ServerOptions
from pebr_data.engines.base import Request, Sampling, failed
from pebr_data.engines.breaker import Breaker, Halted
from pebr_data.engines.endpoint import Broken, Choice, Endpoint, Rejected, Reply
from pebr_data.errors import UnavailableError
from pebr_data.models import ResolvedModel
from pebr_data.types import Generation, RolloutKey

if TYPE_CHECKING:
    from PIL import Image

LOOK_EVERY_SECONDS = 0.2
"""How often `stop` is asked while no answer comes."""

RECOUNT_EVERY = 256
"""Answers about images of one size after which their tokens are counted again: a server may change under way."""

PLAIN_SAMPLING = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""What vLLM and SGLang would otherwise take from the model's generation config."""

Done = tuple[RolloutKey, Generation]
Sizes = tuple[tuple[int, int], ...]


class ServerEngine:
    """A server that generates.

    Args:
        model: The model it should serve.
        options: Where it is and how it is asked.
    """

    name = "server"

    def __init__(self, model: ResolvedModel, options: ServerOptions) -> None:
        self.model = model
        self.options = options
        self._image_tokens: dict[Sizes, _ImageTokens] = {}

    def generate(
        self, requests: Iterable[Request], sampling: Sampling, *, stop: Callable[[], object] | None = None
    ) -> Iterator[Done]:
        """One generation for every key of every request, as answers come; see `Engine.generate`."""
        loop = asyncio.new_event_loop()
        breaker = Breaker(self.options.base_url, self.options.patience_seconds)
        endpoint = Endpoint(self.options, breaker)
        pending: set[asyncio.Task[Any]] = set()

        def wait_for(running: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
            finished, _ = loop.run_until_complete(
                asyncio.wait(running, timeout=LOOK_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            )
            if stop is not None and stop():
                breaker.halted = True
            return finished

        try:
            loop.run_until_complete(endpoint.open())
            pending = {loop.create_task(self._open(endpoint))}
            while not (opened := wait_for(pending)):
                pass
            (opening,) = opened
            pending = set()
            try:
                name, extra = opening.result()
            except Halted:
                return
            run = _Run(self.options, endpoint, sampling, name, extra, self._image_tokens)
            jobs = run.jobs(requests)
            while True:
                while len(pending) < self.options.concurrency and not breaker.halted:
                    job = next(jobs, None)
                    if job is None:
                        break
                    pending.add(loop.create_task(job))
                if not pending:
                    return
                finished = wait_for(pending)
                pending -= finished
                # What succeeded is given before a failure ends it.
                for task in sorted(finished, key=lambda one: one.exception() is not None):
                    yield from task.result()
        finally:
            for task in pending:
                task.cancel()
            if pending:
                loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            loop.run_until_complete(endpoint.close())
            loop.close()

    async def _open(self, endpoint: Endpoint) -> tuple[str, dict[str, Any]]:
        """What the server calls the model, and the parameters that it alone understands.

        Raises:
            UnavailableError: The server cannot be used, or does not serve the model.
        """
        try:
            served = await endpoint.models()
        except (Broken, Rejected) as error:
            raise UnavailableError(
                f"the server does not say what it serves: {error}",
                where=self.options.base_url,
                help="check `base_url`, with its `/v1`",
            ) from None
        asked = self.options.served_model
        names = (asked,) if asked is not None else (self.model.location, self.model.name)
        # A directory's own name says nothing of its content: only the path does.
        names = names[:1] if self.model.is_local and asked is None else names
        found = [one for one in served if one.id in names or (asked is None and one.root in names)]
        if not found:
            listed = ", ".join(one.id for one in served) or "nothing"
            raise UnavailableError(
                f"the server does not serve {names[0]}; it lists: {listed}"[:500],
                where=self.options.base_url,
                help="start it with this model, or say with the option `served_model` which of them it is",
            )
        return found[0].id, PLAIN_SAMPLING if found[0].owned_by in ("vllm", "sglang") else {}


@dataclass(slots=True)
class _ImageTokens:
    """How many tokens images of one size made.

    Attributes:
        number: Prompt tokens with the images less those without.
        num_answers: Answers that were held against it.
    """

    number: int
    num_answers: int = 0


@dataclass(slots=True)
class _Asked:
    """A request and what all its rollouts share.

    Attributes:
        request: The request.
        content: The parts of its message, images filled in.
        num_prompt_tokens: What the server counted first; None before it did.
    """

    request: Request
    content: list[dict[str, Any]]
    num_prompt_tokens: int | None = None


@dataclass(slots=True)
class _Run:
    """One call of `generate`: how each request is asked.

    Attributes:
        options: How it is asked.
        endpoint: Who is asked.
        sampling: How tokens are drawn.
        model: What the server calls the model.
        extra: Parameters for this kind of server.
        image_tokens: For each size of images, how many tokens they made; filled here.
        locks: One check at a time for each size.
    """

    options: ServerOptions
    endpoint: Endpoint
    sampling: Sampling
    model: str
    extra: dict[str, Any]
    image_tokens: dict[Sizes, _ImageTokens]
    locks: dict[Sizes, asyncio.Lock] = field(default_factory=dict)

    def jobs(self, requests: Iterable[Request]) -> Iterator[Coroutine[Any, Any, list[Done]]]:
        """What is to be awaited, each for one rollout, or for all of a sample where the server draws the seeds."""
        for request in requests:
            try:
                asked = _Asked(request, _content(request))
            except (OSError, ValueError) as error:
                yield _failed_all(request.keys, failed(error))
                continue
            groups = [(key,) for key in request.keys] if self.options.seeds else [request.keys]
            for keys in groups:
                yield self._generate(asked, keys)

    async def _generate(self, asked: _Asked, keys: tuple[RolloutKey, ...]) -> list[Done]:
        done: list[Done] = []
        try:
            while len(done) < len(keys):
                wanted = keys[len(done) :]
                reply = await self.endpoint.complete(self._payload(asked.content, wanted))
                num_image_tokens = await self._check_images(asked, reply)
                for key, choice in zip(wanted, reply.choices, strict=False):
                    done.append((key, self._generation(reply, choice, num_image_tokens)))
        except (Broken, Rejected, ValueError) as error:
            done += await _failed_all(keys[len(done) :], failed(str(error)))
        except Halted:
            pass
        return done

    def _payload(self, content: list[dict[str, Any]], keys: tuple[RolloutKey, ...]) -> dict[str, Any]:
        several = {"seed": keys[0].seed} if self.options.seeds else {"n": len(keys)}
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "max_tokens": self.sampling.max_completion_length,
            **several,
            **self.extra,
        }

    def _generation(self, reply: Reply, choice: Choice, num_image_tokens: int) -> Generation:
        if choice.finish_reason not in ("stop", "length"):
            return failed(f"the server ended the completion with {choice.finish_reason!r}")
        usage, limit = reply.usage, self.sampling.max_completion_length
        # The usage is of all choices together.
        num_tokens = 0 if usage is None else round(usage.completion_tokens / len(reply.choices))
        if choice.finish_reason == "length" and usage is not None and len(reply.choices) == 1 and num_tokens < limit:
            return failed(f"the server's context ended the completion after {num_tokens} of {limit} tokens")
        return Generation(
            completion=choice.message.content,
            num_tokens=num_tokens,
            finish_reason="stop" if choice.finish_reason == "stop" else "length",
            num_prompt_tokens=0 if usage is None else usage.prompt_tokens,
            num_image_tokens=num_image_tokens,
        )

    async def _check_images(self, asked: _Asked, reply: Reply) -> int:
        """How many prompt tokens the images made, 0 when that is not to be checked.

        Raises:
            UnavailableError: The server does not count.
            ValueError: They made none, or others than before: the policy did not see them.
        """
        images = asked.request.images
        if not images or not self.options.check_images:
            return 0
        counted = None if reply.usage is None else reply.usage.prompt_tokens
        before = asked.num_prompt_tokens
        if before is None:
            asked.num_prompt_tokens = counted
        elif counted not in (None, before):
            # The server changed under way: what it makes of images is no longer known.
            self.image_tokens.clear()
            raise ValueError(f"the server counts {counted} tokens for a prompt that had {before} before")
        sizes = tuple(image.size for image in images)
        async with self.locks.setdefault(sizes, asyncio.Lock()):
            known = self.image_tokens.get(sizes)
            if known is None or known.num_answers >= RECOUNT_EVERY:
                known = self.image_tokens[sizes] = _ImageTokens(await self._count_images(asked, counted))
            known.num_answers += 1
        if known.number < len(images):
            raise ValueError(
                f"the prompt has {len(images)} images and the server counts {known.number} tokens for them"
            )
        if counted is not None and counted <= known.number:
            raise ValueError(
                f"the server counts {counted} prompt tokens and counted {known.number} for the images alone"
            )
        return known.number

    async def _count_images(self, asked: _Asked, num_prompt_tokens: int | None) -> int:
        """Prompt tokens with the images less those without."""
        text = [part for part in asked.content if part["type"] != "image_url"]
        # The rollout that it is for has been answered: without this it would be thrown away when the probe is stopped.
        without = await self.endpoint.complete(
            {"model": self.model, "messages": [{"role": "user", "content": text}], "max_tokens": 1}, begun=True
        )
        if num_prompt_tokens is None or without.usage is None:
            raise UnavailableError(
                "the server reports no token usage, so nothing shows that it saw the images",
                where=self.options.base_url,
                help="use one that does, or set the option `check_images: false` to go on without",
            )
        return num_prompt_tokens - without.usage.prompt_tokens


def _content(request: Request) -> list[dict[str, Any]]:
    """The one user message's parts, images filled in in order."""
    (message,) = request.prompt
    images = iter(request.images)
    content: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": _data_uri(next(images))}} if part["type"] == "image" else part
        for part in message["content"]
    ]
    if next(images, None) is not None:
        raise ValueError(f"the prompt has a place for fewer than its {len(request.images)} images")
    return content


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


async def _failed_all(keys: tuple[RolloutKey, ...], generation: Generation) -> list[Done]:
    return [(key, generation) for key in keys]
