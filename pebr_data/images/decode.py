"""Decoding: an image is checked before its pixels are made, and made the same way everywhere.

The size is read from the header first, because a 22 KB PNG can unpack to a gigabyte. Only raster formats that Pillow
decodes by itself are opened; everything else is refused with a reason. Reasons are counted over a whole source, so what
differs from image to image is in the error's `where`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from pebr_data.errors import DataError

MIN_SIDE = 28
"""Pixels. Qwen-VL's processors refuse smaller sides; the paper drops such images."""

MAX_ASPECT = 200
"""Longer side over shorter side; Qwen-VL's processors refuse more."""

MAX_DECODED_PIXELS = 50_000_000
"""Width times height that is decoded at most: 150 MB as RGB."""

MAX_BYTES = 64 * 2**20
"""Size of an encoded image that is read at most."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""What is decoded, in Pillow's words: raster formats that it reads by itself."""

_TOO_LARGE = f"the image has more than {MAX_DECODED_PIXELS} pixels"
_STRIP_PIXELS = 2**21
SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What an image is: `format` in Pillow's words (`PNG`, `JPEG`, …), width and height in pixels, upright."""

    format: str
    width: int
    height: int


def inspect(data: bytes) -> ImageInfo:
    """The format and size of an encoded image that a model can be shown.

    Raises:
        DataError: It cannot be decoded, a side is under 28 px, its aspect is over 200, or it has too many pixels.
    """
    with loaded(data) as image:
        width, height = image.size
        if orientation(image) >= 5:
            width, height = height, width
        return ImageInfo(format=format_of(image), width=width, height=height)


def decode(data: bytes, max_pixels: int | None = None) -> Image.Image:
    """The image as a policy is shown it: upright RGB, first frame, transparency on white, 16 bits scaled to 8.

    Colour profiles are not applied: numbers are taken as sRGB, as every loader in training takes them.

    Args:
        data: The encoded image.
        max_pixels: Larger images are scaled down to at most this many pixels; the aspect stays.

    Raises:
        DataError: As for `inspect`.
    """
    with loaded(data) as image:
        rgb = upright_rgb(image)
    if max_pixels is not None and rgb.width * rgb.height > max_pixels:
        factor = math.sqrt(max_pixels / (rgb.width * rgb.height))
        # A side may reach 1 px first; the other is then held to the budget.
        width = max(1, min(int(rgb.width * factor), max_pixels))
        height = max(1, min(int(rgb.height * factor), max_pixels // width))
        rgb = rgb.resize((width, height), Image.Resampling.BICUBIC)
    return rgb


def too_large(data: bytes) -> DataError:
    """Why an encoded image of more than `MAX_BYTES` is not looked at."""
    return DataError(f"the image file is larger than {MAX_BYTES} bytes", where=f"{len(data)} bytes")


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """The image as Pillow has it, its size checked and no pixel decoded yet; closed when the block ends.

    Raises:
        DataError: As for `inspect`.
        MemoryError: The process may not have as much memory as this takes.
    """
    if len(data) > MAX_BYTES:
        raise too_large(data)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except MemoryError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(_TOO_LARGE) from error
    except UnidentifiedImageError as error:
        raise DataError(f"not an image in a known format ({', '.join(FORMATS)})") from error
    except Exception as error:  # the boundary around Pillow's parsers, which raise many kinds
        raise DataError("the image cannot be read", where=_reason(error)) from error
    with image:
        _check(image)
        yield image


@contextmanager
def loaded(data: bytes) -> Iterator[Image.Image]:
    """As `opened`, with its first frame's pixels decoded.

    Raises:
        DataError: As for `inspect`.
        MemoryError: The process may not have as much memory as decoding takes.
    """
    with opened(data) as image:
        load_pixels(image)
        yield image


def load_pixels(image: Image.Image) -> None:
    """Decodes the first frame of an opened image.

    Raises:
        DataError: It cannot be decoded.
        MemoryError: The process may not have as much memory as decoding takes.
    """
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # the boundary around Pillow's decoders, which raise many kinds
        raise DataError("the image cannot be decoded", where=_reason(error)) from error


def format_of(image: Image.Image) -> str:
    """One of `FORMATS`."""
    return "JPEG" if image.format == "MPO" else str(image.format)


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1..8; 1 when the EXIF block is missing or broken, as viewers do."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # a broken EXIF block does not spoil the pixels
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def is_transparent(image: Image.Image) -> bool:
    """Whether some pixels may let the ground through."""
    return "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info


def upright_rgb(image: Image.Image) -> Image.Image:
    """A loaded image as `decode` gives it, in its own size.

    Raises:
        DataError: Pillow knows no way from its mode to RGB.
        MemoryError: The process may not have as much memory as this takes.
    """
    try:
        rgb = _in_strips(image)
    except MemoryError:
        raise
    except Exception as error:  # the boundary around Pillow's conversions
        raise DataError("the image cannot be converted to RGB", where=_reason(error)) from error
    return upright(rgb, image)


def upright(rgb: Image.Image, image: Image.Image) -> Image.Image:
    """What was made of an image, turned as its EXIF block says."""
    turn = _UPRIGHT.get(orientation(image))
    return rgb if turn is None else rgb.transpose(turn)


def _check(image: Image.Image) -> None:
    """Passes when the size in the header is bearable; no pixel has been decoded yet."""
    width, height = image.size
    problem = None
    if width * height > MAX_DECODED_PIXELS:
        problem = _TOO_LARGE
    elif min(width, height) < MIN_SIDE:
        problem = f"a side of the image has fewer than {MIN_SIDE} pixels"
    elif max(width, height) > MAX_ASPECT * min(width, height):
        problem = f"the image is more than {MAX_ASPECT} times as long as wide"
    elif image.mode in ("I", "F"):
        problem = "the image has 32 bits a channel, so what is white in it is unknown"
    if problem is not None:
        raise DataError(problem, where=f"{width}x{height} pixels")


def _in_strips(image: Image.Image) -> Image.Image:
    """The image in RGB. Converted strip by strip, a large one takes its pixels twice, not six times."""
    width, height = image.size
    if width * height <= _STRIP_PIXELS:
        return _to_rgb(image)
    rgb = Image.new("RGB", image.size)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        rgb.paste(_to_rgb(strip), (0, top))
    return rgb


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT_MODES:
        return _sixteen_bit_to_rgb(image)
    if is_transparent(image):
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _sixteen_bit_to_rgb(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.uint32)  # (height, width), 0..65535
    grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey, mode="L").convert("RGB")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
