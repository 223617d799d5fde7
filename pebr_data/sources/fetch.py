"""Images by their address: fetched from the hosts that a catalog names, within bounds, and from nowhere else.

    with Fetcher(("images.example.org",)) as fetcher:
        data = fetcher.fetch("https://images.example.org/1.png")     # may be called from several threads

A host's name is resolved once for each request and the connection goes to that very address, so that what was checked
is what is asked; certificates are checked against the name. No proxy is used and no cookie is sent.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import threading
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pebr_data import __version__
from pebr_data.errors import DataError, UnavailableError
from pebr_data.images import MAX_BYTES

if TYPE_CHECKING:
    import httpx

DEADLINE_SECONDS = 60.0
"""What one attempt may take in all: name, connection, redirects and every byte."""

SILENCE_SECONDS = 10.0
"""What a server may take to let one connect, or to send anything at all."""

ATTEMPTS = 3
"""Tries of an address whose server fails (no connection, silence, broken off, 429, 5xx)."""

FIRST_RETRY_SECONDS = 0.25
MAX_REDIRECTS = 5
NUM_AT_ONCE = 8
"""Rows whose images are fetched at the same time."""

MAX_FAILURES = 20
"""Addresses of one host that fail one after the other before the host is given up, and the build with it."""

_NOT_FETCHED = b"not fetched: "
_PORT = re.compile(r":\d+$")
_REDIRECTS = (301, 302, 303, 307, 308)
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class _Failed(Exception):
    """The server failed; another try may succeed."""


def is_address(path: str) -> bool:
    """Whether an image's path is the address of something elsewhere."""
    return "://" in path


def unfetched(url: str) -> bytes:
    """What stands for an image that only a build would fetch."""
    return _NOT_FETCHED + url.encode(errors="backslashreplace")


def is_unfetched(data: bytes) -> bool:
    """Whether these bytes are what `unfetched` gives."""
    return data.startswith(_NOT_FETCHED)


def check_address(url: str, hosts: Sequence[str]) -> httpx.URL:
    """The address, taken apart, when it may be asked for as far as can be told without a network.

    Args:
        url: An absolute address.
        hosts: `host` or `host:port`, in lower case; without a port the scheme's own is meant.

    Raises:
        DataError: It is no address of an image on one of the hosts.
        UnavailableError: httpx is not installed.
    """
    _require_packages()
    import httpx

    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise DataError("the image's address is not valid", where=_shown(url)) from error
    if parsed.scheme not in ("https", "http"):
        raise DataError("the image's address is neither https nor http", where=_shown(url))
    if parsed.userinfo:
        raise DataError("the image's address holds a user's name or password", where=_shown(url))
    if not _names(parsed) & set(hosts):
        raise DataError("the image's address is on a host that `allowed_hosts` does not name", where=_shown(url))
    return parsed


