"""How an engine is run here: what a machine needs set, and nothing that makes another policy.

They stand under `probe.engine_options` in the catalog YAML, or come from `--engine-option KEY=VALUE`, which wins. None
is in the fingerprint: another batch size, device or address makes the same policy, and so does another precision, which
goes with the device.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import ErrorDetails

from pebr_data.errors import ConfigError, UsageError
from pebr_data.strict_yaml import StrictModel, nearest
from pebr_data.types import Json

Dtype = Literal["float32", "bfloat16", "float16"]


def _plain_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an address such as http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("an address holds no credentials and no query: name a variable with `api_key_env`")
    return url.rstrip("/")


class TransformersOptions(StrictModel):
    """Of the engine `transformers`.

    Attributes:
        batch_size: Rollouts generated together; as many as memory holds by default.
        device: A torch device; the GPU by default where there is one.
        dtype: bfloat16 on a GPU and float32 on the CPU by default.
        compile: Whether steps are recorded as CUDA graphs and replayed; by default that is found out on a GPU with the
            first batches, and not done on the CPU.
    """

    batch_size: int | None = Field(default=None, ge=1)
    device: str | None = None
    dtype: Dtype | None = None
    compile: bool | None = None


class VllmOptions(StrictModel):
    """Of the engine `vllm`.

    Attributes:
        dtype: bfloat16 on a GPU and float32 on the CPU by default, as with `transformers`.
        tensor_parallel_size: GPUs that share one copy of the model.
        gpu_memory_utilization: The share of each GPU's memory that weights and cache may take.
        max_model_len: Tokens of prompt and completion together; the model's own context by default.
        max_num_seqs: Rollouts generated together.
        max_images: Images a prompt may show.
        enforce_eager: Without compilation: slower, but ready sooner.
    """

    dtype: Dtype | None = None
    tensor_parallel_size: int = Field(default=1, ge=1)
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    max_model_len: int | None = Field(default=None, ge=1)
    max_num_seqs: int = Field(default=256, ge=1)
    max_images: int = Field(default=8, ge=1)
    enforce_eager: bool = False


class ServerOptions(StrictModel):
    """Of the engine `server`.

    Attributes:
        base_url: Where `/chat/completions` is, `/v1` included.
        served_model: What the server calls the model; what it lists under the model's name or path by default.
        api_key_env: The environment variable that holds the key; the key itself stands nowhere.
        concurrency: HTTP requests under way at once.
        seeds: One request a rollout, with the rollout's own seed. Without, one request a sample with `n` rollouts.
        check_images: Whether prompt tokens with and without the images are compared, and those of a sample's rollouts.
        timeout_seconds: How long one answer may take.
        attempts: How often a rollout is tried when the server breaks off, fails or answers nonsense.
        patience_seconds: How long a server that is down or refuses for load is waited for without one answer.
    """

    base_url: Annotated[str, AfterValidator(_plain_url)]
    served_model: str | None = Field(default=None, min_length=1)
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    concurrency: int = Field(default=32, ge=1)
    seeds: bool = True
    check_images: bool = True
    timeout_seconds: float = Field(default=600.0, gt=0)
    attempts: int = Field(default=4, ge=1)
    patience_seconds: float = Field(default=600.0, ge=0)


class RayOptions(StrictModel):
    """Of the engine `ray`; those of the engine that it places stand beside them.

    Attributes:
        engine: What every actor runs, and what the fingerprint names.
        num_actors: Actors at once; as many as the cluster has room for when the probe starts by default.
        num_cpus: CPUs of each actor.
        num_gpus: GPUs of each actor; where the cluster has any, by default `tensor_parallel_size` for `vllm`, 1 for
            `transformers`.
        address: A cluster's address, `auto` for the one that this machine belongs to; by default that of the
            environment variable RAY_ADDRESS, else this machine alone.
    """

    engine: Literal["transformers", "vllm", "server"] = "transformers"
    num_actors: int | None = Field(default=None, ge=1)
    num_cpus: float = Field(default=1, ge=0)
    num_gpus: float | None = Field(default=None, ge=0)
    address: str | None = Field(default=None, min_length=1)


class RayTransformersOptions(RayOptions, TransformersOptions):
    """Of the engine `ray` with `engine: transformers`."""


class RayVllmOptions(RayOptions, VllmOptions):
    """Of the engine `ray` with `engine: vllm`."""


class RayServerOptions(RayOptions, ServerOptions):
    """Of the engine `ray` with `engine: server`."""


EngineOptions = TransformersOptions | VllmOptions | ServerOptions | RayOptions

ENGINE_OPTIONS: dict[str, type[EngineOptions]] = {
    "transformers": TransformersOptions,
    "vllm": VllmOptions,
    "server": ServerOptions,
    "ray": RayOptions,
}
"""What each engine of `pebr_data.engines.base.ENGINES` understands."""

PLACED: dict[str, type[RayOptions]] = {
    "transformers": RayTransformersOptions,
    "vllm": RayVllmOptions,
    "server": RayServerOptions,
}
"""What `ray` understands together with the engine that it places."""


def policy_engine(engine: str, given: Mapping[str, Json]) -> str:
    """The engine that shapes the answers, which the fingerprint names: the one that `ray` places, else itself."""
    return str(given.get("engine", RayOptions().engine)) if engine == "ray" else engine


def placed_options(options: RayOptions) -> dict[str, Json]:
    """Those of the options that go to the engine which `ray` places."""
    return options.model_dump(include=set(ENGINE_OPTIONS[options.engine].model_fields), exclude_unset=True)


def check_options(engine: str, given: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """Every mistake in options that need not be complete yet: (key, what is wrong)."""
    try:
        _kind(engine, given).model_validate(given, strict=False)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            if detail["type"] != "missing":
                yield str(detail["loc"][0]), _explain(engine, given, detail)


def open_options(engine: str, given: Mapping[str, Json]) -> EngineOptions:
    """The engine's options, checked and complete.

    Raises:
        ConfigError: A key is unknown, missing or of the wrong kind; `problems` names each.
    """
    try:
        return _kind(engine, given).model_validate(given, strict=False)
    except ValidationError as error:
        problems = tuple(_explain(engine, given, detail) for detail in error.errors(include_url=False))
        raise ConfigError(
            f"the options of the engine `{engine}` are wrong",
            help="set them under `probe.engine_options` in the catalog, or with --engine-option KEY=VALUE",
            problems=problems,
        ) from None


def parse_options(texts: Sequence[str]) -> dict[str, Json]:
    """Options from a command line's `KEY=VALUE`; a value that reads as a JSON number, true, false or null is one.

    Raises:
        UsageError: A text has no key.
    """
    options: dict[str, Json] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"--engine-option expects KEY=VALUE, got {text!r}", help="--engine-option batch_size=64")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


def _kind(engine: str, given: Mapping[str, Json]) -> type[EngineOptions]:
    if engine == "ray":
        return PLACED.get(policy_engine(engine, given), RayTransformersOptions)
    return ENGINE_OPTIONS[engine]


def _explain(engine: str, given: Mapping[str, Json], detail: ErrorDetails) -> str:
    key = str(detail["loc"][0])
    if detail["type"] == "missing":
        return f"`{key}` is missing"
    if detail["type"] == "extra_forbidden":
        known = list(_kind(engine, given).model_fields)
        near = nearest(key, known)
        hint = f"did you mean `{near}`?" if near else "there are: " + ", ".join(f"`{name}`" for name in known)
        return f"the engine `{engine}` has no option `{key}`; {hint}"
    # The value is not repeated: someone may have put a key where its variable's name belongs.
    reason = detail["msg"].removeprefix("Value error, ")
    return f"`{key}`: {reason[0].lower()}{reason[1:]}"
