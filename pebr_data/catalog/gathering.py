"""Gathering images for ingest: batches of what a source yields, each image through the gate and durable.

While one batch is written to the catalog the next one's images are decoded and those after it are read: the source, the
gate's processes and the disk work at the same time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from pebr_data.errors import DataError, StorageError
from pebr_data.hashing import digest_bytes
from pebr_data.images import ImageFacts, ImageStore, open_gate
from pebr_data.sources.base import Reject
from pebr_data.types import Candidate

MAX_BATCH_BYTES = 64 * 2**20
"""Encoded images to a batch, unless one candidate has more; three batches are in memory at a time."""

_NUM_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Gathered:
    """A batch whose usable images are all in the image store.

    Attributes:
        items: What the source yielded.
        images: For each item, the hash of each of its images, or the error that says why a model cannot be shown it.
        facts: Those of the batch's images that were not known before.
    """

    items: list[Candidate | Reject]
    images: list[list[str | DataError]]
    facts: list[ImageFacts]


def gather(
    stream: Iterable[Candidate | Reject], images: ImageStore, known: set[bytes], batch_size: int
) -> Iterator[Gathered]:
    """Batches in the source's order.

    Args:
        stream: What a source yields.
        images: Where image bytes go.
        known: Hashes (32 bytes) of images whose facts are in the catalog already.
        batch_size: Candidates to a batch at most.

    Raises:
        StorageError: The disk refused, or the gate's processes do not start.
    """
    pending: deque[Future[Gathered]] = deque()
    with ThreadPoolExecutor(max_workers=_NUM_AHEAD, thread_name_prefix="gather") as threads:
        for items in _batches(stream, batch_size):
            pending.append(threads.submit(_gather, items, images, known))
            if len(pending) > _NUM_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _batches(stream: Iterable[Candidate | Reject], batch_size: int) -> Iterator[list[Candidate | Reject]]:
    batch: list[Candidate | Reject] = []
    num_bytes = 0
    for item in stream:
        batch.append(item)
        num_bytes += 0 if isinstance(item, Reject) else sum(map(len, item.images))
        if len(batch) == batch_size or num_bytes >= MAX_BATCH_BYTES:
            yield batch
            batch, num_bytes = [], 0
    if batch:
        yield batch


def _gather(items: list[Candidate | Reject], images: ImageStore, known: set[bytes]) -> Gathered:
    hashes = [
        [] if isinstance(item, Reject) else [(digest_bytes(data), data) for data in item.images] for item in items
    ]
    unique = {image_hash: data for row in hashes for image_hash, data in row}
    # Known and there: nothing to do. There but unknown: an earlier pebr stored it, and now looks at it.
    asked = {
        image_hash: data
        for image_hash, data in unique.items()
        if bytes.fromhex(image_hash) not in known or not images.holds(image_hash)
    }
    found = dict(zip(asked, open_gate().examine(list(asked.values())), strict=True))
    facts = {image_hash: one for image_hash, one in found.items() if isinstance(one, ImageFacts)}
    try:
        images.put_all({image_hash: (asked[image_hash], one.format) for image_hash, one in facts.items()})
    except OSError as error:
        raise StorageError(
            f"an image could not be stored: {error}",
            where=str(images.root),
            help="see to the disk, then build again: what is stored stays",
        ) from error
    refused = {image_hash: one for image_hash, one in found.items() if isinstance(one, DataError)}
    return Gathered(
        items=items,
        images=[[refused.get(image_hash, image_hash) for image_hash, _ in row] for row in hashes],
        facts=list(facts.values()),
    )
