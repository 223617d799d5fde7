"""Images by their address: from a real server on this machine, from the hosts that are named and from no other."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pebr_data.catalog.store import Catalog
from pebr_data.cli import main as pebr_data
from pebr_data.config import FileSourceConfig, RowSourceConfig, load_catalog_config
from pebr_data.errors import DataError, UnavailableError
from pebr_data.images import MAX_BYTES
from pebr_data.sources import fetch
from pebr_data.sources.base import open_source
from pebr_data.sources.fetch import ATTEMPTS, MAX_FAILURES, MAX_REDIRECTS, Fetcher
from tests.image_server import PICTURE, ImageServer, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageServer]:
    monkeypatch.setattr(fetch, "FIRST_RETRY_SECONDS", 0.01)
    with serving() as server:
        yield server


def fetched(url: str, *hosts: str, **bounds: float) -> bytes | str:
    """The bytes, or why there are none."""
    with Fetcher(hosts, **bounds) as fetcher:
        try:
            return fetcher.fetch(url)
        except DataError as error:
            return error.what


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Every name leads to the next of these addresses, the last one for ever; gives the names as they are asked for."""
    asked: list[str] = []

    def resolve(host: str, port: object, *rest: Any, **named: Any) -> list[Any]:
        asked.append(str(host))
        address = addresses[min(len(asked), len(addresses)) - 1]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port or 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


@pytest.mark.parametrize(
    ("path", "expected", "times"),
    [
        ("picture", PICTURE, 1),
        ("here", PICTURE, 1),
        ("faulty", PICTURE, 2),
        ("page", b"<html>please log in</html>", 1),
        ("missing", "the image's server answered 404", 1),
        ("nothing", "the image's server sent nothing", 1),
        ("broken", "the image's server answered 500", ATTEMPTS),
        ("half", "the image's server broke off", ATTEMPTS),
        ("circle", f"the image's address leads on more than {MAX_REDIRECTS} times", MAX_REDIRECTS + 1),
        ("squeezed", "the image's server compressed it, unasked", 1),
        ("announced", f"the image file is larger than {MAX_BYTES} bytes", 1),
    ],
)
def test_an_answer_is_an_image_or_a_reason(server: ImageServer, path: str, expected: bytes | str, times: int) -> None:
    assert fetched(f"http://{server.host}/{path}", server.host) == expected
    assert server.asked[f"/{path}"] == times


def test_an_endless_answer_ends_at_the_size_limit(server: ImageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MAX_BYTES", 2**20)
    assert fetched(f"http://{server.host}/endless", server.host) == f"the image file is larger than {2**20} bytes"


def test_a_server_that_dribbles_or_is_silent_costs_a_bounded_time(server: ImageServer) -> None:
    dribbled = fetched(f"http://{server.host}/drops", server.host, deadline_seconds=0.4, silence_seconds=60)
    assert dribbled == "fetching the image took more than 0.4 seconds"
    silent = fetched(f"http://{server.host}/silence", server.host, deadline_seconds=60, silence_seconds=0.2)
    assert silent == "the image's server was silent for 0.2 seconds"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.org/picture", "a host that `allowed_hosts` does not name"),
        ("http://127.0.0.1/picture", "a host that `allowed_hosts` does not name"),
        ("http://127.0.0.1:{port}@example.org/picture", "a user's name or password"),
        ("http://user:word@{host}/picture", "a user's name or password"),
        ("http://2130706433:{port}/picture", "a host that `allowed_hosts` does not name"),
        ("http://localhost:{port}/picture", "a host that `allowed_hosts` does not name"),
        ("ftp://{host}/picture", "neither https nor http"),
        ("file:///etc/passwd", "neither https nor http"),
        ("http://[::1/picture", "is not valid"),
        ("http://{host}:99999/picture", "is not valid"),
    ],
)
def test_no_other_host_is_asked(server: ImageServer, url: str, expected: str) -> None:
    reason = fetched(url.format(host=server.host, port=server.port), server.host)
    assert isinstance(reason, str) and expected in reason
    assert not server.asked


def test_every_redirect_is_checked_anew(server: ImageServer) -> None:
    with serving() as other:
        for elsewhere in (f"http://{other.host}/picture", f"//{other.host}/picture", "file:///etc/passwd"):
            server.elsewhere = elsewhere
            assert isinstance(fetched(f"http://{server.host}/elsewhere", server.host), str)
        assert not other.asked
        server.elsewhere = f"http://{other.host}/picture"
        assert fetched(f"http://{server.host}/elsewhere", server.host, other.host) == PICTURE


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "::1", "::ffff:127.0.0.1", "fd00::1",
                "64:ff9b::7f00:1", "2002:7f00:1::", "0.0.0.0", "224.0.0.1"],
)  # fmt: skip
def test_a_name_that_leads_into_a_private_network_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    resolving(monkeypatch, address)
    reason = fetched("https://images.test/picture", "images.test")
    assert reason == "the image's address is in a private network that `allowed_hosts` does not name"


