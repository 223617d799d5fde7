"""`started.json`: what a stage is being trained as, and on what. It is written before the first checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pebr_data.errors import DataError, RefusedError
from pebr_data.manifest import Manifest
from pebr_train.checkpoints import newest_complete
from pebr_train.identity import differences
from pebr_train.rundir import StageDir, write_json


class Started(BaseModel):
    """A stage under way.

    Attributes:
        identity: Everything that decides what the stage makes, but for which samples a mixture came to hold.
        mixture_id: The frozen choice of samples.
        content: `Manifest.content` of its export.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: dict[str, Any]
    mixture_id: str
    content: str


def write_started(directory: StageDir, identity: Mapping[str, Any], manifest: Manifest) -> None:
    """Record what a stage is being trained as, and on what."""
    started = Started(identity=dict(identity), mixture_id=manifest.mixture_id, content=manifest.content)
    write_json(directory.started, started.model_dump(mode="json"))


def read_started(directory: StageDir) -> Started | None:
    """What the stage is half trained as; None while it has no whole checkpoint, for then nothing is lost.

    Raises:
        DataError: There is a checkpoint, and no record of what it is of.
    """
    if newest_complete(directory.checkpoints)[0] is None:
        return None
    try:
        return Started.model_validate(json.loads(directory.started.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise DataError(
            f"cannot read what the stage is half trained on: {error}",
            where=str(directory.started),
            help=f"remove {directory.path} to train the stage again",
        ) from error


def check_started(directory: StageDir, started: Started, identity: Mapping[str, Any]) -> None:
    """Refuse to go on from checkpoints that were trained as something else.

    Raises:
        RefusedError: They were; the message names every key that differs.
    """
    now = json.loads(json.dumps(dict(identity)))
    if started.identity != now:
        raise RefusedError(
            f"the stage is half trained with other settings: {differences(started.identity, now)}",
            where=str(directory.path),
            help=f"restore the recipe, give it another `name`, or remove {directory.path}",
        )


def check_content(directory: StageDir, started: Started, manifest: Manifest) -> None:
    """Refuse to go on with other samples than the checkpoints were trained on.

    Raises:
        RefusedError: The samples are others, or say something else.
    """
    before = {"mixture_id": started.mixture_id, "content": started.content}
    now = {"mixture_id": manifest.mixture_id, "content": manifest.content}
    if before != now:
        raise RefusedError(
            f"the stage is half trained on samples that have changed since: {differences(before, now)}",
            where=str(directory.path),
            help=f"restore {manifest.directory}, or remove {directory.path} to train the stage again",
        )
