"""Rows for LLaMA-Factory: JSON lines of sharegpt `messages`, answered by the reference response, and `images` as paths.

Read from hiyouga/LLaMA-Factory: `src/llamafactory/data/parser.py` (`dataset_info.json` in `dataset_dir` names files,
columns and tags), `loader.py` (a `file_name` that is a directory means all files in it), `converter.py` (messages
alternate between user and assistant; image paths are joined to `media_dir`, which is `dataset_dir` by default) and
`mm_plugin.py` (there must be as many `<image>` in the messages, the response included, as images).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pebr_data.export.formats.base import ExportedSample, image_cells, with_placeholders
from pebr_data.export.formats.features import MESSAGES, STRING, arrow_schema, image_feature
from pebr_data.types import ImagePlacement, Json

if TYPE_CHECKING:
    from pebr_data.manifest import Manifest

INFO_FILE = "dataset_info.json"


class LlamaFactoryFormat:
    """The layout `llamafactory`; see the module."""

    images: tuple[ImagePlacement, ...] = ("beside",)
    shard_file = "data/shard-{:05d}.jsonl"
    needs_response = True

    def schema(self, images: ImagePlacement) -> Any:
        """The columns and their types."""
        return arrow_schema({"sample_id": STRING, "messages": MESSAGES, "images": image_feature(images)})

    def row(self, exported: ExportedSample) -> Mapping[str, Json]:
        """The sample as one row."""
        response = exported.sample.response or ""
        return {
            "sample_id": exported.sample.sample_id,
            "messages": [
                {"role": "user", "content": with_placeholders(exported, response)},
                {"role": "assistant", "content": response},
            ],
            "images": image_cells(exported),
        }

    def companions(self, manifest: Manifest) -> Mapping[str, str]:
        """The description that LLaMA-Factory looks a dataset up in; supervised training has no reward."""
        description = {
            "file_name": "data",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "images": "images"},
            "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
        }
        return {INFO_FILE: json.dumps({manifest.mixture: description}, indent=2) + "\n"}

    def usage(self, manifest: Manifest) -> str:
        """The keys that name the data."""
        return f"""\
In the YAML of `llamafactory-cli train`, run in this directory, beside your own settings:

```yaml
stage: sft
dataset_dir: .
dataset: {manifest.mixture}
image_max_pixels: {manifest.fingerprint["max_pixels"]}
```
"""
