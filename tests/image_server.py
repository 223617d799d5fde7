"""A web server on this machine that serves images and misbehaves, each way under a path of its own."""

from __future__ import annotations

import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.hostile_images import encoded, picture

PICTURE = encoded(picture(7), "PNG")


class ImageServer(ThreadingHTTPServer):
    """Attributes: `asked`, how often each path was asked for; `hosts`, the Host headers; `elsewhere`, for redirects."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: Counter[str] = Counter()
        self.hosts: set[str | None] = set()
        self.elsewhere = ""
        self.guard = threading.Lock()
        self.closing = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    server: ImageServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        with self.server.guard:
            self.server.asked[self.path] += 1
            self.server.hosts.add(self.headers.get("Host"))
        name = self.path.strip("/").partition("/")[0]
        getattr(self, f"give_{name}", self.give_missing)()

    def give_picture(self) -> None:
        self._send(200, PICTURE)

    def give_page(self) -> None:
        self._send(200, b"<html>please log in</html>", ("Content-Type", "text/html"))

    def give_missing(self) -> None:
        self._send(404, b"nothing here")

    def give_nothing(self) -> None:
        self._send(200, b"")

    def give_faulty(self) -> None:
        """Fails once, then serves."""
        self._send(503, b"") if self.server.asked[self.path] == 1 else self.give_picture()

    def give_broken(self) -> None:
        self._send(500, b"")

    def give_elsewhere(self) -> None:
        self._send(302, b"", ("Location", self.server.elsewhere))

    def give_here(self) -> None:
        self._send(302, b"", ("Location", "/picture"))

    def give_circle(self) -> None:
        self._send(302, b"", ("Location", self.path))

    def give_squeezed(self) -> None:
        self._send(200, PICTURE, ("Content-Encoding", "gzip"))

    def give_half(self) -> None:
        self._send(200, PICTURE, half=True)

    def give_announced(self) -> None:
        """Says that it is large, and sends little."""
        self.send_response(200)
        self.send_header("Content-Length", str(2**40))
        self.end_headers()
        self.wfile.write(PICTURE)
        self.close_connection = True

    def give_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        while not self.server.closing.is_set():
            self.wfile.write(PICTURE)

    def give_drops(self) -> None:
        """A byte of the header at a time, so that it is never silent and never done."""
        self.close_connection = True
        for byte in b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n" + b"X" * 10_000:
            if self.server.closing.is_set():
                return
            self.wfile.write(bytes([byte]))
            time.sleep(0.05)

    def give_silence(self) -> None:
        self.server.closing.wait()
        self.close_connection = True

    def _send(self, status: int, data: bytes, *headers: tuple[str, str], half: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if half else data)
        self.close_connection = half


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[ImageServer]:
    server = ImageServer()
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
