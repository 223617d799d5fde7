"""Which of a catalog's samples are probed: a split, those that meet conditions, those of a mixture, new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pebr_data.catalog.store import Catalog
from pebr_data.config import CatalogConfig, WhereConfig
from pebr_data.errors import DataError, RefusedError, UsageError
from pebr_data.types import Sample


@dataclass(frozen=True, slots=True)
class Subset:
    """A part of a catalog's samples; they must meet all that is given.

    Attributes:
        split: The split, instead of the configured one. A mixture has its own.
        where: `source`, `skill` or `answer_type` -> the values that it may have.
        mixture: Only the samples of this mixture, as it was last selected.
        since: Only those that the catalog got then or later, in UTC without a zone.
        limit: Only the first of them, this many.
        sample_ids: Only these.
    """

    split: str | None = None
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    mixture: str | None = None
    since: datetime | None = None
    limit: int | None = None
    sample_ids: tuple[str, ...] | None = None

    def __str__(self) -> str:
        told = [f"{key} {' or '.join(values)}" for key, values in self.where.items()]
        told += [f"in the mixture {self.mixture}"] if self.mixture else []
        told += [f"added since {self.since.isoformat()}"] if self.since else []
        return ", ".join(told)


EVERYTHING = Subset()


def read_samples(config: CatalogConfig, store: Path, subset: Subset = EVERYTHING) -> list[Sample]:
    """The samples, by source and position, or in the mixture's order.

    Raises:
        BusyError: Another process holds the catalog.
        DataError: The catalog has not been built, or has no such samples.
        RefusedError: The mixture has not been selected.
    """
    wanted = config.probe.split if subset.split is None and subset.mixture is None else subset.split
    with Catalog.open(store, read_only=True) as catalog:
        chosen = subset.sample_ids if subset.mixture is None else _sample_ids(catalog, config, subset.mixture)
        found = catalog.samples(config.name, wanted, chosen, since=subset.since)
    samples = [one for one in found if all(getattr(one, key) in values for key, values in subset.where.items())]
    if not samples:
        within = f"the split {wanted!r} of the catalog {config.name!r}" if wanted else f"the catalog {config.name!r}"
        raise DataError(
            f"there are no samples in {within}" + (f": {subset}" if str(subset) else ""),
            where=str(store),
            help=f"name others, or build it: pebr-data build {config.path} --store {store}",
        )
    return samples[: subset.limit]


def parse_where(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Conditions from a command line's `KEY=VALUE`; values of one key are alternatives.

    Raises:
        UsageError: A text has no such key.
    """
    where: dict[str, tuple[str, ...]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not value or key not in WhereConfig.model_fields:
            raise UsageError(
                f"--where expects KEY=VALUE, got {text!r}", help=f"KEY is one of {', '.join(WhereConfig.model_fields)}"
            )
        where[key] = (*where.get(key, ()), value)
    return where


def parse_since(text: str) -> datetime:
    """A moment from an ISO date, or date and time; without a zone it is UTC.

    Raises:
        UsageError: It is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--since expects a date, got {text!r}", help="--since 2026-05-31, or 2026-05-31T14:00 (UTC)"
        ) from None
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _sample_ids(catalog: Catalog, config: CatalogConfig, name: str) -> Sequence[str]:
    found = [one.mixture_id for one in catalog.mixtures(config.name) if one.name == name]
    if not found:
        raise RefusedError(
            f"the mixture {name!r} has not been selected",
            where=str(config.path),
            help=f"pebr-data select {config.path} --mixture {name}",
        )
    return catalog.mixture(found[-1]).sample_ids
