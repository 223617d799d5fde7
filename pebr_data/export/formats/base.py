"""What an export format is given, and what it must provide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pebr_data.errors import DataError
from pebr_data.types import Band, ImagePlacement, Json, Sample

if TYPE_CHECKING:
    from pebr_data.manifest import Manifest

PLACEHOLDER = "<image>"
MEDIA_PLACEHOLDERS = (PLACEHOLDER, "<video>", "<audio>")
"""What frameworks take for a medium wherever it stands in a text."""

REWARD_FILE = "reward.py"


@dataclass(frozen=True, slots=True)
class ExportedSample:
    """One sample on its way into a shard.

    Attributes:
        sample: The sample.
        position: Its place in the mixture: 0, 1, ….
        prompt: The text of the user's message, as the probe sent it.
        images: Encoded image files that look as the probe saw them, in prompt order; or, where images lie beside the
            shards, their paths relative to the export.
        pass_rate: Share of its rollouts that were correct, 0..1; None unless its group is complete.
        band: The band that share puts it in; `unprobed` without one.
        gold: What a grader must know of it, as `pebr_data.export.reward.gold_text` writes it.
    """

    sample: Sample
    position: int
    prompt: str
    images: tuple[bytes, ...] | tuple[str, ...]
    pass_rate: float | None
    band: Band
    gold: str


class Format(Protocol):
    """How the rows of one training framework look.

    Attributes:
        images: Where it can have its images, the default first.
        shard_file: Path of the shard of a number in the export, Parquet or JSON lines by its ending.
        needs_response: Whether rows cannot be without a reference response.
    """

    images: tuple[ImagePlacement, ...]
    shard_file: str
    needs_response: bool

    def schema(self, images: ImagePlacement) -> Any:
        """The `pyarrow.Schema` of the rows, with whatever metadata the framework's loader reads."""

    def row(self, exported: ExportedSample) -> Mapping[str, Json]:
        """The sample as one row of that schema.

        Raises:
            DataError: The framework would misread the sample.
        """

    def companions(self, manifest: Manifest) -> Mapping[str, str]:
        """Further text files of the export, by name: its reward, say. `manifest` lists the shards."""

    def usage(self, manifest: Manifest) -> str:
        """How to train on the export in the framework, as Markdown; commands run in its directory."""


def with_placeholders(exported: ExportedSample, *further: str) -> str:
    """The prompt with one placeholder per image in front, where the probe's chat template put them.

    Args:
        exported: The sample.
        *further: Other texts of the row, which are searched for placeholders too.

    Raises:
        DataError: A text holds a placeholder of its own, which would be taken for one more image.
    """
    for text in (exported.prompt, *further):
        for placeholder in MEDIA_PLACEHOLDERS:
            if placeholder in text:
                raise DataError(
                    f"a text of the sample holds a literal {placeholder}, which the framework would take for a medium",
                    where=f"sample {exported.sample.sample_id}",
                    help="reject or reword it in the source, or export with --format trl",
                )
    return PLACEHOLDER * len(exported.images) + exported.prompt


def image_cells(exported: ExportedSample) -> list[Json]:
    """The images as a Parquet cell of the type that `image_feature` describes."""
    return [image if isinstance(image, str) else {"bytes": image, "path": None} for image in exported.images]
