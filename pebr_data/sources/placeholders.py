"""`<image>` placeholders in a question, reconciled with the number of images."""

from __future__ import annotations

import re

from pebr_data.errors import DataError

PLACEHOLDER = re.compile(r"<image ?(\d{0,3})>")
"""`<image>`, or with the number of the image it means: `<image 1>`, `<image1>`."""


def place_images(question: str, num_images: int) -> str:
    """The question without placeholders.

    Plain ones stand for one image each, in order. At the beginning they only say that there are images, and go;
    likewise at the end, unless others stand amid the text. One amid the text says which image is meant there, and
    becomes `image 1`, `image 2`, …. One with a number means that image, may come again, and not every image needs one.

    Raises:
        DataError: There are plain placeholders, but not as many as images; plain and numbered ones are mixed; or a
            number is that of no image.
    """
    found = list(PLACEHOLDER.finditer(question))
    if not found:
        return question.strip()
    numbers = [int(match[1] or 0) for match in found]
    if any(numbers):
        _check_numbers(numbers, num_images)
    elif len(found) != num_images:
        raise DataError(f"the question has {len(found)} <image> placeholders, but the row has {num_images} images")
    else:
        numbers = list(range(1, len(found) + 1))
    starts, ends = [0, *(match.end() for match in found)], [*(match.start() for match in found), len(question)]
    pieces = [question[start:end].strip(" \t") for start, end in zip(starts, ends, strict=True)]
    count = len(found)
    first = next((i for i, piece in enumerate(pieces) if piece.strip()), 0)
    last = next((i for i in range(count, -1, -1) if pieces[i].strip()), 0)
    last = count if last > first else last
    text = pieces[first]
    for i in range(first + 1, last + 1):
        before = "" if not text or text[-1] in "\n([" else " "
        after = "" if not pieces[i] or pieces[i][0] in "\n.,;:?!)]" else " "
        text += f"{before}image {numbers[i - 1]}{after}{pieces[i]}"
    return text.strip()


def take_lead_off(text: str, after: str) -> str:
    """What follows the last occurrence of `after`, with the placeholders that stood before it; all without it."""
    if after not in text:
        return text
    head, _, tail = text.rpartition(after)
    return "".join(match[0] for match in PLACEHOLDER.finditer(head)) + tail


def _check_numbers(numbers: list[int], num_images: int) -> None:
    if 0 in numbers:
        raise DataError("the question mixes <image> placeholders with and without a number")
    if max(numbers) > num_images:
        raise DataError("the question has a placeholder for an image that the row does not have")
