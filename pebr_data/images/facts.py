"""What is known of an image once it has been decoded: its size, its oddities, and hashes that survive re-encoding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pebr_data.hashing import digest_bytes
from pebr_data.images.decode import (
    SIXTEEN_BIT_MODES,
    format_of,
    is_transparent,
    load_pixels,
    loaded,
    opened,
    orientation,
    upright,
    upright_rgb,
)

if TYPE_CHECKING:
    import imagehash

THUMBNAIL_SIDE = 8
"""Pixels. Coarse enough that recompression changes a pixel by a few levels, fine enough to see an object move."""

HASHED_SIDE = 96
"""Pixels. An image is averaged down to sides of this before it is hashed: three times the 32 of the perceptual hash,
from where on that gives what the full size gives but for a bit now and then (Pillow's `reducing_gap`)."""

MAX_DRAFT_PIXELS = 2**22
"""A JPEG of up to so many pixels is decoded to about the size that it is hashed in (`draft`), for which all of its data
is read; a larger one in full, because time and memory might not suffice for that."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image that a model can be shown.

    Attributes:
        image_hash: SHA-256 of the encoded bytes, 64 hex digits.
        format: One of `decode.FORMATS`.
        width: Pixels, upright.
        height: Pixels, upright.
        num_bytes: Size of the encoded image.
        num_frames: Frames or pages in the file; the first is what is shown.
        flags: What happens to it when it is shown: `first-frame` (of several), `damaged-frames` (those after the first
            cannot be counted), `turned` (EXIF orientation), `on-white` (transparency), `16-bit`, `cmyk`, `icc-profile`
            (not applied), `one-colour` (there is nothing to see).
        phash: 64 bits: which low frequencies of the grey image lie above their median (DCT hash of `imagehash`).
        thumbnail: 8 x 8 x 3 bytes: the image averaged over a grid, row by row, RGB.
    """

    image_hash: str
    format: str
    width: int
    height: int
    num_bytes: int
    num_frames: int
    flags: tuple[str, ...]
    phash: int
    thumbnail: bytes


def examine(data: bytes) -> ImageFacts:
    """The facts of an encoded image. Decodes it: bytes of unknown origin belong through the gate instead.

    Raises:
        DataError: No model can be shown it (see `decode.inspect`).
        MemoryError: The process may not have as much memory as decoding takes.
    """
    # Only who looks at images waits for its import, and selecting does not.
    import imagehash

    with opened(data) as image:
        width, height = image.size
        # A JPEG of which only the hashes are wanted is read to its end, but not blown up to its size.
        is_draft = width * height <= MAX_DRAFT_PIXELS and image.draft(None, (HASHED_SIDE, HASHED_SIDE)) is not None
        load_pixels(image)
        small = _reduced(image)
        thumbnail = small.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX).tobytes()
        seems_plain = thumbnail == thumbnail[:3] * THUMBNAIL_SIDE**2
        is_plain = seems_plain and (_is_plain_in_full(data) if is_draft else _is_plain(image))
        flags = list(_flags(image))
        if orientation(image) >= 5:
            width, height = height, width
        # Last, because counting moves through the file.
        num_frames = _num_frames(image)
        image_format = format_of(image)
    if num_frames is None:
        flags.append("damaged-frames")
    elif num_frames > 1:
        flags.append("first-frame")
    if is_plain:
        flags.append("one-colour")
    return ImageFacts(
        image_hash=digest_bytes(data),
        format=image_format,
        width=width,
        height=height,
        num_bytes=len(data),
        num_frames=num_frames or 1,
        flags=tuple(flags),
        phash=_bits(imagehash.phash(small)),
        thumbnail=thumbnail,
    )


def _num_frames(image: Image.Image) -> int | None:
    """How many frames there are; None when those after the first are broken."""
    try:
        return int(getattr(image, "n_frames", 1))
    except MemoryError:
        raise
    except Exception:  # the boundary around Pillow's parsers: only the first frame is shown
        return None


def _reduced(image: Image.Image) -> Image.Image:
    """A loaded image as `upright_rgb` gives it, averaged down to sides of `HASHED_SIDE` or more."""
    if image.mode in ("RGB", "L") and not is_transparent(image):
        return upright(_averaged(image).convert("RGB"), image)
    return _averaged(upright_rgb(image))


def _averaged(image: Image.Image) -> Image.Image:
    factors = (max(1, image.width // HASHED_SIDE), max(1, image.height // HASHED_SIDE))
    return image if factors == (1, 1) else image.reduce(factors)


def _is_plain(image: Image.Image) -> bool:
    """Whether all pixels of a loaded image have one colour."""
    return all(len(set(channel.getextrema())) == 1 for channel in upright_rgb(image).split())


def _is_plain_in_full(data: bytes) -> bool:
    with loaded(data) as image:
        return _is_plain(image)


def _flags(image: Image.Image) -> Iterator[str]:
    if orientation(image) != 1:
        yield "turned"
    if is_transparent(image):
        yield "on-white"
    if image.mode in SIXTEEN_BIT_MODES:
        yield "16-bit"
    if image.mode == "CMYK":
        yield "cmyk"
    if image.info.get("icc_profile"):
        yield "icc-profile"


def _bits(hashed: imagehash.ImageHash) -> int:
    """An 8 x 8 hash as an unsigned integer, the first cell its highest bit."""
    return int.from_bytes(np.packbits(hashed.hash.reshape(-1)).tobytes(), "big")
