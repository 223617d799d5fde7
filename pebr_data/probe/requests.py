"""What an engine is asked: a sample's prompt and images, as the fingerprint shows them to the policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pebr_data.engines.base import Request
from pebr_data.errors import DataError
from pebr_data.images import ImageStore, decode
from pebr_data.prompts import messages
from pebr_data.shuffled import as_shown
from pebr_data.types import Condition, Fingerprint, Generation, RolloutKey, Sample


@dataclass(slots=True)
class OwedRequests:
    """The owed rollouts as requests; images are read as the engine gets to them.

    Attributes:
        samples: The samples, in order.
        owed: For each sample that owes any, its owed keys.
        fingerprint: Template, condition and pixel budget are read.
        images: Where the images are.
        failed: Filled while iterating: rollouts of samples that cannot be asked, with the reason.
    """

    samples: Sequence[Sample]
    owed: Mapping[str, tuple[RolloutKey, ...]]
    fingerprint: Fingerprint
    images: ImageStore
    failed: list[tuple[RolloutKey, Generation]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Request]:
        shown = self.fingerprint.condition is Condition.IMAGE
        for sample in self.samples:
            keys = self.owed.get(sample.sample_id)
            if keys is None:
                continue
            # One prompt for all of them, unless each is shown the options in an order of its own.
            asked: dict[str, list[RolloutKey]] = {}
            for key in keys:
                asked.setdefault(as_shown(sample, self.fingerprint, key)[0].question, []).append(key)
            try:
                hashes = sample.image_hashes if shown else ()
                pictures = tuple(decode(self.images.get(one), self.fingerprint.max_pixels) for one in hashes)
                prompts = [
                    messages(
                        self.fingerprint.template,
                        question,
                        len(pictures),
                        self.fingerprint.condition,
                        sample.description,
                    )
                    for question in asked
                ]
            except DataError as error:
                generation = Generation("", 0, "error", error=str(error))
                self.failed += [(key, generation) for key in keys]
                continue
            for prompt, its in zip(prompts, asked.values(), strict=True):
                yield Request(prompt, pictures, tuple(its))