class Fetcher:
    """Fetches images. A context manager: its thread ends with the block.

    Args:
        hosts: As `check_address` takes them.
        deadline_seconds: What one attempt may take.
        silence_seconds: What a server may take to send anything.

    Raises:
        UnavailableError: httpx or tenacity is not installed.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        _require_packages()
        self._hosts = tuple(hosts)
        self._deadline_seconds = deadline_seconds
        self._silence_seconds = silence_seconds
        self._failures: Counter[str] = Counter()
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._is_cancelled = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fetch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
        asyncio.run_coroutine_threadsafe(self._close_clients(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def fetch(self, url: str) -> bytes:
        """The bytes at an address, which nobody has looked at yet.

        Raises:
            DataError: It is not allowed, the server has no such thing or fails, or it is too large.
            UnavailableError: The host has failed so often that it is given up.
        """
        return asyncio.run_coroutine_threadsafe(self._fetch(url), self._loop).result()

    def cancel(self) -> None:
        """End what is under way, and let nothing new begin."""
        self._is_cancelled = True
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()

    async def _fetch(self, url: str) -> bytes:
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        if self._is_cancelled:
            raise asyncio.CancelledError
        host = check_address(url, self._hosts).host
        if self._failures[host] >= MAX_FAILURES:
            raise _given_up(host)
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(_Failed),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=FIRST_RETRY_SECONDS, max=5),
            reraise=True,
        )
        try:
            data: bytes = await attempts(self._attempt, url)
        except _Failed as error:
            self._failures[host] += 1
            raise DataError(str(error), where=_shown(url)) from error
        except DataError:
            self._failures[host] = 0
            raise
        self._failures[host] = 0
        return data

    async def _attempt(self, url: str) -> bytes:
        import httpx

        try:
            async with asyncio.timeout(self._deadline_seconds):
                target = check_address(url, self._hosts)
                for _ in range(MAX_REDIRECTS + 1):
                    answer = await self._ask(target)
                    if isinstance(answer, bytes):
                        return answer
                    target = check_address(answer, self._hosts)
        except TimeoutError:
            raise _Failed(f"fetching the image took more than {self._deadline_seconds:g} seconds") from None
        except httpx.TimeoutException:
            raise _Failed(f"the image's server was silent for {self._silence_seconds:g} seconds") from None
        except httpx.ConnectError as error:
            raise _Failed("no connection to the image's server") from error
        except httpx.HTTPError as error:
            raise _Failed("the image's server broke off") from error
        raise DataError(f"the image's address leads on more than {MAX_REDIRECTS} times", where=_shown(url))

    async def _ask(self, url: httpx.URL) -> bytes | str:
        """The bytes at an address, or the address that it leads on to."""
        client = self._client_of(url)
        request = client.build_request(
            "GET",
            url.copy_with(host=str(await self._resolve(url)), fragment=None),
            headers={"Host": url.netloc.decode("ascii"), "Accept": "image/*", "Accept-Encoding": "identity"},
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )
        response = await client.send(request, stream=True)
        try:
            return await _read(response, url)
        finally:
            await response.aclose()

    async def _resolve(self, url: httpx.URL) -> _Address:
        """An address of the host that may be connected to."""
        host = url.raw_host.decode("ascii")
        try:
            found = await self._loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise _Failed("the name of the image's server is not known") from error
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        for address in addresses:
            if not (_is_public(address) or self._is_named(host, address)):
                continue
            if url.scheme == "https" or address.is_loopback:
                return address
            raise DataError("the image's address is http, which only this machine may use", where=_shown(str(url)))
        raise DataError(
            "the image's address is in a private network that `allowed_hosts` does not name", where=_shown(str(url))
        )

    def _is_named(self, host: str, address: _Address) -> bool:
        if host == "localhost" and address.is_loopback:
            return True
        return bool({str(address), f"[{address}]"} & {_PORT.sub("", entry) for entry in self._hosts})

    def _client_of(self, url: httpx.URL) -> httpx.AsyncClient:
        """A client for each name: connections go by addresses, and two names at one address are two servers."""
        import httpx

        key = f"{url.scheme}://{url.netloc.decode('ascii')}"
        if key not in self._clients:
            limits = httpx.Limits(max_connections=NUM_AT_ONCE, max_keepalive_connections=NUM_AT_ONCE)
            self._clients[key] = httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(limits=limits),
                timeout=self._silence_seconds,
                headers={"User-Agent": f"pebr/{__version__}"},
                trust_env=False,
            )
        return self._clients[key]

    async def _close_clients(self) -> None:
        for client in self._clients.values():
            await client.aclose()


async def _read(response: httpx.Response, url: httpx.URL) -> bytes | str:
    status = response.status_code
    if status in _REDIRECTS and "Location" in response.headers:
        return _joined(url, response.headers["Location"])
    if status == 429 or status >= 500:
        raise _Failed(f"the image's server answered {status}")
    if status != 200:
        raise DataError(f"the image's server answered {status}", where=_shown(str(url)))
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise DataError("the image's server compressed it, unasked", where=_shown(str(url)))
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > MAX_BYTES:
        raise _too_large(url)
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > MAX_BYTES:
            raise _too_large(url)
    if not data:
        raise DataError("the image's server sent nothing", where=_shown(str(url)))
    return bytes(data)


def _too_large(url: httpx.URL) -> DataError:
    return DataError(f"the image file is larger than {MAX_BYTES} bytes", where=_shown(str(url)))


def _joined(url: httpx.URL, location: str) -> str:
    import httpx

    try:
        return str(url.join(location))
    except (httpx.InvalidURL, ValueError) as error:
        raise DataError("the image's address leads on to one that is not valid", where=_shown(str(url))) from error


def _names(url: httpx.URL) -> set[str]:
    """The entries of `allowed_hosts` that would name the server of an address."""
    host = url.raw_host.decode("ascii").lower()
    host = f"[{host}]" if ":" in host else host
    usual = 443 if url.scheme == "https" else 80
    return {f"{host}:{url.port}"} if url.port is not None else {host, f"{host}:{usual}"}


def _is_public(address: _Address) -> bool:
    """Whether an address is one of the internet's own, and no way round to another."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if address.sixtofour is not None or address.teredo is not None or address in _TRANSLATED:
            return False
    return address.is_global and not address.is_multicast


def _given_up(host: str) -> UnavailableError:
    return UnavailableError(
        f"{MAX_FAILURES} images one after the other could not be fetched",
        where=host,
        help="see to the network or the server, then build again",
    )


async def _cancel_others() -> None:
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            task.cancel()


def _shown(url: str) -> str:
    return url[:200]


def _require_packages() -> None:
    try:
        import httpx  # noqa: F401
        import tenacity  # noqa: F401
    except ImportError as error:
        raise UnavailableError(
            f"`allowed_hosts` needs a package that is not installed: {error.name}", help="pip install 'pebr[fetch]'"
        ) from error
