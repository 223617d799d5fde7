"""Image embeddings of a CLIP-like model, for telling which pictures show the same."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from pebr_data.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

    from pebr_data.models import ResolvedModel

BATCH_SIZE = 64

Vectors = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def embed_images(model: ResolvedModel, pictures: Iterable[Image.Image]) -> Vectors:
    """Unit vectors (N, D) of N pictures, which are read as they are needed.

    Raises:
        DataError: The model has no image features of its own, as CLIP, SigLIP and their like have.
    """
    import torch
    from transformers import AutoModel, AutoProcessor

    where, revision = model.location, model.hub_revision
    try:
        processor = AutoProcessor.from_pretrained(where, revision=revision)
        loaded = AutoModel.from_pretrained(where, revision=revision, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot load the model: {error}", where=where, help="name another with --embed") from error
    if not hasattr(loaded, "get_image_features"):
        raise DataError("the model has no image features", where=where, help="name one like CLIP with --embed")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded = loaded.to(device).eval()
    vectors: list[Vectors] = []
    stream = iter(pictures)
    while batch := list(islice(stream, BATCH_SIZE)):
        inputs = processor(images=batch, return_tensors="pt").to(device)
        with torch.inference_mode():
            features = loaded.get_image_features(**inputs)
            pooled = features if isinstance(features, torch.Tensor) else features.pooler_output
            vectors.append(torch.nn.functional.normalize(pooled.float(), dim=-1).cpu().numpy())
    return np.concatenate(vectors) if vectors else np.zeros((0, 1), dtype=np.float32)
