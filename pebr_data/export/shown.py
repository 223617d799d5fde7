"""The image as the probe showed it: training must see the pixels that the pass rates were measured on."""

from __future__ import annotations

import io

EXIF_ORIENTATION = 0x0112


def as_shown(data: bytes, max_pixels: int) -> bytes:
    """An encoded image that any reader decodes to what the probed policy saw.

    Plain RGB PNG and JPEG files within the pixel budget pass unchanged. Anything a reader could decode in another way
    (rotation by EXIF, transparency, 16 bits, palettes, several frames) or that is too large becomes a PNG of the
    pixels that the probe used.

    Args:
        data: The original file.
        max_pixels: The probe's pixel budget.

    Raises:
        DataError: The image cannot be decoded.
    """
    from pebr_data.images import decode

    if _is_plain(data, max_pixels):
        return data
    buffer = io.BytesIO()
    decode(data, max_pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _is_plain(data: bytes, max_pixels: int) -> bool:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            return (
                image.mode == "RGB"
                and image.width * image.height <= max_pixels
                and "transparency" not in image.info
                and getattr(image, "n_frames", 1) == 1
                and image.getexif().get(EXIF_ORIENTATION, 1) == 1
                and data[24:25] != b"\x10"  # a PNG of 16 bits a channel: readers disagree on how to scale it
            )
    except (OSError, SyntaxError, ValueError):
        return False
