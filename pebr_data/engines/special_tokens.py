"""The tokens that mean something to an engine: what ends a completion, what stands for an image."""

from __future__ import annotations

from typing import Any

from pebr_data.errors import UnavailableError


def eos_token_ids(generation_config: Any, tokenizer: Any) -> frozenset[int]:
    """What ends a completion: the generation config's tokens, one or many, and the tokenizer's, as TRL collects them.

    Raises:
        UnavailableError: There is none.
    """
    declared = generation_config.eos_token_id
    found = frozenset(declared if isinstance(declared, list) else [declared]) | {tokenizer.eos_token_id}
    if found == {None}:
        raise UnavailableError(
            "the model names no end-of-sequence token", help="add eos_token_id to its generation_config.json"
        )
    return found - {None}


def image_token_id(config: Any, processor: Any) -> int:
    """The token that an image part of a prompt is expanded to.

    Raises:
        UnavailableError: The model has none.
    """
    for holder in (config, processor):
        for name in ("image_token_id", "image_token_index"):
            found = getattr(holder, name, None)
            if found is not None:
                return int(found)
    raise UnavailableError(
        "the model names no image token", help="use an image-text-to-text model such as Qwen2.5-VL or Idefics3"
    )
