"""An image in the terminal: two pixels to a character cell, the upper half block in one colour on the other."""

from __future__ import annotations

import sys
from pathlib import Path

MAX_COLUMNS = 64
MAX_ROWS = 24


def draw_image(path: Path) -> None:
    """Draw an image on stdout where that is a terminal with 24-bit colour; do nothing elsewhere, or if it is broken."""
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal or console.color_system != "truecolor":
        return
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    from pebr_data.errors import DataError
    from pebr_data.images import decode

    try:
        image = decode(path.read_bytes())
    except (DataError, OSError):
        return
    image.thumbnail((min(MAX_COLUMNS, console.width), 2 * MAX_ROWS))
    for top in range(0, image.height, 2):
        row = Text(no_wrap=True)
        for column in range(image.width):
            upper = Color.from_rgb(*_rgb(image.getpixel((column, top))))
            has_lower = top + 1 < image.height
            lower = Color.from_rgb(*_rgb(image.getpixel((column, top + 1)))) if has_lower else None
            row.append("▀", Style(color=upper, bgcolor=lower))
        console.print(row)


def _rgb(pixel: object) -> tuple[int, int, int]:
    assert isinstance(pixel, tuple)
    red, green, blue = pixel
    return red, green, blue
