"""Images: checked before they are decoded, decoded the same way everywhere, stored under the hash of their bytes.

The size is read from the header first, because a 22 KB PNG can unpack to a gigabyte. Only raster formats that Pillow
decodes by itself are opened; everything else is refused with a reason. Reasons are counted over a whole source, so what
differs from image to image is in the error's `where`.
"""

from __future__ import annotations

import io
import math
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pebr_data.durable import sync
from pebr_data.errors import DataError
from pebr_data.hashing import digest_bytes

MIN_SIDE = 28
"""Pixels. Qwen-VL's processors refuse smaller sides; the paper drops such images."""

MAX_ASPECT = 200
"""Longer side over shorter side; Qwen-VL's processors refuse more."""

MAX_DECODED_PIXELS = 50_000_000
"""Width times height that is decoded at most: 150 MB as RGB."""

MAX_BYTES = 64 * 2**20
"""Size of an encoded image that is read at most."""

_EXTENSIONS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tif"}
_TOO_LARGE = f"the image has more than {MAX_DECODED_PIXELS} pixels"
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
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
    with _open(data) as image:
        width, height = image.size
        _load(image)
        if _orientation(image) >= 5:
            width, height = height, width
        return ImageInfo(format="JPEG" if image.format == "MPO" else str(image.format), width=width, height=height)


def decode(data: bytes, max_pixels: int | None = None) -> Image.Image:
    """The image as a policy is shown it: upright RGB, first frame, transparency on white, 16 bits scaled to 8.

    Args:
        data: The encoded image.
        max_pixels: Larger images are scaled down to at most this many pixels; the aspect stays.

    Raises:
        DataError: As for `inspect`.
    """
    with _open(data) as image:
        _load(image)
        orientation = _orientation(image)
        try:
            rgb = _to_rgb(image)
        except Exception as error:  # the boundary around Pillow's conversions
            raise DataError("the image cannot be converted to RGB", where=_reason(error)) from error
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    if max_pixels is not None and rgb.width * rgb.height > max_pixels:
        factor = math.sqrt(max_pixels / (rgb.width * rgb.height))
        # A side may reach 1 px first; the other is then held to the budget.
        width = max(1, min(int(rgb.width * factor), max_pixels))
        height = max(1, min(int(rgb.height * factor), max_pixels // width))
        rgb = rgb.resize((width, height), Image.Resampling.BICUBIC)
    return rgb


class ImageStore:
    """Original image bytes under their SHA-256: `root/ab/abcdef….png`. Putting twice changes nothing.

    Args:
        root: The directory; made when the first image is put.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, data: bytes) -> str:
        """Store an encoded image durably; gives its hash (64 hex digits).

        Raises:
            DataError: No model can be shown this image (see `inspect`). Nothing is stored.
            OSError: The disk refused.
        """
        image_hash = digest_bytes(data)
        if self._find(image_hash) is not None:
            return image_hash
        target = self.root / image_hash[:2] / f"{image_hash}.{_EXTENSIONS[inspect(data).format]}"
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=target.parent, prefix=".put-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(aside).replace(target)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise
        sync(target.parent)
        return image_hash

    def get(self, image_hash: str) -> bytes:
        """The stored bytes, checked against their hash.

        Raises:
            DataError: There is no such image, or its bytes have changed on disk.
        """
        path = self.path(image_hash)
        data = path.read_bytes()
        if digest_bytes(data) != image_hash:
            raise DataError(
                "a stored image does not match its hash", where=str(path), help=f"delete {path} and build again"
            )
        return data

    def holds(self, image_hash: str) -> bool:
        """Whether the image is there; its bytes are not read."""
        return self._find(image_hash) is not None

    def path(self, image_hash: str) -> Path:
        """Where the image lies.

        Raises:
            DataError: There is no such image.
        """
        found = self._find(image_hash)
        if found is None:
            raise DataError(
                f"there is no image {image_hash}",
                where=str(self.root),
                help="run `pebr-data build` again; it stores what is missing",
            )
        return found

    def _find(self, image_hash: str) -> Path | None:
        if not re.fullmatch(r"[0-9a-f]{64}", image_hash):
            return None
        folder = self.root / image_hash[:2]
        paths = (folder / f"{image_hash}.{extension}" for extension in _EXTENSIONS.values())
        return next((path for path in paths if path.is_file()), None)


def _open(data: bytes) -> Image.Image:
    """The image with its header read and its size found bearable; pixels not yet decoded."""
    if len(data) > MAX_BYTES:
        raise DataError(f"the image file is larger than {MAX_BYTES} bytes", where=f"{len(data)} bytes")
    try:
        image = Image.open(io.BytesIO(data), formats=tuple(_EXTENSIONS))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(_TOO_LARGE) from error
    except UnidentifiedImageError as error:
        raise DataError(f"not an image in a known format ({', '.join(_EXTENSIONS)})") from error
    except Exception as error:  # the boundary around Pillow's parsers, which raise many kinds
        raise DataError("the image cannot be read", where=_reason(error)) from error
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
        image.close()
        raise DataError(problem, where=f"{width}x{height} pixels")
    return image


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except Exception as error:  # the boundary around Pillow's decoders, which raise many kinds
        raise DataError("the image cannot be decoded", where=_reason(error)) from error


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1..8; 1 when the EXIF block is missing or broken, as viewers do."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # a broken EXIF block does not spoil the pixels
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        return _sixteen_bit_to_rgb(image)
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
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
