from __future__ import annotations

import pytest

from pebr_data.errors import ConfigError, DataError
from pebr_data.hashing import digest
from pebr_data.prompts import TEMPLATES, messages, open_template, text_prompt
from pebr_data.types import Condition

HEADINGS = (
    "### Image Description:",
    "### Rationales:",
    "### Let's think step by step.",
    "### Step 1:",
    "### The final answer is:",
)
PUBLISHED = {
    "sections": "7cf8700186b90d11",
    "question": "9f67cfdd93eed8f3",
    "boxed": "7b86aa451d9d9cc5",
    "tagged": "b0a8ac003fa6cf51",
    "direct": "2b63399876d49c1f",
}


def test_a_published_template_never_changes_because_its_name_stands_in_fingerprints() -> None:
    digests = {name: digest([item.instruction, list(item.extractors)])[:16] for name, item in TEMPLATES.items()}
    assert digests == PUBLISHED


def test_every_template_is_listed_under_its_own_name() -> None:
    assert all(template.name == name for name, template in TEMPLATES.items())


def test_sections_asks_for_the_five_sections_in_order_and_then_the_question() -> None:
    text = text_prompt("sections", "how many objects are there?")
    positions = [text.index(heading) for heading in HEADINGS] + [text.index("how many objects")]
    assert positions == sorted(positions)
    assert text.endswith("how many objects are there?")


def test_question_is_the_question_alone() -> None:
    assert text_prompt("question", "how many?") == "how many?"


@pytest.mark.parametrize("template", list(TEMPLATES))
@pytest.mark.parametrize("num_images", [0, 1, 3])
def test_images_come_first_in_one_user_message(template: str, num_images: int) -> None:
    (message,) = messages(template, "how many?", num_images)
    assert message["role"] == "user"
    assert message["content"][:-1] == [{"type": "image"}] * num_images
    assert message["content"][-1] == {"type": "text", "text": text_prompt(template, "how many?")}


def test_blind_shows_no_image_and_asks_the_same() -> None:
    (message,) = messages("sections", "how many?", 1, Condition.BLIND)
    assert message["content"] == [{"type": "text", "text": text_prompt("sections", "how many?")}]


def test_described_shows_the_reference_text_in_place_of_the_image() -> None:
    (message,) = messages("question", "how many?", 1, Condition.DESCRIBED, "a red circle at center")
    (part,) = message["content"]
    assert part["text"].index("a red circle at center") < part["text"].index("how many?")


@pytest.mark.parametrize("description", [None, "", "  "])
def test_described_without_a_description_is_an_error(description: str | None) -> None:
    with pytest.raises(DataError, match="needs a reference description"):
        text_prompt("question", "how many?", Condition.DESCRIBED, description)


def test_the_description_is_not_shown_under_other_conditions() -> None:
    for condition in (Condition.IMAGE, Condition.BLIND):
        assert text_prompt("question", "how many?", condition, "secret") == "how many?"


def test_an_unknown_template_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown prompt template 'section'") as caught:
        open_template("section")
    assert "sections" in str(caught.value.help)
