"""The dataset card of an export: what it holds and where it comes from, for people and for `datasets`."""

from __future__ import annotations

from pebr_data.manifest import Manifest

CARD_FILE = "README.md"


def card(manifest: Manifest) -> str:
    """The card as Markdown; its header names the shards, so that `datasets.load_dataset(directory)` finds them."""
    chosen = manifest.policy if manifest.band is None else f"{manifest.policy}, band {manifest.band}"
    policy = "\n".join(f"| {name} | {value} |" for name, value in manifest.fingerprint.items())
    return f"""---
configs:
- config_name: default
  data_files:
  - split: train
    path: "*.parquet"
---

# {manifest.catalog}: {manifest.mixture}

{manifest.num_samples:,} samples chosen by pebr {manifest.code_version} (policy {chosen}).
Mixture `{manifest.mixture_id}`; `manifest.json` holds the checksum of every shard.

Pass rates are those of probe `{manifest.probe_id}`:

| of the probed policy | |
| --- | --- |
{policy}
"""
