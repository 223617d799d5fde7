"""Which model a name means, and which version of it: the package's own, a directory, or one on the hub.

resolve_model("pebr-tiny")                                shipped inside the package
resolve_model("runs/quickstart/warmup/final")             a directory: its revision is the digest of its content
resolve_model("Qwen/Qwen2.5-VL-7B-Instruct@cc594898137f") the hub; without `@revision`, what `main` is now

The revision is in the fingerprint, so a model that changed is another policy, whatever it is called.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pebr_data.errors import UnavailableError
from pebr_data.hashing import digest, digest_file

SHIPPED = ("pebr-tiny", "pebr-tiny-clip")
"""Models inside the package, under `assets/`."""

FINAL = "final"
"""What training calls the directory of a finished stage's model: `<run>/<stage>/final`."""

UNDECLARED = "undeclared"
"""The revision of a model on a server that nobody named one for."""

_CONTENT = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.model", "*.txt", "*.py")
_NOT_CONTENT = frozenset({"trainer_state.json", "training_args.bin", "optimizer.bin", "scheduler.bin"})
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that was found.

    Attributes:
        name: What the fingerprint calls it: the shipped name, the directory's own name (`<run>/<stage>` for what a
            stage trained), or the hub id.
        location: The directory, or the hub id.
        revision: The digest of the directory's content (16 hex digits), or the hub's commit.
        is_local: Whether `location` is a directory.
    """

    name: str
    location: str
    revision: str
    is_local: bool

    @property
    def hub_revision(self) -> str:
        """What `from_pretrained` takes as `revision`; a directory ignores it."""
        return "main" if self.is_local else self.revision


def resolve_model(name: str | Path) -> ResolvedModel:
    """The model that `name` means.

    A directory that exists comes before a hub id. A name in `SHIPPED` always means the shipped model.

    Args:
        name: A shipped name, a directory, or a hub id with an optional `@revision` (branch, tag or commit).

    Raises:
        UnavailableError: There is no such model, or the hub cannot be reached and holds no copy here.
    """
    text = str(name)
    if text in SHIPPED:
        return _local(text, Path(str(files("pebr_data"))) / "assets" / text)
    directory = Path(text).expanduser()
    if directory.is_dir():
        directory = directory.resolve()
        return _local(_name_of(directory), directory)
    hub_id, _, revision = text.partition("@")
    if _HUB_ID.fullmatch(hub_id) and not text.startswith((".", "~")):
        return ResolvedModel(hub_id, hub_id, _hub_commit(hub_id, revision or "main"), is_local=False)
    near = difflib.get_close_matches(text, SHIPPED, n=1)
    hint = f"did you mean {near[0]}? Otherwise give" if near else "give"
    raise UnavailableError(
        f"there is no model {text!r}",
        help=f"{hint} a shipped model ({', '.join(SHIPPED)}), a directory with a config.json, or a hub id `org/name`",
    )


def served_model(name: str | Path) -> ResolvedModel:
    """The model that `name` means when a server runs it.

    A shipped name and a directory mean what they mean to `resolve_model`, and the server must serve that very path.
    Any other name is the server's: its weights cannot be seen, so its revision is what stands after an `@`, else
    `UNDECLARED`.

    Args:
        name: A shipped name, a directory, or a served name with an optional `@revision`.

    Raises:
        UnavailableError: The directory holds no model.
    """
    text = str(name)
    if text in SHIPPED or Path(text).expanduser().is_dir():
        return resolve_model(text)
    served, _, revision = text.partition("@")
    return ResolvedModel(served, served, revision or UNDECLARED, is_local=False)


def _name_of(directory: Path) -> str:
    """The directory's own name, and `<run>/<stage>` for a stage's `final`, wherever the run lies."""
    if directory.name != FINAL:
        return directory.name
    return "/".join(part for part in (directory.parent.parent.name, directory.parent.name) if part) or directory.name


def _local(name: str, directory: Path) -> ResolvedModel:
    if not (directory / "config.json").is_file():
        raise UnavailableError(
            "this directory holds no model: there is no config.json",
            where=str(directory),
            help="name the directory that `save_pretrained` wrote, processor included",
        )
    return ResolvedModel(name, str(directory), _content_digest(directory), is_local=True)


def _content_digest(directory: Path) -> str:
    """Digest of everything that decides what the model answers: weights, configs, tokenizer, templates."""
    paths = {path for pattern in _CONTENT for path in directory.glob(pattern) if path.name not in _NOT_CONTENT}
    return digest([[path.name, _file_digest(path, *_state(path))] for path in sorted(paths)])[:16]


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=4096)
def _file_digest(path: Path, modified_ns: int, size: int) -> str:
    return digest_file(path)


def _hub_commit(hub_id: str, revision: str) -> str:
    """The commit that a revision is: asked of the hub, else taken from the local copy."""
    if _COMMIT.fullmatch(revision):
        return revision
    try:
        from huggingface_hub import HfApi, try_to_load_from_cache
        from huggingface_hub.errors import (
            HfHubHTTPError,
            OfflineModeIsEnabled,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ImportError as error:
        raise UnavailableError("models on the hub need transformers", help="pip install 'pebr[train]'") from error
    where = f"{hub_id}@{revision}"
    try:
        commit: Any = HfApi().model_info(hub_id, revision=revision, timeout=20).sha
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise UnavailableError(
            "the hub has no such model or revision, or it is private",
            where=where,
            help="check the name; for a gated model log in first: hf auth login",
        ) from error
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        cached = try_to_load_from_cache(hub_id, "config.json", revision=revision)
        if not isinstance(cached, str):
            raise UnavailableError(
                "the model hub cannot be reached, and there is no copy of the model here",
                where=where,
                help="go online, or give a directory or a shipped model",
            ) from error
        # …/snapshots/<commit>/config.json
        commit = Path(cached).parent.name
    return str(commit)
