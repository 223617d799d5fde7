"""Models as training needs them: which parameters a named part has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pebr_data.errors import ConfigError

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
