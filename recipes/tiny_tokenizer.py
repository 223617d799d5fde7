"""The phrase-level tokenizer of pebr-tiny and pebr-tiny-clip.

A phrase of the shapes world is one token, so a worked response is about 50 tokens long; any other ASCII text is
spelt in characters. Decoding joins the pieces as they are: text survives the round trip unchanged.
"""

from __future__ import annotations

import re

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from pebr_data.sources.shapes.scene import COLORS, PLACES, SHAPES, SIZES

SPECIAL = (
    "<pad>",
    "<unk>",
    "<bos>",
    "<end_of_utterance>",
    "<|user|>",
    "<|assistant|>",
    "<image>",
    "<fake_token_around_image>",
    "<global-img>",
)

CHAT_TEMPLATE = (
    "<bos>{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<end_of_utterance>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def phrases() -> list[str]:
    """Every phrase that is one token."""
    headings = ["Image Description:", "Rationales:", "Let's think step by step.", "The final answer is:"]
    headings += [f"Step {number}:" for number in range(1, 6)]
    found = [prefix + "### " + heading for heading in headings for prefix in ("", "\n")]
    found += [prefix + size for size in SIZES for prefix in (" a ", ", a ", "a ", " ")]
    found += [prefix + word for word in (*COLORS, *SHAPES) for prefix in ("", " ")]
    found += [prefix + place for place in PLACES for prefix in ("", " ", " at ", ", ")]
    found += [f" {number}" for number in range(13)]
    found += [" objects", " plus", " minus the", " count the", " compare the", " with the", " plus the", " look at"]
    found += [" the", " left of", " right of", " above", " below", " yes", " no", " +", " -", " >", " are there?"]
    found += ["how many", " more", " than", "are there more", "what color is the object", "what shape is the object"]
    found += ["where is the", " are", " the object", " are there if the", " are removed and", " added?"]
    return found


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer with its chat template; ids are stable for a given list of phrases."""
    characters = ["\n", *map(chr, range(32, 127))]
    pieces = sorted(set(phrases()), key=lambda piece: (-len(piece), piece))
    vocabulary = {piece: index for index, piece in enumerate([*SPECIAL, *pieces, *characters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    # A phrase must not end inside a longer word, or " no" would split " not" apart.
    pattern = "|".join(re.escape(piece) + (r"(?![A-Za-z0-9])" if piece[-1].isalnum() else "") for piece in pieces)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern + r"|[\s\S]"), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<end_of_utterance>",
        pad_token="<pad>",
        unk_token="<unk>",
        additional_special_tokens=list(SPECIAL[4:]),
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=512,
    )
