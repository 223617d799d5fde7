"""Small vision-language models with random weights, in the architectures that matter; for tests of the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SPECIAL = ("<pad>", "<unk>", "<s>", "<end_of_utterance>", "<stop>", "<image>", "<fake_token_around_image>")
WORDS = tuple(f"w{number}" for number in range(40))
EOS, STOP = 3, 4
IMAGE_TOKENS = 9

_CHAT_TEMPLATE = (
    "{% for message in messages %}User: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}{% endfor %}"
    "<end_of_utterance> {% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def _tokenizer(words: Sequence[str], **special: Any) -> Any:
    """A tokenizer of whole words, numbered as they come."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", **special)


def save_idefics3(directory: Path, seed: int = 0) -> Path:
    """An Idefics3 with its processor, saved like a real one: 72 px images, 9 image tokens, words `w0` .. `w39`."""
    import torch
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessorPil,
        Idefics3Processor,
    )

    words = [*SPECIAL, "<global-img>", "User:", "Assistant:", *WORDS]
    fast = _tokenizer(
        words,
        bos_token="<s>",
        eos_token="<end_of_utterance>",
        additional_special_tokens=["<stop>", "<image>", "<fake_token_around_image>", "<global-img>"],
    )
    size = {"longest_edge": 72}
    image_processor = Idefics3ImageProcessorPil(do_image_splitting=False, size=size, max_image_size=size)
    processor = Idefics3Processor(image_processor, fast, image_seq_len=IMAGE_TOKENS, chat_template=_CHAT_TEMPLATE)
    config = Idefics3Config(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 72,
            "patch_size": 8,
        },
        text_config={
            "model_type": "llama",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": len(words),
            "pad_token_id": 0,
            "bos_token_id": 2,
            "eos_token_id": EOS,
            # Spread the logits out, so that greedy choices are clear.
            "initializer_range": 0.3,
        },
        scale_factor=3,
        image_token_id=SPECIAL.index("<image>"),
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    model = Idefics3ForConditionalGeneration(config).eval()
    model.generation_config.pad_token_id = 0
    model.generation_config.eos_token_id = [EOS, STOP]
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    return directory


Shape = Mapping[str, Mapping[str, Any]]
"""The settings of the vision tower (`vision`) and of the language model (`text`) that give a model its size."""

QWEN_SPECIAL = ("<pad>", "<unk>", "<stop>", "<image_pad>", "<video_pad>", "<vision_start>", "<vision_end>")

TINY_QWEN: Shape = {
    "vision": {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 32,
        "window_size": 112,
        "fullatt_block_indexes": [1],
    },
    "text": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 60,
        "initializer_range": 0.3,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]},
    },
}

QWEN_3B: Shape = {
    "vision": {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 2048,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
    },
    "text": {
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "vocab_size": 151_936,
        "max_position_embeddings": 128_000,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0, "mrope_section": [16, 24, 24]},
    },
}
"""The shape of Qwen2.5-VL-3B-Instruct, by its config."""


TINY_QWEN_TOKENS = {
    "pad_token_id": 0,
    "eos_token_id": 2,
    "image_token_id": 50,
    "video_token_id": 51,
    "vision_start_token_id": 52,
    "vision_end_token_id": 53,
}


def qwen2_5_vl(seed: int = 0, shape: Shape = TINY_QWEN, tokens: Mapping[str, int] = TINY_QWEN_TOKENS) -> Any:
    """A Qwen2.5-VL; its processor needs torchvision, so most tests write its inputs themselves."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    of_text = {name: number for name, number in tokens.items() if name in ("pad_token_id", "eos_token_id")}
    of_images = {name: number for name, number in tokens.items() if name not in of_text}
    config = Qwen2_5_VLConfig(
        vision_config={"patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, **shape["vision"]},
        text_config={"bos_token_id": None, **of_text, **shape["text"]},
        tie_word_embeddings=True,
        **of_images,
    )
    torch.manual_seed(seed)
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def save_qwen2_5_vl(directory: Path, shape: Shape = TINY_QWEN, *, dtype: str, device: str) -> Path:
    """A Qwen2.5-VL with its processor, saved like a real one. Needs torchvision.

    Args:
        directory: Where to.
        shape: The model's; its words stay `w0` .. `w39`, whatever its vocabulary.
        dtype: The type of the saved weights, which are drawn in it.
        device: Where the weights are drawn.
    """
    import torch
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    fast = _tokenizer(
        [*QWEN_SPECIAL, "User:", "Assistant:", *WORDS],
        eos_token="<stop>",
        additional_special_tokens=list(QWEN_SPECIAL[3:]),
        extra_special_tokens={"image_token": "<image_pad>", "video_token": "<video_pad>"},
    )
    template = _CHAT_TEMPLATE.replace("<image>", "<vision_start><image_pad><vision_end>")
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(),
        fast,
        Qwen2VLVideoProcessor(),
        chat_template=template.replace("<end_of_utterance>", "<stop>"),
    )
    tokens = {"pad_token_id": 0, "eos_token_id": QWEN_SPECIAL.index("<stop>")}
    tokens["image_token_id"] = QWEN_SPECIAL.index("<image_pad>")
    tokens["video_token_id"] = QWEN_SPECIAL.index("<video_pad>")
    tokens["vision_start_token_id"] = QWEN_SPECIAL.index("<vision_start>")
    tokens["vision_end_token_id"] = QWEN_SPECIAL.index("<vision_end>")
    default = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.device(device):
            model = qwen2_5_vl(shape=shape, tokens=tokens)
    finally:
        torch.set_default_dtype(default)
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    return directory
