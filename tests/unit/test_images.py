from __future__ import annotations

import io
import itertools
import struct
import zlib
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pebr_data.errors import DataError
from pebr_data.hashing import digest_bytes
from pebr_data.images import ImageInfo, ImageStore, decode, inspect
from pebr_data.images.facts import examine


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def plain(width: int = 40, height: int = 30, color: str = "red") -> Image.Image:
    return Image.new("RGB", (width, height), color)


def png(width: int, height: int, bit_depth: int, color_type: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bit_depth, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_known_format_is_told_and_decoded(format: str) -> None:
    data = encoded(plain(), format)
    assert inspect(data) == ImageInfo(format, 40, 30)
    image = decode(data)
    assert (image.mode, image.size) == ("RGB", (40, 30))
    assert np.abs(np.asarray(image).astype(int) - [255, 0, 0]).max() <= 6


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n", "not an image"),
        (encoded(plain())[:-40], "cannot be"),
        (encoded(plain(400, 300), "JPEG")[:700], "cannot be decoded"),
        (encoded(plain(27, 60)), "a side of the image has fewer than 28 pixels, 27x60"),
        (encoded(plain(28, 28 * 201)), "more than 200 times as long as wide"),
        (encoded(Image.new("F", (40, 40)), "TIFF"), "32 bits"),
    ],
)
def test_an_image_no_model_can_be_shown_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    for function in (inspect, decode):
        with pytest.raises(DataError, match=reason):
            function(data)


@pytest.mark.parametrize("side", [8_000, 12_000, 40_000])
def test_a_small_file_that_unpacks_to_gigabytes_is_refused_before_decoding(side: int) -> None:
    data = png(side, side, 8, 6, b"\0")  # the size stands in the header; there is hardly a pixel behind it
    with pytest.raises(DataError, match="pixels"):
        inspect(data)


def test_the_edge_sizes_are_kept() -> None:
    assert inspect(encoded(plain(28, 28))).width == 28
    assert inspect(encoded(plain(28, 5600))).height == 5600


def test_sixteen_bit_grey_is_scaled_not_saturated() -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(">u2"), (64, 1))
    image = decode(png(64, 64, 16, 0, b"".join(b"\0" + row.tobytes() for row in ramp)))
    grey = np.asarray(image)[0, :, 0]
    assert (grey[0], grey[-1]) == (0, 255)
    assert np.abs(grey.astype(int) - np.linspace(0, 255, 64)).max() <= 1


def test_sixteen_bit_colour_is_scaled_not_saturated() -> None:
    row = np.tile(np.array([0x8000, 0x0100, 0xFFFF], dtype=">u2"), 64).tobytes()
    assert decode(png(64, 64, 16, 2, (b"\0" + row) * 64)).getpixel((5, 5)) == (128, 1, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_black_ink_on_transparency_becomes_black_on_white(mode: str) -> None:
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (10, 10, 20, 20))
    if mode == "LA":
        data = encoded(image.convert("LA"))
    elif mode == "P":
        palette = Image.new("P", (40, 40), 1)
        palette.putpalette([0, 0, 0, 0, 0, 0])
        palette.paste(0, (10, 10, 20, 20))
        data = encoded(palette, transparency=1)
    else:
        data = encoded(image)
    decoded = decode(data)
    assert decoded.getpixel((0, 0)) == (255, 255, 255)
    assert decoded.getpixel((15, 15)) == (0, 0, 0)


def test_the_transparent_grey_of_a_sixteen_bit_image_is_white() -> None:
    values = np.zeros((40, 40), dtype=np.uint16)
    values[10:20, 10:20] = 30_000
    image = Image.fromarray(values)
    decoded = decode(encoded(image, transparency=0))
    assert decoded.getpixel((0, 0)) == (255, 255, 255)
    assert decoded.getpixel((15, 15)) == (117, 117, 117)


def test_exif_orientation_is_applied() -> None:
    image = plain(60, 30, "white")
    image.paste("black", (0, 0, 30, 30))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown upright after turning right by 90 degrees
    data = encoded(image, "JPEG", exif=exif, quality=95)
    assert inspect(data) == ImageInfo("JPEG", 30, 60)
    decoded = np.asarray(decode(data))[:, :, 0]
    assert decoded[:28].max() < 40
    assert decoded[32:].min() > 215


def test_the_first_frame_of_an_animation_is_shown() -> None:
    data = encoded(plain(color="red"), "GIF", save_all=True, append_images=[plain(color="blue")])
    assert decode(data).getpixel((0, 0)) == (255, 0, 0)


def test_cmyk_is_converted() -> None:
    assert decode(encoded(Image.new("CMYK", (40, 40)), "JPEG")).mode == "RGB"


@given(st.integers(28, 300), st.integers(28, 300), st.integers(784, 20_000))
@settings(max_examples=40, deadline=None)
def test_a_large_image_is_scaled_to_the_budget_with_its_aspect(width: int, height: int, max_pixels: int) -> None:
    image = decode(encoded(plain(width, height)), max_pixels)
    assert image.width * image.height <= max(max_pixels, 0)
    if width * height <= max_pixels:
        assert image.size == (width, height)
    else:
        assert image.width / width == pytest.approx(image.height / height, abs=1 / 15)


@given(st.binary(max_size=300), st.integers(0, 200), st.integers(0, 255))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_an_image_or_a_data_error(noise: bytes, place: int, value: int) -> None:
    broken = bytearray(encoded(plain(), "JPEG"))
    broken[place % len(broken)] = value
    for data in (noise, bytes(broken)):
        try:
            decode(data)
        except DataError as error:
            assert error.what


