"""Options of engines: checked where they are written, merged, and no part of any policy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pebr_data.config import CatalogConfig, load_catalog_config
from pebr_data.engine_options import (
    ENGINE_OPTIONS,
    RayOptions,
    ServerOptions,
    open_options,
    parse_options,
    placed_options,
)
from pebr_data.engines.base import ENGINES
from pebr_data.errors import ConfigError, UsageError
from pebr_data.models import resolve_model
from pebr_data.probe.run import fingerprint_of

CATALOG = "name: a\nsources:\n  - {name: s, type: shapes, splits: {train: 1}}\nprobe:\n"


def catalog(directory: Path, probe: str) -> CatalogConfig:
    path = directory / "a.yaml"
    path.write_text(CATALOG + probe, encoding="utf-8")
    return load_catalog_config(path)


def test_every_engine_has_options() -> None:
    assert list(ENGINE_OPTIONS) == list(ENGINES)


def test_mistakes_in_a_catalog_are_told_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        catalog(tmp_path, "  engine: vllm\n  engine_options:\n    max_image: 2\n    tensor_parallel_size: zero\n")
    unknown, wrong = caught.value.problems
    assert unknown.endswith("a.yaml:7: the engine `vllm` has no option `max_image`; did you mean `max_images`?")
    assert ":8: `tensor_parallel_size`: " in wrong


def test_what_is_missing_in_a_catalog_may_come_from_the_command_line(tmp_path: Path) -> None:
    config = catalog(tmp_path, "  engine: server\n  engine_options: {concurrency: 4}\n")
    given = {**config.probe.engine_options, **parse_options(["base_url=http://127.0.0.1:1/v1/", "seeds=false"])}
    expected = ServerOptions(base_url="http://127.0.0.1:1/v1", concurrency=4, seeds=False)
    assert open_options("server", given) == expected
    with pytest.raises(ConfigError) as caught:
        open_options("server", config.probe.engine_options)
    assert caught.value.problems == ("`base_url` is missing",)


def test_options_are_no_part_of_the_policy(tmp_path: Path) -> None:
    model = resolve_model("pebr-tiny")
    plain = fingerprint_of(catalog(tmp_path, "  engine: vllm\n"), model)
    assert fingerprint_of(catalog(tmp_path, "  engine: vllm\n  engine_options: {max_num_seqs: 8}\n"), model) == plain
    assert replace(plain, engine="server").probe_id != plain.probe_id


def test_ray_takes_the_options_of_what_it_places_and_is_no_part_of_the_policy(tmp_path: Path) -> None:
    model = resolve_model("pebr-tiny")
    plain = catalog(tmp_path, "  engine: vllm\n")
    placed = catalog(tmp_path, "  engine: ray\n  engine_options: {engine: vllm, num_gpus: 2, max_num_seqs: 8}\n")
    assert fingerprint_of(placed, model) == fingerprint_of(plain, model)
    there = placed.with_engine_options({"engine": "server"})
    assert fingerprint_of(there, model).engine == "server"
    options = open_options("ray", placed.probe.engine_options)
    assert isinstance(options, RayOptions)
    assert (options.num_gpus, placed_options(options)) == (2, {"max_num_seqs": 8})

    with pytest.raises(ConfigError) as caught:
        open_options("ray", {"engine": "server", "max_num_seqs": 8, "num_actor": 1})
    assert sorted(caught.value.problems) == [
        "`base_url` is missing",
        "the engine `ray` has no option `max_num_seqs`; there are: `base_url`, `served_model`, `api_key_env`, "
        "`concurrency`, `seeds`, `check_images`, `timeout_seconds`, `attempts`, `patience_seconds`, `engine`, "
        "`num_actors`, `num_cpus`, `num_gpus`, `address`",
        "the engine `ray` has no option `num_actor`; did you mean `num_actors`?",
    ]
    with pytest.raises(ConfigError, match="the options of the engine `ray` are wrong"):
        open_options("ray", {"engine": "sglang"})


@pytest.mark.parametrize("text", ["base_url", "=1", ""])
def test_an_option_needs_a_key_and_a_value(text: str) -> None:
    with pytest.raises(UsageError, match="KEY=VALUE"):
        parse_options([text])


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://a/v1", "http://", "http://me:pw@a/v1", "https://a/v1?key=k"])
def test_an_address_is_one_and_holds_no_secret(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_options("server", {"base_url": url})
    assert "base_url" in caught.value.problems[0]
    assert "pw" not in caught.value.problems[0]


def test_a_key_in_the_place_of_its_variable_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        open_options("server", {"base_url": "http://a/v1", "api_key_env": "sk-0123-secret"})
    assert "secret" not in "".join([str(caught.value), *caught.value.problems])
