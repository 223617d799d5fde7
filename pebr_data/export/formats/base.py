"""What an export format is given, and what it must provide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pebr_data.types import Band, Json, Sample


@dataclass(frozen=True, slots=True)
class ExportedSample:
    """One sample on its way into a shard.

    Attributes:
        sample: The sample.
        prompt: The text of the user's message, as the probe sent it.
        images: Encoded image files that look as the probe saw them, in prompt order.
        pass_rate: Share of its rollouts that were correct, 0..1; None unless its group is complete.
        band: The band that share puts it in; `unprobed` without one.
    """

    sample: Sample
    prompt: str
    images: tuple[bytes, ...]
    pass_rate: float | None
    band: Band


class Format(Protocol):
    """How the rows of one training framework look."""

    def schema(self) -> Any:
        """The `pyarrow.Schema` of the shards, with whatever metadata the framework's loader reads."""

    def row(self, exported: ExportedSample) -> Mapping[str, Json]:
        """The sample as one row of that schema."""
