"""Small vision-language models with random weights, in the architectures that matter; for tests of the engine."""

from __future__ import annotations

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


def save_idefics3(directory: Path, seed: int = 0) -> Path:
    """An Idefics3 with its processor, saved like a real one: 72 px images, 9 image tokens, words `w0` .. `w39`."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessorPil,
        Idefics3Processor,
        PreTrainedTokenizerFast,
    )

    words = [*SPECIAL, "<global-img>", "User:", "Assistant:", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
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


def qwen2_5_vl(seed: int = 0) -> Any:
    """A Qwen2.5-VL; its processor needs torchvision, so tests write its inputs themselves."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [1],
        },
        text_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": 60,
            "initializer_range": 0.3,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]},
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
        image_token_id=50,
        video_token_id=51,
        vision_start_token_id=52,
        vision_end_token_id=53,
    )
    torch.manual_seed(seed)
    return Qwen2_5_VLForConditionalGeneration(config).eval()
