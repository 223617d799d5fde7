"""`done.json`: that a stage is finished, from what, and with which files. It is written last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pebr_data.durable import sync
from pebr_data.errors import DataError, RefusedError
from pebr_data.hashing import digest, digest_file
from pebr_train.first_pass import FirstPass
from pebr_train.identity import differences
from pebr_train.rundir import StageDir, write_json


class FinalFile(BaseModel):
    """One file of the final model: its size in bytes and SHA-256."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_bytes: int
    sha256: str


class Done(BaseModel):
    """A finished stage.

    Attributes:
        stage: The stage's name.
        identity: Everything that decides what the stage makes: its settings, the seed, the model it starts from.
        identity_digest: Of `identity`.
        optimizer_steps: Steps taken.
        num_samples: Samples in the mixture.
        mixture_id: The frozen choice of samples.
        probe_id: The probe that chose them.
        seconds: Wall-clock time of the last attempt.
        files: Of `final/`, by name.
        first_pass: The forecast of its accuracy beside what it showed; None where nothing was foreseen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    stage: str
    identity: dict[str, Any]
    identity_digest: str
    optimizer_steps: int
    num_samples: int
    mixture_id: str
    probe_id: str
    seconds: float
    files: dict[str, FinalFile]
    first_pass: FirstPass | None = None


def write_done(directory: StageDir, done: Done) -> None:
    """Record the stage as finished."""
    write_json(directory.done, done.model_dump(mode="json"))


def final_files(final: Path) -> dict[str, FinalFile]:
    """Size and checksum of every file in `final`, made durable with the directory."""
    files = {}
    sync(final)
    for path in sorted(final.rglob("*")):
        if path.is_file():
            sync(path)
            name = str(path.relative_to(final))
            files[name] = FinalFile(num_bytes=path.stat().st_size, sha256=digest_file(path))
    return files


def read_done(directory: StageDir) -> Done | None:
    """The record of a finished stage whose files are all there, or None when the stage is unfinished.

    Raises:
        DataError: The stage was finished, but its record or a file of its model is damaged.
    """
    again = f"remove {directory.path} to train the stage again"
    try:
        done = Done.model_validate(json.loads(directory.done.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ValidationError) as error:
        raise DataError(f"cannot read the stage's record: {error}", where=str(directory.done), help=again) from error
    for name, file in done.files.items():
        path = directory.final / name
        if not path.is_file() or path.stat().st_size != file.num_bytes:
            raise DataError("a file of the finished model is missing or cut short", where=str(path), help=again)
    return done


def check_files(directory: StageDir, done: Done) -> None:
    """Verify the final model's checksums, before anything is built on it.

    Raises:
        DataError: A file differs.
    """
    for name, file in done.files.items():
        if digest_file(directory.final / name) != file.sha256:
            raise DataError(
                "a file of the finished model differs from its checksum",
                where=str(directory.final / name),
                help=f"remove {directory.path} to train the stage again",
            )


def check_identity(directory: StageDir, done: Done, identity: Mapping[str, Any]) -> None:
    """Refuse to go on from a stage that was trained otherwise than the recipe now says.

    Raises:
        RefusedError: It was; the message names every key that differs.
    """
    if done.identity_digest == digest(dict(identity)):
        return
    differing = differences(done.identity, dict(identity))
    raise RefusedError(
        f"the stage {done.stage} is finished and was trained with other settings: {differing}",
        where=str(directory.path),
        help=f"restore the recipe, give it another `name`, or remove {directory.path} and the stages after it",
    )
