"""Rows for TRL: a conversational `prompt` without placeholders and `images` beside it (TRL 1.16, VLM datasets).

The shards carry the feature description that `datasets` looks for, so that `load_dataset("parquet", …)` gives PIL
images without a cast. TRL puts one image placeholder per image in front of the user's text itself, and hands every
further column to the rewards as a list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pebr_data.export.formats.base import ExportedSample, image_cells
from pebr_data.export.formats.features import FLOAT, MESSAGES, STRING, STRINGS, arrow_schema, image_feature
from pebr_data.types import ImagePlacement, Json

if TYPE_CHECKING:
    from pebr_data.manifest import Manifest

FEATURES: dict[str, dict[str, Any]] = {
    "sample_id": STRING,
    "prompt": MESSAGES,
    "images": image_feature("embed"),
    "question": STRING,
    "answer": STRING,
    "answer_type": STRING,
    "options": STRINGS,
    "grading": STRING,
    "keywords": STRINGS,
    "description": STRING,
    "response": STRING,
    "skill": STRING,
    "metadata": STRING,
    "pass_rate": FLOAT,
    "band": STRING,
}
"""The columns in order, each as `datasets.Features.to_dict` describes it; `grading` and `metadata` are JSON text."""


class TrlFormat:
    """The layout `trl`; see the module."""

    images: tuple[ImagePlacement, ...] = ("embed",)
    shard_file = "shard-{:05d}.parquet"
    needs_response = False

    def schema(self, images: ImagePlacement) -> Any:
        """The `pyarrow.Schema`, with the metadata `datasets` reads."""
        return arrow_schema(FEATURES)

    def row(self, exported: ExportedSample) -> Mapping[str, Json]:
        """The sample as one row."""
        sample = exported.sample
        return {
            "sample_id": sample.sample_id,
            "prompt": [{"role": "user", "content": exported.prompt}],
            "images": image_cells(exported),
            "question": sample.question,
            "answer": sample.answer,
            "answer_type": sample.answer_type,
            "options": list(sample.options),
            "grading": json.dumps(sample.grading, sort_keys=True, ensure_ascii=False),
            "keywords": list(sample.keywords),
            "description": sample.description,
            "response": sample.response,
            "skill": sample.skill,
            "metadata": json.dumps(sample.metadata, sort_keys=True, ensure_ascii=False),
            "pass_rate": exported.pass_rate,
            "band": str(exported.band),
        }

    def companions(self, manifest: Manifest) -> Mapping[str, str]:
        """None: `pebr_train.rewards` reads the columns."""
        return {}

    def usage(self, manifest: Manifest) -> str:
        """A stage of a recipe, or `datasets` alone."""
        return """\
In a recipe, a stage trains on it with `shards:` and this directory. By hand, for TRL's trainers:

```python
from datasets import load_dataset

rows = load_dataset("parquet", data_files="shard-*.parquet", split="train")
```
"""
