"""Models as training needs them: which parameters a named part has, and the dual encoder that rewards read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pebr_data.errors import ConfigError, DataError
from pebr_data.models import ResolvedModel

if TYPE_CHECKING:
    import torch
    from PIL import Image

PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "idefics3": {
        "vision_tower": ("vision_model",),
        "projector": ("connector",),
        "language_model": ("text_model", "lm_head"),
    },
    "smolvlm": {
        "vision_tower": ("vision_model",),
        "projector": ("connector",),
        "language_model": ("text_model", "lm_head"),
    },
    "qwen2_vl": {
        "vision_tower": ("visual",),
        "projector": ("visual.merger",),
        "language_model": ("language_model", "lm_head"),
    },
    "qwen2_5_vl": {
        "vision_tower": ("visual",),
        "projector": ("visual.merger",),
        "language_model": ("language_model", "lm_head"),
    },
    "llava": {
        "vision_tower": ("vision_tower",),
        "projector": ("multi_modal_projector",),
        "language_model": ("language_model", "lm_head"),
    },
}
"""Where an architecture (`model_type`) keeps each part: prefixes of parameter names, the longest match decides."""


def part_of(model_type: str, parameter: str) -> str | None:
    """The part of the model a parameter belongs to, or None when it belongs to none.

    Raises:
        ConfigError: The architecture is not in `PARTS`.
    """
    parts = PARTS.get(model_type)
    if parts is None:
        raise ConfigError(
            f"which parts a model of type {model_type!r} has is not known; known are {', '.join(PARTS)}",
            help="leave `freeze` out, or add the architecture to pebr_train.models.PARTS",
        )
    name = parameter.removeprefix("module.").removeprefix("model.")
    matches = [
        (len(prefix), part)
        for part, prefixes in parts.items()
        for prefix in prefixes
        if name == prefix or name.startswith(f"{prefix}.")
    ]
    return max(matches)[1] if matches else None


def freeze(model: Any, parts: Sequence[str]) -> int:
    """Keep the named parts of a model as they are; returns the number of parameters (scalars) frozen.

    Raises:
        ConfigError: The architecture is unknown, or has no parameters in a named part.
    """
    counts = dict.fromkeys(parts, 0)
    if not parts:
        return 0
    for name, parameter in model.named_parameters():
        part = part_of(model.config.model_type, name)
        if part in counts:
            parameter.requires_grad_(False)
            counts[part] += parameter.numel()
    empty = [part for part, count in counts.items() if not count]
    if empty:
        raise ConfigError(f"the model has no parameters in {', '.join(empty)}", help="mend `freeze` in the recipe")
    return sum(counts.values())


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
                f"cannot load the dual encoder: {error}", where=where, help="mend `reward_models`"
            ) from error
        if not (hasattr(loaded, "get_image_features") and hasattr(loaded, "get_text_features")):
            raise DataError(
                "the model is no dual encoder of images and texts", where=where, help="mend `reward_models`"
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
