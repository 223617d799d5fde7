"""Rows for TRL: a conversational `prompt` without placeholders and `images` beside it (TRL 1.16, VLM datasets).

The shards carry the feature description that `datasets` looks for, so that `load_dataset("parquet", …)` gives PIL
images without a cast. TRL puts one image placeholder per image in front of the user's text itself, and hands every
further column to the rewards as a list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pebr_data.export.formats.base import ExportedSample
from pebr_data.types import Json

_STRING = {"dtype": "string", "_type": "Value"}
_STRINGS = {"feature": _STRING, "_type": "List"}

FEATURES: dict[str, dict[str, Any]] = {
    "sample_id": _STRING,
    "prompt": {"feature": {"role": _STRING, "content": _STRING}, "_type": "List"},
    "images": {"feature": {"_type": "Image"}, "_type": "List"},
    "question": _STRING,
    "answer": _STRING,
    "answer_type": _STRING,
    "options": _STRINGS,
    "grading": _STRING,
    "keywords": _STRINGS,
    "description": _STRING,
    "response": _STRING,
    "skill": _STRING,
    "metadata": _STRING,
    "pass_rate": {"dtype": "float64", "_type": "Value"},
    "band": _STRING,
}
"""The columns in order, each as `datasets.Features.to_dict` describes it; `grading` and `metadata` are JSON text."""


class TrlFormat:
    """The layout `trl`; see the module."""

    def schema(self) -> Any:
        """The `pyarrow.Schema`, with the metadata `datasets` reads."""
        import pyarrow as pa

        string = pa.string()
        types = {
            "prompt": pa.list_(pa.struct([("role", string), ("content", string)])),
            "images": pa.list_(pa.struct([("bytes", pa.binary()), ("path", string)])),
            "options": pa.list_(string),
            "keywords": pa.list_(string),
            "pass_rate": pa.float64(),
        }
        fields = [pa.field(name, types.get(name, string)) for name in FEATURES]
        return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": FEATURES}})})

    def row(self, exported: ExportedSample) -> Mapping[str, Json]:
        """The sample as one row."""
        sample = exported.sample
        return {
            "sample_id": sample.sample_id,
            "prompt": [{"role": "user", "content": exported.prompt}],
            "images": [{"bytes": data, "path": None} for data in exported.images],
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
