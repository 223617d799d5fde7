"""The dataset card of an export: what it holds, where that comes from and how to train on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pebr_data.catalog.benchmarks import BenchmarkCheck
from pebr_data.manifest import Manifest
from pebr_data.types import Band, Sample, ScaleRewards

if TYPE_CHECKING:
    from pebr_data.difficulty.forecast import Expected, Forecast

CARD_FILE = "README.md"
NO_LICENSE = "not declared"


@dataclass(frozen=True, slots=True)
class Contents:
    """What the card counts.

    Attributes:
        sources: Samples of each source.
        licenses: The licences that a source declares, or its samples as `license` in their metadata.
        bands: Samples of each band.
        drops: Samples that were left out, per reason.
        benchmarks: What the catalog was compared with.
        foreseen: The first pass and the `scale_rewards` it holds under; None where nothing was probed.
    """

    sources: Mapping[str, int]
    licenses: Mapping[str, tuple[str, ...]]
    bands: Mapping[Band, int]
    drops: Mapping[str, int]
    benchmarks: Sequence[BenchmarkCheck]
    foreseen: tuple[Forecast, ScaleRewards] | None

    @classmethod
    def of(
        cls,
        samples: Sequence[Sample],
        bands: Iterable[Band],
        drops: Mapping[str, int],
        benchmarks: Sequence[BenchmarkCheck] = (),
        foreseen: tuple[Forecast, ScaleRewards] | None = None,
    ) -> Contents:
        """Count the samples of a mixture, whose bands come in the same order."""
        sources = Counter(sample.source for sample in samples)
        declared = {
            source: {str(s.metadata.get("license", NO_LICENSE)) for s in samples if s.source == source}
            for source in sources
        }
        counts = Counter(bands)
        return cls(
            sources=dict(sorted(sources.items())),
            licenses={source: tuple(sorted(names)) for source, names in declared.items()},
            bands={band: counts[band] for band in Band if counts[band]},
            drops=dict(sorted(drops.items())),
            benchmarks=benchmarks,
            foreseen=foreseen,
        )


def card(manifest: Manifest, contents: Contents, usage: str) -> str:
    """The card as Markdown; its header names the shards, so that `datasets.load_dataset(directory)` finds them.

    Args:
        manifest: Of the export.
        contents: What it holds.
        usage: How to train on it, as Markdown.
    """
    chosen = manifest.policy if manifest.band is None else f"{manifest.policy}, band {manifest.band}"
    first = PurePosixPath(manifest.shards[0].file)
    images = "in the rows" if manifest.images == "embed" else "files under `images/`"
    sources = [(name, count, ", ".join(contents.licenses[name])) for name, count in contents.sources.items()]
    return f"""---
configs:
- config_name: default
  data_files:
  - split: train
    path: "{first.with_name(f"*{first.suffix}")}"
---

# {manifest.catalog}: {manifest.mixture}

{manifest.num_samples:,} samples chosen by pebr {manifest.code_version} (policy {chosen}).
Format `{manifest.format}`, images {images}.
Mixture `{manifest.mixture_id}`; `manifest.json` holds the checksum of every other file, and of this one as written.

## Training on it

{usage.strip()}

## What it holds

{_table(("source", "samples", "licence"), sources)}
{_table(("band", "samples"), contents.bands.items())}
{_table(("left out because", "samples"), contents.drops.items())}
## What the first pass will show

{_forecast(contents)}
## Benchmarks

{_benchmarks(contents, manifest)}
## Where its pass rates come from

Probe `{manifest.probe_id}`:

{_table(("of the probed policy", ""), ((name, str(value)) for name, value in manifest.fingerprint.items()))}"""


def _forecast(contents: Contents) -> str:
    if contents.foreseen is None:
        return "None of its samples was probed, so there is no forecast.\n"
    seen, scale_rewards = contents.foreseen
    figures: list[tuple[str, Expected, str]] = [
        ("groups whose accuracy does not vary", seen.zero_variance, ".1%"),
        ("mean accuracy", seen.mean_reward, ".1%"),
        ("squared advantage", seen.squared_advantage, ".3f"),
    ]
    rows = [(name, f"{one.mean:{style}}", f"{one.low:{style}} to {one.high:{style}}") for name, one, style in figures]
    return (
        f"Foreseen for the probed policy, the accuracy reward, groups of {seen.group_size} and `scale_rewards: "
        f"{scale_rewards}`. A policy that is trained leaves it.\n\n"
        f"{_table(('', 'expected', 'in 95 of 100 runs'), rows)}"
    )


def _benchmarks(contents: Contents, manifest: Manifest) -> str:
    if not contents.benchmarks:
        return f"The catalog `{manifest.catalog}` was not checked against any benchmark (`pebr-data decontaminate`).\n"
    rows = [(one.benchmark, one.num_overlaps, one.num_kept) for one in contents.benchmarks]
    return _table(("benchmark", "samples of the catalog that it has too", "of them in here"), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    cells = [[f"{cell:,}" if type(cell) is int else str(cell).replace("|", "\\|") for cell in row] for row in rows]
    if not cells:
        return ""
    lines = [header, ["---"] * len(header), *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