def test_the_store_keeps_the_original_bytes_under_their_hash(tmp_path: Path) -> None:
    store, data = ImageStore(tmp_path / "images"), encoded(plain(), "JPEG")
    image_hash = store.put(data)
    assert store.get(image_hash) == data
    assert store.path(image_hash) == tmp_path / "images" / image_hash[:2] / f"{image_hash}.jpg"


def test_putting_again_changes_nothing_and_leaves_nothing_aside(tmp_path: Path) -> None:
    store, data = ImageStore(tmp_path), encoded(plain())
    first = store.put(data)
    written = store.path(first).stat().st_mtime_ns
    assert store.put(data) == first
    assert store.path(first).stat().st_mtime_ns == written
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{first}.png"]


def test_an_unusable_image_is_not_stored(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        ImageStore(tmp_path / "images").put(encoded(plain(10, 10)))
    assert list(tmp_path.rglob("*")) == []


def test_a_missing_or_changed_image_is_a_data_error(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    for wrong in ("0" * 64, "../../etc/passwd", ""):
        with pytest.raises(DataError, match="there is no image"):
            store.get(wrong)
    image_hash = store.put(encoded(plain()))
    store.path(image_hash).write_bytes(b"changed")
    with pytest.raises(DataError, match="does not match its hash"):
        store.get(image_hash)


def test_the_facts_of_an_image_say_what_happens_to_it_when_it_is_shown() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    striped = plain(60, 30)
    striped.paste("blue", (0, 0, 30, 30))
    turned = examine(encoded(striped, "JPEG", exif=exif, icc_profile=b"profile"))
    assert (turned.format, turned.width, turned.height) == ("JPEG", 30, 60)
    assert turned.flags == ("turned", "icc-profile")
    moving = examine(encoded(plain(color="red"), "GIF", save_all=True, append_images=[plain(color="blue"), plain()]))
    assert (moving.num_frames, moving.flags) == (3, ("first-frame", "one-colour"))
    assert examine(encoded(Image.new("RGBA", (40, 40), (9, 9, 9, 0)))).flags == ("on-white", "one-colour")
    assert examine(encoded(Image.new("CMYK", (40, 40)), "JPEG")).flags == ("cmyk", "one-colour")
    assert "16-bit" in examine(png(64, 64, 16, 0, bytes(64 * 129))).flags


def test_the_perceptual_hash_survives_scaling_and_recompression() -> None:
    image = Image.radial_gradient("L").rotate(30).convert("RGB")
    image.paste("red", (10, 150, 90, 230))
    first = examine(encoded(image))
    again = examine(encoded(image.resize((100, 100)), "JPEG", quality=40))
    other = examine(encoded(image.transpose(Image.Transpose.ROTATE_90)))
    assert first.image_hash != again.image_hash
    assert (first.phash ^ again.phash).bit_count() <= 4
    assert (first.phash ^ other.phash).bit_count() > 12
    assert first.phash == int(str(imagehash.phash(image)), 16)


def test_a_large_image_is_converted_in_strips_as_it_would_be_whole() -> None:
    image = Image.effect_noise((1_800, 1_400), 90).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    data = encoded(image, compress_level=1)
    white = Image.new("RGBA", image.size, "white")
    assert decode(data).tobytes() == Image.alpha_composite(white, image).convert("RGB").tobytes()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_large_image_is_hashed_from_a_smaller_one_as_it_would_be_whole(image_format: str, mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((800, 600), Image.Resampling.BICUBIC).convert(mode)
    data = encoded(image, image_format)
    with Image.open(io.BytesIO(data)) as opened:
        whole = opened.convert("RGB")

    facts = examine(data)

    assert (facts.width, facts.height, facts.flags) == (800, 600, ())
    assert (facts.phash ^ int(str(imagehash.phash(whole)), 16)).bit_count() <= 2
    cells = whole.resize((8, 8), Image.Resampling.BOX).tobytes()
    assert max(abs(a - b) for a, b in zip(cells, facts.thumbnail, strict=True)) <= 8


def test_a_jpeg_is_turned_and_refused_as_if_it_were_decoded_in_full() -> None:
    image = Image.linear_gradient("L").resize((500, 400)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(image, "JPEG", exif=exif)
    facts, upright = examine(data), decode(data)
    assert (facts.width, facts.height, facts.flags) == (400, 500, ("turned",))
    assert (facts.phash ^ int(str(imagehash.phash(upright)), 16)).bit_count() <= 2
    with pytest.raises(DataError, match="cannot be decoded"):
        examine(data[: len(data) * 2 // 3])


def test_one_other_pixel_in_a_large_image_is_something_to_see() -> None:
    image = plain(900, 900)
    assert examine(encoded(image)).flags == ("one-colour",)
    image.putpixel((450, 451), (0, 0, 0))
    assert examine(encoded(image)).flags == ()


def test_many_images_are_stored_at_once_and_none_in_part(tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "images")
    data = [encoded(plain(30 + number, 40)) for number in range(40)]
    facts = [examine(one) for one in data]
    store.put_all({one.image_hash: (given, one.format) for one, given in zip(facts, data, strict=True)})
    assert [store.get(one.image_hash) for one in facts] == data
    assert sorted(path.stem for path in tmp_path.rglob("*.*")) == sorted(one.image_hash for one in facts)


def test_a_disk_that_refuses_one_of_many_leaves_nothing_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = itertools.count(1)  # counted by its next(), since the store writes from several threads

    def refuse(path: Path, data: bytes) -> None:
        path.write_bytes(data[:10])
        if next(writes) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("pebr_data.images.store.write_durably", refuse)
    data = {digest_bytes(one): one for one in (encoded(plain(30 + n, 40)) for n in range(6))}
    with pytest.raises(OSError, match="No space left"):
        ImageStore(tmp_path).put_all({image_hash: (one, "PNG") for image_hash, one in data.items()})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
