"""The child of `gate`: takes encoded images on stdin, answers with a line of JSON each on stdout.

Before the first image it gives up what a decoder has no use for: memory beyond a bound, opening files or sockets,
writing files, starting processes. A bug in a decoder then costs one image.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import resource
import signal
import struct
import sys
import warnings
from typing import BinaryIO

from PIL import Image, ImageCms, ImageColor, ImagePalette  # noqa: F401 - Pillow would import them when needed

from pebr_data.errors import DataError
from pebr_data.images.decode import FORMATS
from pebr_data.images.facts import ImageFacts, examine

MAX_MEMORY_BYTES = 2**30
"""Address space of the child, libraries included; 50 million pixels with transparency fit."""

DEADLINE_SECONDS = 10.0
"""Wall-clock time that one image gets; a photograph of 12 million pixels takes about a quarter of a second."""

IDLE_SECONDS = 30
"""A child that has been asked nothing for so long ends; the next image starts another."""

HEADER = struct.Struct("<Q")
"""Before each image: its size in bytes."""

READY = b"ready\n"

_FIELDS = tuple(field.name for field in dataclasses.fields(ImageFacts))


def main() -> None:
    """Answer until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process amid a decoder, if the parent cannot
    warnings.simplefilter("ignore")
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    _load_everything()
    _give_up_rights()
    answers.write(READY)
    answers.flush()
    while True:
        signal.alarm(IDLE_SECONDS)
        header = questions.read(HEADER.size)
        if len(header) < HEADER.size:
            return
        data = questions.read(HEADER.unpack(header)[0])
        signal.setitimer(signal.ITIMER_REAL, 2 * DEADLINE_SECONDS)
        answers.write(_answer(data))
        answers.flush()


def facts_from(answer: bytes) -> ImageFacts | DataError:
    """What an answer says.

    Raises:
        ValueError: It is no answer of `main`.
    """
    value = json.loads(answer)
    if not isinstance(value, dict):
        raise ValueError("the answer is no object")
    if "refused" in value:
        return DataError(str(value["refused"]), where=value["where"])
    thumbnail = base64.b64decode(value.pop("thumbnail"))
    try:
        return ImageFacts(**{**value, "flags": tuple(value["flags"]), "thumbnail": thumbnail})
    except (KeyError, TypeError) as error:
        raise ValueError(str(error)) from error


def _answer(data: bytes) -> bytes:
    try:
        facts = examine(data)
    except MemoryError:
        limit = f"decoding the image takes more than {MAX_MEMORY_BYTES // 2**20} MiB of memory"
        return _line({"refused": limit, "where": None})
    except DataError as error:
        return _line({"refused": error.what[:500], "where": error.where and error.where[:500]})
    told = {name: getattr(facts, name) for name in _FIELDS}
    return _line({**told, "thumbnail": base64.b64encode(facts.thumbnail).decode()})


def _line(value: dict[str, object]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _load_everything() -> None:
    """Imports whatever Pillow, NumPy or SciPy would import at the first image: afterwards no file can be opened."""
    Image.init()
    picture = Image.effect_noise((32, 32), 50)
    exif = Image.Exif()
    exif[0x0112] = 6
    for image_format in FORMATS:
        encoded: BinaryIO = io.BytesIO()
        frames = {"save_all": True, "append_images": [picture]} if image_format in ("GIF", "WEBP", "PNG") else {}
        picture.save(encoded, image_format, **({"exif": exif} if image_format == "JPEG" else frames))
        encoded.seek(0)
        examine(encoded.read())


def _give_up_rights() -> None:
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)  # decoders' libraries write there
    os.close(silent)
    limits = {
        resource.RLIMIT_AS: MAX_MEMORY_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: 3,
    }
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))


if __name__ == "__main__":
    main()
