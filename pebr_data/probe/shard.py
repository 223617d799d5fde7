"""Shards of a probe: disjoint parts of its samples, for schedulers that start the same command several times."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from pebr_data.errors import UsageError
from pebr_data.types import Sample


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` parts of the samples; `number` counts from 1. The one of one is everything.

    Which part a sample belongs to depends on its id and `count` alone.
    """

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def stem(self) -> str:
        """Its name in file names: `2-of-8`."""
        return f"{self.number}-of-{self.count}"

    def holds(self, sample_id: str) -> bool:
        """Whether the sample is in this part."""
        return zlib.crc32(sample_id.encode()) % self.count == self.number - 1

    def part(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """Those of the samples that are in this part, in order."""
        return samples if self.count == 1 else [sample for sample in samples if self.holds(sample.sample_id)]


WHOLE = Shard()
"""All samples."""


def parse_shard(text: str) -> Shard:
    """The shard that `i/n` means, 1 <= i <= n.

    Raises:
        UsageError: It means none.
    """
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(
            f"--shard {text} is not a part i/n with i from 1 to n",
            help="of four processes, say, the first gets --shard 1/4 and the last --shard 4/4",
        )
    return Shard(int(found[1]), int(found[2]))
