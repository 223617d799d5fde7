"""Columns described as `datasets.Features.to_dict` describes them, and the Arrow schema that goes with them.

Parquet files that carry the description are loaded with PIL images by `load_dataset("parquet", …)` without a cast.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pebr_data.types import ImagePlacement

Features = Mapping[str, Mapping[str, Any]]

STRING = {"dtype": "string", "_type": "Value"}
INTEGER = {"dtype": "int64", "_type": "Value"}
FLOAT = {"dtype": "float64", "_type": "Value"}
STRINGS = {"feature": STRING, "_type": "List"}
MESSAGES = {"feature": {"role": STRING, "content": STRING}, "_type": "List"}


def image_feature(images: ImagePlacement) -> dict[str, Any]:
    """The column of images: encoded bytes that load as PIL images, or paths."""
    return {"feature": {"_type": "Image"}, "_type": "List"} if images == "embed" else STRINGS


def arrow_schema(features: Features) -> Any:
    """The `pyarrow.Schema`, with the metadata `datasets` reads."""
    import pyarrow as pa

    fields = [pa.field(name, _arrow_type(feature)) for name, feature in features.items()]
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _arrow_type(feature: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    match feature.get("_type"):
        case "Value":
            return {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64()}[feature["dtype"]]
        case "List":
            return pa.list_(_arrow_type(feature["feature"]))
        case "Image":
            return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        case _:
            return pa.struct([(name, _arrow_type(part)) for name, part in feature.items()])
