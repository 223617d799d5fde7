"""Renders a scene to a 72 x 72 PNG, the same bytes for the same scene and Pillow version."""

from __future__ import annotations

import io
import random

from PIL import Image, ImageDraw

from pebr_data.sources.shapes.scene import CLOSE_COLORS, Scene, SceneObject

SIDE_PIXELS = 72
_SCALE = 4
_CELL = SIDE_PIXELS * _SCALE // 3
_RADIUS = {"large": 9.5 * _SCALE, "small": 5.5 * _SCALE}
_RGB = {
    "red": (214, 40, 40),
    "orange": (242, 140, 30),
    "yellow": (240, 215, 50),
    "green": (50, 160, 70),
    "blue": (45, 95, 215),
    "purple": (135, 55, 170),
}


def _tinted(item: SceneObject, rng: random.Random, *, close: bool) -> tuple[int, int, int]:
    towards = rng.uniform(0.15, 0.38) if close else 0.0
    neighbour = _RGB[CLOSE_COLORS[item.color]]
    red, green, blue = (
        round(own * (1 - towards) + other * towards + rng.uniform(-14, 14))
        for own, other in zip(_RGB[item.color], neighbour, strict=True)
    )
    return min(255, max(0, red)), min(255, max(0, green)), min(255, max(0, blue))


def _draw_object(
    canvas: ImageDraw.ImageDraw, item: SceneObject, x: float, y: float, fill: tuple[int, int, int]
) -> None:
    r = _RADIUS[item.size]
    match item.shape:
        case "circle":
            canvas.ellipse((x - r, y - r, x + r, y + r), fill=fill)
        case "square":
            side = r * 0.88
            canvas.rectangle((x - side, y - side, x + side, y + side), fill=fill)
        case "triangle":
            canvas.polygon(((x, y - r), (x - r, y + r * 0.85), (x + r, y + r * 0.85)), fill=fill)
        case "cross":
            arm = r * 0.36
            canvas.rectangle((x - r, y - arm, x + r, y + arm), fill=fill)
            canvas.rectangle((x - arm, y - r, x + arm, y + r), fill=fill)
        case other:
            raise AssertionError(f"unknown shape {other!r}")


def render(scene: Scene) -> Image.Image:
    """An RGB image of 72 x 72 px: background, clutter, objects with jitter and tint, then the occluding bars."""
    rng = random.Random(scene.render_seed)
    paper = rng.randint(225, 250)
    image = Image.new("RGB", (SIDE_PIXELS * _SCALE, SIDE_PIXELS * _SCALE), (paper, paper, paper))
    canvas = ImageDraw.Draw(image)
    extent = SIDE_PIXELS * _SCALE
    for _ in range(scene.clutter):
        ends = tuple(rng.uniform(0, extent) for _ in range(4))
        shade = rng.randint(130, 190)
        canvas.line(ends, fill=(shade, shade, shade), width=rng.randint(_SCALE, 2 * _SCALE))
    for item in scene.objects:
        slack = (_CELL / 2 - _RADIUS[item.size]) * 0.7
        x = (item.cell % 3 + 0.5) * _CELL + rng.uniform(-slack, slack)
        y = (item.cell // 3 + 0.5) * _CELL + rng.uniform(-slack, slack)
        _draw_object(canvas, item, x, y, _tinted(item, rng, close=scene.close_colors))
        if item.place in scene.occluded:
            r = _RADIUS[item.size]
            edge = rng.choice((-1, 1)) * r
            near, far = sorted((edge * 1.1, edge * 0.4))
            if rng.random() < 0.5:
                canvas.rectangle((x + near, y - r * 1.2, x + far, y + r * 1.2), fill=(150, 150, 150))
            else:
                canvas.rectangle((x - r * 1.2, y + near, x + r * 1.2, y + far), fill=(150, 150, 150))
    return image.resize((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.LANCZOS)


def render_png(scene: Scene) -> bytes:
    """The rendered scene as an encoded PNG."""
    buffer = io.BytesIO()
    render(scene).save(buffer, format="PNG")
    return buffer.getvalue()
