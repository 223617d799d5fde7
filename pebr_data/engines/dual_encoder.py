"""The dual encoder: a model like CLIP, which tells how well a text fits an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pebr_data.errors import DataError
from pebr_data.models import ResolvedModel

if TYPE_CHECKING:
    import torch
    from PIL import Image


class DualEncoder:
    """A CLIP-like model: images and texts become unit vectors whose dot product is their cosine.

    Args:
        model: Where the model and its processor lie.

    Raises:
        DataError: It cannot be loaded as a dual encoder.
    """

    def __init__(self, model: ResolvedModel) -> None:
        import torch
        from transformers import AutoModel, AutoProcessor

        where, revision = model.location, model.hub_revision
        try:
            self.processor = AutoProcessor.from_pretrained(where, revision=revision)
            loaded = AutoModel.from_pretrained(where, revision=revision, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise DataError(
                f"cannot load the dual encoder: {error}", where=where, help="name a model like CLIP"
            ) from error
        if not (hasattr(loaded, "get_image_features") and hasattr(loaded, "get_text_features")):
            raise DataError(
                "the model is no dual encoder of images and texts", where=where, help="name a model like CLIP"
            )
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = loaded.to(self.device).eval()
        self.max_tokens = int(loaded.config.text_config.max_position_embeddings)

    def embed_images(self, images: Iterable[Image.Image]) -> torch.Tensor:
        """Unit vectors (N, D) of N images."""
        import torch

        inputs = self.processor(images=list(images), return_tensors="pt").to(self.device)
        with torch.inference_mode():
            return _unit(self.model.get_image_features(**inputs))

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors (N, D) of N texts, each cut off at the model's text context (FG-CLIP: 248 tokens)."""
        import torch

        inputs = self.processor(
            text=list(texts), return_tensors="pt", padding=True, truncation=True, max_length=self.max_tokens
        ).to(self.device)
        with torch.inference_mode():
            return _unit(self.model.get_text_features(**inputs))


def _unit(features: Any) -> torch.Tensor:
    import torch

    pooled = features if isinstance(features, torch.Tensor) else features.pooler_output
    unit: torch.Tensor = torch.nn.functional.normalize(pooled.float(), dim=-1).cpu()
    return unit