def test_a_public_address_must_be_https(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "93.184.216.34")
    assert fetched("http://images.test/picture", "images.test") == (
        "the image's address is http, which only this machine may use"
    )


def test_what_was_checked_is_what_is_asked_whatever_the_name_leads_to_next(
    server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolving(monkeypatch, "127.0.0.1", "10.1.2.3")
    named = f"images.test:{server.port}"
    assert fetched(f"http://{named}/picture", named, "127.0.0.1") == PICTURE
    assert server.hosts == {named}
    assert [host for host in asked if host == "images.test"] == ["images.test"]


def test_a_certificate_is_checked_against_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=images.test",
         "-addext", "subjectAltName=DNS:images.test", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(fetch, "FIRST_RETRY_SECONDS", 0.01)
    resolving(monkeypatch, "127.0.0.1")
    with serving(tls) as server:
        named, other = f"images.test:{server.port}", f"other.test:{server.port}"
        assert fetched(f"https://{named}/picture", named, "127.0.0.1") == PICTURE
        assert fetched(f"https://{other}/picture", other, "127.0.0.1") == "no connection to the image's server"
        assert server.hosts == {named}


def test_a_host_that_only_fails_is_given_up(server: ImageServer) -> None:
    url = f"http://{server.host}/broken"
    with Fetcher([server.host]) as fetcher:
        for _ in range(MAX_FAILURES):
            with pytest.raises(DataError):
                fetcher.fetch(url)
        with pytest.raises(UnavailableError, match="could not be fetched"):
            fetcher.fetch(f"http://{server.host}/picture")


def catalog(directory: Path, server: ImageServer, *paths: str, allowed: bool = True) -> Path:
    rows = [
        {"question": f"How many circles are in {number}?", "answer": "3", "images": f"http://{server.host}/{path}"}
        for number, path in enumerate(paths)
    ]
    (directory / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    hosts = f'allowed_hosts: ["{server.host}"], ' if allowed else ""
    path = directory / "web.yaml"
    path.write_text(f"name: web\nsources:\n  - {{name: web, type: jsonl, file: rows.jsonl, {hosts}split: train}}\n")
    return path


def test_a_build_fetches_what_is_allowed_and_keeps_the_order(
    tmp_path: Path, server: ImageServer, capsys: pytest.CaptureFixture[str]
) -> None:
    path = catalog(tmp_path, server, *["picture"] * 20, "missing", "page", *["picture"] * 20)
    assert pebr_data(["build", str(path), "--dry-run", "--store", str(tmp_path / "store")]) == 0
    assert "not fetched before the build" in capsys.readouterr().out
    assert not server.asked
    assert pebr_data(["build", str(path), "--json", "--store", str(tmp_path / "store")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["samples"] == {"train": 40}
    assert sorted(told["rejects"]) == [
        "not an image in a known format (PNG, JPEG, WEBP, GIF, BMP, TIFF)",
        "the image's server answered 404",
    ]
    with Catalog.open(tmp_path / "store", read_only=True) as opened:
        questions = [sample.question for sample in opened.samples("web")]
    assert questions == [f"How many circles are in {number}?" for number in range(42) if number not in (20, 21)]


def test_without_allowed_hosts_nothing_is_fetched(
    tmp_path: Path, server: ImageServer, capsys: pytest.CaptureFixture[str]
) -> None:
    path = catalog(tmp_path, server, "picture", allowed=False)
    assert pebr_data(["build", str(path), "--store", str(tmp_path / "store")]) == 65
    assert "`allowed_hosts` names no host" in capsys.readouterr().err
    assert not server.asked


def test_an_allowed_host_is_no_address() -> None:
    source = {"type": "jsonl", "name": "web", "file": "rows.jsonl"}
    kept = FileSourceConfig.model_validate({**source, "allowed_hosts": ["Example.org", "[::1]:80"]})
    assert kept.allowed_hosts == ("example.org", "[::1]:80")
    for wrong in ("https://example.org", "example.org/images", "*.example.org", "a b"):
        with pytest.raises(ValidationError, match="no scheme, no path"):
            FileSourceConfig.model_validate({**source, "allowed_hosts": [wrong]})


def test_a_source_that_is_left_early_ends_its_fetching(tmp_path: Path, server: ImageServer) -> None:
    config = load_catalog_config(catalog(tmp_path, server, "picture", *["silence"] * 50))
    [source] = config.sources
    assert isinstance(source, RowSourceConfig)
    candidates = open_source(source, config.base_dir).candidates()
    next(candidates)
    candidates.close()  # type: ignore[attr-defined]
    assert server.asked["/silence"] < 50
