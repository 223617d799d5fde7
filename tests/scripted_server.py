"""An OpenAI-compatible server in a thread that answers from seeds, and misbehaves as it is told."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

TEXT_TOKENS, IMAGE_TOKENS, COMPLETION_TOKENS = 20, 9, 7


class Fault(NamedTuple):
    """How a request is answered instead: a status, a body, headers; or what is done to the connection."""

    status: int = 200
    body: str = "{}"
    headers: tuple[tuple[str, str], ...] = ()
    act: str = "answer"
    """`answer`, `hang`, `half` (the body is cut off) or `disconnect`."""


Script = Callable[[dict[str, Any]], Fault | None]
"""Called with each chat request's body; None answers it well."""


class Server(ThreadingHTTPServer):
    """Attributes: `asked`, the chat requests' bodies; `keys`, their Authorization headers; `script`; `usage`."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.script: Script = lambda body: None
        self.usage = True
        self.models: list[dict[str, Any]] = [{"id": "scripted", "owned_by": "tests"}]
        self.max_choices = 64
        self.image_tokens = IMAGE_TOKENS
        self.num_busy = self.most_busy = 0
        self.guard = threading.Lock()
        self.closing = threading.Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def rollouts_asked(self) -> list[dict[str, Any]]:
        """The chat requests without those that only count the text's tokens."""
        return [body for body in self.asked if body["max_tokens"] > 1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._send(200, json.dumps({"object": "list", "data": self.server.models}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.guard:
            server.asked.append(body)
            server.keys.add(self.headers.get("Authorization"))
            server.num_busy += 1
            server.most_busy = max(server.most_busy, server.num_busy)
        fault = server.script(body)
        try:
            if fault is None:
                self._send(200, json.dumps(self._reply(body)))
            elif fault.act == "hang":
                server.closing.wait()
                self.close_connection = True
            elif fault.act == "disconnect":
                self.close_connection = True
            else:
                self._send(fault.status, fault.body, fault.headers, half=fault.act == "half")
        finally:
            with server.guard:
                server.num_busy -= 1

    def _reply(self, body: dict[str, Any]) -> dict[str, Any]:
        num = min(body.get("n", 1), self.server.max_choices)
        parts = body["messages"][0]["content"]
        num_images = sum(part["type"] == "image_url" for part in parts)
        text = f"### The final answer is: {body.get('seed', 3) % 5}"
        reply: dict[str, Any] = {
            "choices": [
                {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                for index in range(num)
            ]
        }
        if self.server.usage:
            prompt = TEXT_TOKENS + self.server.image_tokens * num_images
            reply["usage"] = {"prompt_tokens": prompt, "completion_tokens": COMPLETION_TOKENS * num}
        return reply

    def _send(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = (), *, half: bool = False) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if half else data)
        self.close_connection = half


@contextmanager
def unserved() -> Iterator[int]:
    """A port of this machine that nobody serves or takes inside the block; a `Server` may begin to."""
    with socket.socket() as placeholder:
        placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        placeholder.bind(("127.0.0.1", 0))
        yield placeholder.getsockname()[1]


@contextmanager
def serving(port: int = 0) -> Iterator[Server]:
    server = Server(port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def once(fault: Fault) -> Script:
    """The first rollout of every question meets the fault; what comes after is answered well."""
    met: set[str] = set()
    guard = threading.Lock()

    def script(body: dict[str, Any]) -> Fault | None:
        question = body["messages"][0]["content"][-1]["text"]
        with guard:
            if body["max_tokens"] == 1 or question in met:
                return None
            met.add(question)
        return fault

    return script


def always(fault: Fault, question: str = "") -> Script:
    """Every rollout of the questions that hold this text meets the fault."""
    return lambda body: fault if question in body["messages"][0]["content"][-1]["text"] else None


def slowly(seconds: float) -> Script:
    """Every answer takes that long."""

    def script(body: dict[str, Any]) -> None:
        time.sleep(seconds)

    return script
