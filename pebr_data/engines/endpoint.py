"""One OpenAI-compatible server over HTTP: what it is asked, and what its faults mean.

A server that cannot be reached or refuses for load (no connection, 429, 502, 503, 504) is waited for, all requests
together. An answer that is broken (500, timeout, cut off, not JSON, without a choice) is asked for again, a few times.
A request that is refused (400, …) is not. A key, an address or a model that is wrong (401, 403, 404, a redirect) ends
the probe.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from pebr_data.engine_options import ServerOptions
from pebr_data.engines.breaker import Breaker
from pebr_data.errors import UnavailableError

if TYPE_CHECKING:
    import httpx

Answer = TypeVar("Answer", bound=BaseModel)

FIRST_RETRY_SECONDS = 0.25
"""The longest wait before a broken answer is asked for again, the first time; each further one may be twice as long."""

MAX_REASON = 400
"""Characters of a server's message that are kept."""


class Rejected(Exception):
    """The server refuses this request, and will again."""


class Broken(Exception):
    """The answer is unusable; another try may give a good one."""


class Message(BaseModel):
    """What a choice says."""

    content: str


class Choice(BaseModel):
    """One completion."""

    message: Message
    finish_reason: str


class Usage(BaseModel):
    """What it cost in tokens; of all choices together."""

    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


class Reply(BaseModel):
    """An answer to a chat completion."""

    choices: list[Choice] = Field(min_length=1)
    usage: Usage | None = None


class ServedModel(BaseModel):
    """A model that a server lists; vLLM and SGLang say in `root` what they loaded."""

    id: str
    root: str | None = None
    owned_by: str | None = None


class ModelList(BaseModel):
    """An answer to `/models`."""

    data: list[ServedModel]


@dataclass(slots=True)
class Endpoint:
    """A connection to a server, within one event loop.

    Attributes:
        options: Where it is and how patient to be.
        breaker: Holds requests back while the server is down.
    """

    options: ServerOptions
    breaker: Breaker
    _key: str | None = field(repr=False, default=None)
    _client: Any = field(repr=False, default=None)

    async def open(self) -> None:
        """Connect when asked.

        Raises:
            UnavailableError: httpx or tenacity is not installed, or the key's variable is not set.
        """
        try:
            import httpx
            import tenacity  # noqa: F401
        except ImportError as error:
            raise UnavailableError(
                f"the engine `server` needs a package that is not installed: {error.name}",
                help="pip install 'pebr[server]'",
            ) from error
        self._key = _key(self.options.api_key_env)
        headers = {} if self._key is None else {"Authorization": f"Bearer {self._key}"}
        limit = self.options.concurrency
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(self.options.timeout_seconds, connect=min(10.0, self.options.timeout_seconds)),
            limits=httpx.Limits(max_connections=limit, max_keepalive_connections=limit),
        )

    async def close(self) -> None:
        """Let go of every connection."""
        if self._client is not None:
            await self._client.aclose()

    async def models(self) -> list[ServedModel]:
        """The models it serves."""
        return (await self._ask("GET", "/models", None, ModelList)).data

    async def complete(self, payload: dict[str, Any], *, begun: bool = False) -> Reply:
        """The answer to a chat completion.

        Args:
            payload: The request.
            begun: As for `Breaker.admit`.

        Raises:
            Broken: Every attempt gave an unusable answer.
            Halted: Nothing further is to be begun.
            Rejected: The server refuses the request.
            UnavailableError: The server is down for too long, or refuses the key, the address or the model.
        """
        return await self._ask("POST", "/chat/completions", payload, Reply, begun)

    async def _ask(self, method: str, path: str, payload: Any, kind: type[Answer], begun: bool = False) -> Answer:
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        attempts = AsyncRetrying(
            retry=retry_if_exception_type(Broken),
            stop=stop_after_attempt(self.options.attempts),
            wait=wait_random_exponential(multiplier=FIRST_RETRY_SECONDS, max=10),
            reraise=True,
        )
        return await attempts(self._ask_once, method, path, payload, kind, begun)

    async def _ask_once(self, method: str, path: str, payload: Any, kind: type[Answer], begun: bool) -> Answer:
        import httpx

        while True:
            admitted_at = await self.breaker.admit(begun=begun)
            try:
                response = await self._client.request(method, self.options.base_url + path, json=payload)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                reason = f"no connection: {self._said(str(error)) or type(error).__name__}"
                self.breaker.refused(admitted_at, reason, overloaded=False)
                continue
            except httpx.HTTPError as error:
                self.breaker.undecided()
                raise Broken(f"{type(error).__name__}: {self._said(str(error)) or 'no answer'}") from None
            except BaseException:
                self.breaker.undecided()
                raise
            if response.status_code in (429, 502, 503, 504):
                reason = f"HTTP {response.status_code}: {self._message(response)}"
                self.breaker.refused(
                    admitted_at,
                    reason,
                    overloaded=response.status_code == 429,
                    retry_after=_retry_after(response.headers.get("Retry-After")),
                )
                continue
            self.breaker.answered()
            return self._read(response, path, kind)

    def _read(self, response: httpx.Response, path: str, kind: type[Answer]) -> Answer:
        status = response.status_code
        if status in (401, 403):
            # What it says is not repeated: some servers say the key.
            variable = self.options.api_key_env
            raise UnavailableError(
                f"the server refuses {'a request without a key' if variable is None else 'the key'} (HTTP {status})",
                where=self.options.base_url,
                help="name the environment variable that holds the key with `api_key_env`"
                if variable is None
                else f"put a valid key into the environment variable {variable}",
            )
        if status in (404, 405) or 300 <= status < 400:
            raise UnavailableError(
                f"the server has no {path} for this (HTTP {status}): {self._message(response)}",
                where=self.options.base_url,
                help="check `base_url`, with its `/v1`, and `served_model`",
            )
        if status >= 500 or status == 408:
            raise Broken(f"HTTP {status}: {self._message(response)}")
        if status != 200:
            raise Rejected(f"HTTP {status}: {self._message(response)}")
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise Broken(f"not an answer: {where + ': ' if where else ''}{first['msg']}") from None

    def _message(self, response: httpx.Response) -> str:
        return self._said(response.text) or "no message"

    def _said(self, text: str) -> str:
        """A server's words on one line, bounded, without the key."""
        if self._key is not None:
            text = text.replace(self._key, "[key]")
        return " ".join(text.split())[:MAX_REASON]


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UnavailableError(
            f"the environment variable {variable} is not set", help=f"export {variable}=…, then run the command again"
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise UnavailableError(
            f"what the environment variable {variable} holds is no key", help="it must be one word of ASCII letters"
        )
    return key


def _retry_after(value: str | None) -> float | None:
    """The header's seconds, or the seconds until its date; None where it says neither."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
