"""The encoded image that one entry of an images column stands for: bytes, base64 text, or a path under the root."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pebr_data.errors import DataError
from pebr_data.images import MAX_BYTES
from pebr_data.sources.columns import find, kind, missing

_DATA_URI = "data:image/"
_BASE64_STARTS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "Qk", "SUkq", "TU0A")
"""How PNG, JPEG, GIF, WebP, BMP and TIFF files begin in base64."""

_MIN_BASE64_CHARS = 64
MAX_IMAGES = 64
"""Images a row may have."""

MAX_ROW_BYTES = 256 * 2**20
"""Bytes the images of a row may have together."""

ReadPath = Callable[[str], bytes]
"""The bytes of the file at a path or address; raises DataError where there is no such file that may be read."""


def image_entries(row: Mapping[str, Any], columns: str | tuple[str, ...] | None) -> list[Any]:
    """The entries of the images column or columns, in order. Of several columns, those that are null have none.

    Raises:
        DataError: The one column is missing or null, or there are too many images.
    """
    if columns is None:
        return []
    if isinstance(columns, str):
        value = find(row, columns)
        if value is None:
            raise missing(row, columns, "images")
        entries = value if isinstance(value, list) else [value]
    else:
        found = [value for column in columns if (value := find(row, column)) is not None]
        if not found:
            raise missing(row, columns[0], "images")
        entries = [entry for value in found for entry in (value if isinstance(value, list) else [value])]
    if len(entries) > MAX_IMAGES:
        raise DataError(f"the row has more than {MAX_IMAGES} images")
    return entries


def read_images(entries: Sequence[Any], read_path: ReadPath) -> tuple[bytes, ...]:
    """The encoded images of a row, as `read_image` gives each.

    Raises:
        DataError: As there, or they are too large together.
    """
    images = []
    num_bytes = 0
    for entry in entries:
        images.append(read_image(entry, read_path))
        num_bytes += len(images[-1])
        if num_bytes > MAX_ROW_BYTES:
            raise DataError(f"the images of the row have more than {MAX_ROW_BYTES} bytes")
    return tuple(images)


def read_image(entry: Any, read_path: ReadPath) -> bytes:
    """The encoded image.

    Args:
        entry: Bytes; a text with a path, an address, base64 or a `data:` address; or a mapping with `bytes` (which win)
            and `path`, as `datasets` and Pillow-based exports write images.
        read_path: Reads a file under the image root, or what an address names.

    Raises:
        DataError: It is none of these, its base64 is broken, it is too large, or `read_path` refuses.
    """
    if isinstance(entry, Mapping):
        held = entry.get("bytes")
        entry = entry.get("path") if held is None else held
    if isinstance(entry, bytes | bytearray | memoryview):
        data = bytes(entry)
    elif not isinstance(entry, str):
        raise DataError(f"an image is {kind(entry)}; bytes, a path or base64 is expected")
    elif (encoded := _base64_of(entry)) is not None:
        data = _decoded(encoded)
    else:
        return read_path(entry)
    if not data:
        raise DataError("an image has no bytes")
    if len(data) > MAX_BYTES:
        raise DataError(f"the image file is larger than {MAX_BYTES} bytes")
    return data


def _base64_of(text: str) -> str | None:
    """The base64 in a text; None for a path. A path to an image has a dot in it, which base64 never has."""
    if text[: len(_DATA_URI)].lower() == _DATA_URI:
        header, comma, body = text.partition(",")
        return body if comma and header.lower().endswith(";base64") else ""
    looks_encoded = len(text) >= _MIN_BASE64_CHARS and text.startswith(_BASE64_STARTS) and "." not in text
    return text if looks_encoded else None


def _decoded(text: str) -> bytes:
    if len(text) > MAX_BYTES * 3 // 2:
        raise DataError(f"the image file is larger than {MAX_BYTES} bytes")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError("the base64 of an image is broken") from error
