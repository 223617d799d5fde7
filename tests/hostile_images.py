"""Images that should not exist, made by code: what a hostile or broken data set can hand to the gate.

Each of `PARTS` yields names, bytes, and what must come of them: the beginning of the reason they are refused with, or
None for an odd image that is right.
"""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from collections.abc import Iterator
from random import Random
from typing import Any

from PIL import Image

REFUSED = ""
"""Refused, for whatever reason."""

UNKNOWN = "not an image in a known format"
TOO_LARGE = "the image has more than"
TOO_SMALL = "a side of the image has fewer than"

Made = Iterator[tuple[str, bytes, str | None]]


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def picture(seed: int = 0, side: int = 64) -> Image.Image:
    """A noisy colour picture that compresses badly."""
    return Image.frombytes("RGB", (side, side), Random(seed).randbytes(3 * side * side))


def chunk(kind: bytes, data: bytes, *, size: int | None = None, crc: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data) if size is None else size) + kind + data + struct.pack(">I", checksum)


def png(
    width: int = 40,
    height: int = 40,
    *,
    depth: int = 8,
    color: int = 2,
    before: bytes = b"",
    rows: bytes | None = None,
    interlace: int = 0,
    end: bytes = chunk(b"IEND", b""),
) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))
    filled = (b"\0" + b"\x55" * (width * 3)) * height if rows is None else rows
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", zlib.compress(filled)) + end


def bmp(
    width: int, height: int, *, bits: int = 24, compression: int = 0, pixels: bytes = b"", colors: int = 0
) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(pixels), 0, 0, colors, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + header + pixels


def gif(width: int, height: int, *, frame: tuple[int, int, int, int] | None = None, pixels: bytes = b"") -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes([255, 0, 0, 0, 0, 255])
    left, top, wide, high = frame or (0, 0, width, height)
    return head + b"," + struct.pack("<HHHHB", left, top, wide, high, 0) + b"\x02" + pixels + b"\0;"


def tiff(width: int, height: int, *, tags: dict[int, tuple[int, int, int]] | None = None, strip: bytes = b"") -> bytes:
    """A little-endian TIFF with one directory; `tags` replaces or adds (type, count, value)."""
    start = 8
    entries = {
        256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1),
        273: (4, 1, start), 277: (3, 1, 1), 278: (4, 1, height), 279: (4, 1, len(strip)), **(tags or {}),
    }  # fmt: skip
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, *value) for tag, value in sorted(entries.items()))
    return b"II*\0" + struct.pack("<I", start + len(strip)) + strip + directory + struct.pack("<I", 0)


def riff(kind: bytes, payload: bytes) -> bytes:
    body = b"WEBP" + kind + struct.pack("<I", len(payload)) + payload
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_sized(width: int, height: int) -> bytes:
    """A JPEG whose header claims another size than its scan has."""
    data = bytearray(encoded(picture(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def with_segment(marker: int, payload: bytes, *, size: int | None = None, times: int = 1) -> bytes:
    """A right JPEG with segments inserted at its start."""
    data = encoded(picture(), "JPEG")
    length = struct.pack(">H", len(payload) + 2 if size is None else size)
    return data[:2] + (bytes([0xFF, marker]) + length + payload) * times + data[2:]


def bombs() -> Made:
    yield "png-bomb", png(50_000, 50_000, rows=b"\0"), TOO_LARGE
    yield "png-bomb-grey-1-bit", png(40_000, 40_000, depth=1, color=0, rows=bytes(5001 * 4000)), TOO_LARGE
    yield "png-just-too-large", png(7_072, 7_072, color=0, rows=b"\0"), TOO_LARGE
    yield "png-largest-possible-header", png(2**31 - 1, 2**31 - 1, rows=b"\0"), REFUSED
    yield "png-flat-49-megapixels", png(7_000, 7_000, color=0, rows=bytes(7_001 * 7_000)), None
    yield "gif-bomb", gif(65_535, 65_535), TOO_LARGE
    yield "gif-frame-larger-than-canvas", gif(40, 40, frame=(0, 0, 65_535, 65_535)), REFUSED
    yield "bmp-bomb", bmp(60_000, 60_000), TOO_LARGE
    yield "bmp-rle-bomb", bmp(30_000, 30_000, bits=8, compression=1, pixels=b"\xff\x00" * 50), TOO_LARGE
    yield "tiff-bomb", tiff(100_000, 100_000), TOO_LARGE
    yield "tiff-four-billion-a-side", tiff(2**32 - 1, 2**32 - 1), REFUSED
    flat = zlib.compress(bytes(7_000 * 7_000))
    yield "tiff-flat-49-megapixels", tiff(7_000, 7_000, tags={259: (3, 1, 8)}, strip=flat), None
    canvas = struct.pack("<I", 2) + (16_382).to_bytes(3, "little") * 2
    yield "webp-bomb", riff(b"VP8X", canvas), REFUSED
    yield "webp-extended-without-frame", riff(b"VP8X", struct.pack("<I", 2) + b"\x3f\0\0" * 2), REFUSED
    yield "jpeg-bomb", jpeg_sized(65_500, 65_500), TOO_LARGE
    yield "jpeg-larger-than-its-scan", jpeg_sized(6_000, 6_000), None  # libjpeg fills up what is missing
    yield "png-text-bomb", png(before=chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**26)))), REFUSED
    yield "png-itxt-bomb", png(before=chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(2**26)))), REFUSED
    twice = zlib.compress(zlib.compress(bytes(2**27)))
    yield "png-icc-bomb", png(before=chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(2**26)))), REFUSED
    yield "png-nested-icc-bomb", png(before=chunk(b"iCCP", b"icc\0\0" + twice)), None
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000)))
    yield "png-a-hundred-megabyte-texts", png(before=text * 100), REFUSED
    yield "png-100000-empty-chunks", png(before=chunk(b"teST", b"") * 100_000), None
    yield "jpeg-20000-comments", with_segment(0xFE, b"x" * 100, times=20_000), None
    yield "more-bytes-than-are-read", b"\x89PNG\r\n\x1a\n" + bytes(2**26), "the image file is larger"


def sizes() -> Made:
    yield "empty", b"", UNKNOWN
    yield "one-byte", b"\x89", UNKNOWN
    yield "png-0x0", png(0, 0, rows=b""), REFUSED
    yield "png-0-wide", png(0, 40, rows=b""), REFUSED
    yield "gif-0x0", gif(0, 0), REFUSED
    yield "bmp-0x0", bmp(0, 0), REFUSED
    yield "bmp-0-high", bmp(40, 0), REFUSED
    yield "tiff-0x0", tiff(0, 0), REFUSED
    yield "jpeg-0-high", jpeg_sized(40, 0), REFUSED
    yield "webp-0x0", riff(b"VP8 ", b"\x30\x01\x00\x9d\x01\x2a\0\0\0\0"), REFUSED
    yield "png-27-wide", encoded(Image.new("RGB", (27, 90)), "PNG"), TOO_SMALL
    yield "png-too-long", encoded(Image.new("RGB", (28, 5_700)), "PNG"), "the image is more than 200 times"
    yield "bmp-smallest-height", bmp(40, -(2**31)), REFUSED
    yield "bmp-negative-width", bmp(-40, 40), REFUSED
    yield "bmp-top-down", bmp(40, -40, pixels=b"\x10\x20\x30" * 1_600), None


def truncated() -> Made:
    for image_format in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        data = encoded(picture(3), image_format)
        for share in (0.02, 0.1, 0.3, 0.5, 0.8, 0.95):
            yield f"{image_format.lower()}-cut-at-{share:.0%}", data[: int(len(data) * share)], REFUSED


def corrupt() -> Made:
    right = png()
    at = right.index(b"IDAT")
    yield "png-idat-crc", right[:-16] + b"\0\0\0\0" + right[-12:], None  # the pixels have a checksum of their own
    yield "png-pixel-checksum", right[:-20] + b"\0\0\0\0" + right[-16:], REFUSED
    yield "png-ihdr-crc", right[:29] + b"\0\0\0\0" + right[33:], REFUSED
    yield "png-no-idat", right[: at - 4] + chunk(b"IEND", b""), REFUSED
    yield "png-idat-not-zlib", right[: at - 4] + chunk(b"IDAT", b"never deflated") + chunk(b"IEND", b""), REFUSED
    yield "png-rows-missing", png(rows=(b"\0" + b"\x55" * 120) * 20), None  # a whole stream of too few rows
    yield "png-rows-too-many", png(rows=(b"\0" + b"\x55" * 120) * 400), None
    yield "png-unknown-filter", png(rows=(b"\x77" + b"\x55" * 120) * 40), REFUSED
    yield "png-depth-3", png(depth=3), REFUSED
    yield "png-color-type-5", png(color=5), REFUSED
    yield "png-chunk-of-2-gigabytes", png(before=chunk(b"teST", b"", size=2**31 - 1)), REFUSED
    yield "png-negative-chunk", png(before=chunk(b"tEXt", b"k\0v", size=2**32 - 1)), REFUSED
    yield "png-long-trns", png(before=chunk(b"tRNS", bytes(5_000))), None
    yield "png-palette-missing", png(color=3, rows=(b"\0" + b"\x05" * 40) * 40), None
    short = chunk(b"PLTE", bytes(6))
    yield "png-index-past-the-palette", png(color=3, before=short, rows=(b"\0" + b"\xfe" * 40) * 40), None
    yield "png-interlaced-cut", png(interlace=1, rows=bytes(500)), REFUSED
    frames = chunk(b"acTL", struct.pack(">II", 10_000, 0))
    yield "apng-frames-that-are-not-there", png(before=frames), None
    yield "apng-more-frames-than-2-billion", png(before=chunk(b"acTL", struct.pack(">II", 2**32 - 1, 0))), None
    yield "bmp-rle-past-the-end", bmp(40, 40, bits=8, compression=1, pixels=b"\xff\x01" * 3), REFUSED
    yield "bmp-palette-of-4-billion", bmp(40, 40, bits=8, pixels=bytes(1_600), colors=2**32 - 1), REFUSED
    yield "bmp-depth-7", bmp(40, 40, bits=7, pixels=bytes(1_600)), REFUSED
    yield "bmp-compression-9", bmp(40, 40, compression=9, pixels=bytes(4_800)), REFUSED
    yield "bmp-without-pixels", bmp(40, 40), REFUSED
    yield "gif-lzw-garbage", gif(40, 40, pixels=b"\xff" + Random(1).randbytes(255)), REFUSED
    yield "gif-without-pixels", gif(40, 40), REFUSED
    jpeg = encoded(picture(), "JPEG")
    scan = jpeg.index(b"\xff\xda")
    yield "jpeg-without-scan", jpeg[:scan] + b"\xff\xd9", REFUSED
    tables = jpeg.index(b"\xff\xdb")
    yield "jpeg-without-quantization", jpeg[:tables] + jpeg[jpeg.index(b"\xff\xc0") :], REFUSED
    yield "jpeg-12-bit", jpeg.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c"), REFUSED
    yield "jpeg-arithmetic", jpeg.replace(b"\xff\xc0", b"\xff\xc9"), None  # any bits are some picture
    yield "jpeg-lossless", jpeg.replace(b"\xff\xc0", b"\xff\xc3"), REFUSED
    yield (
        "jpeg-17-components",
        jpeg.replace(b"\xff\xc0\x00\x11\x08\x00@\x00@\x03", b"\xff\xc0\x00\x11\x08\0@\0@\x11"),
        REFUSED,
    )
    yield "jpeg-segment-shorter-than-its-length", with_segment(0xE1, b"Exif", size=60_000), REFUSED
    yield "jpeg-segment-of-length-0", with_segment(0xE2, b"", size=0), None
    webp = encoded(picture(), "WEBP")
    yield "webp-size-larger-than-file", webp[:4] + b"\xff\xff\xff\x7f" + webp[8:], REFUSED
    yield "webp-payload-garbage", riff(b"VP8L", b"\x2f" + Random(2).randbytes(400)), REFUSED


def tiffs() -> Made:
    pixels = bytes(range(256)) * 7
    plain = pixels[:1_600]
    yield "tiff-right", tiff(40, 40, strip=plain), None
    schemes = {
        2: "ccitt", 3: "fax3", 4: "fax4", 5: "lzw", 6: "old-jpeg", 7: "jpeg", 8: "deflate",
             34661: "jbig", 34712: "jpeg2000", 34925: "lzma", 50000: "zstd", 50001: "webp", 9: "unheard-of",
    }  # fmt: skip
    for compression, name in schemes.items():
        garbage = Random(compression).randbytes(1_600)
        yield f"tiff-{name}-garbage", tiff(40, 40, tags={259: (3, 1, compression)}, strip=garbage), REFUSED
    yield "tiff-packbits-cut", tiff(40, 40, tags={259: (3, 1, 32773)}, strip=b"\x7f"), REFUSED
    yield "tiff-strip-of-4-gigabytes", tiff(40, 40, tags={279: (4, 1, 2**32 - 1)}, strip=plain), None
    yield "tiff-strip-behind-the-end", tiff(40, 40, tags={273: (4, 1, 2**31)}, strip=plain), REFUSED
    yield "tiff-4-billion-strips", tiff(40, 40, tags={273: (4, 2**32 - 1, 8)}, strip=plain), REFUSED
    yield "tiff-no-rows-a-strip", tiff(40, 40, tags={278: (4, 1, 0)}, strip=plain), REFUSED
    yield "tiff-65535-samples", tiff(40, 40, tags={277: (3, 1, 65_535)}, strip=plain), REFUSED
    yield (
        "tiff-tile-2-billion-wide",
        tiff(40, 40, tags={322: (4, 1, 2**31), 323: (4, 1, 2**31), 324: (4, 1, 8)}),
        REFUSED,
    )
    yield "tiff-float", encoded(Image.new("F", (40, 40)), "TIFF"), "the image has 32 bits a channel"
    right = tiff(40, 40, strip=plain)
    directory = struct.unpack("<I", right[4:8])[0]
    yield "tiff-directory-that-follows-itself", right[:-4] + struct.pack("<I", directory), None
    yield "tiff-next-directory-behind-the-end", right[:-4] + struct.pack("<I", 2**31), None
    yield "tiff-directory-behind-the-end", b"II*\0" + struct.pack("<I", 2**31) + bytes(99), REFUSED
    yield "tiff-65535-tags", b"II*\0\x08\0\0\0\xff\xff" + bytes(600), REFUSED
    yield "bigtiff-huge-offset", b"II+\0\x08\0\0\0" + struct.pack("<Q", 2**62) + bytes(40), REFUSED
    pages = [picture(number, 28) for number in range(300)]
    yield "tiff-300-pages", encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]), None


def odd_but_right() -> Made:
    yield "grey-16-bit", encoded(Image.frombytes("I;16", (40, 40), Random(5).randbytes(3_200)), "PNG"), None
    yield "one-bit", encoded(picture().convert("1"), "PNG"), None
    yield "one-bit-tiff-fax4", encoded(picture().convert("1"), "TIFF", compression="group4"), None
    yield "palette-and-transparency", encoded(picture().convert("P"), "PNG", transparency=3), None
    yield "palette-with-alphas", encoded(picture().quantize(16), "PNG", transparency=bytes(range(16))), None
    yield "grey-and-alpha", encoded(picture().convert("LA"), "PNG"), None
    yield "cmyk-jpeg", encoded(picture().convert("CMYK"), "JPEG"), None
    yield "cmyk-tiff", encoded(picture().convert("CMYK"), "TIFF"), None
    yield "lab-tiff", encoded(Image.new("LAB", (40, 40), (128, 9, 9)), "TIFF"), None
    yield "icc-garbage", encoded(picture(), "JPEG", icc_profile=Random(6).randbytes(70_000)), None
    for image_format in ("GIF", "WEBP", "PNG"):
        frames = [picture(number, 32) for number in range(5)]
        data = encoded(frames[0], image_format, save_all=True, append_images=frames[1:])
        yield f"animated-{image_format.lower()}", data, None
    flashes = [Image.new("P", (40, 40), number % 200) for number in range(2_000)]
    yield "gif-2000-frames", encoded(flashes[0], "GIF", save_all=True, append_images=flashes[1:]), None


def exifs() -> Made:
    def exif(body: bytes) -> bytes:
        return with_segment(0xE1, b"Exif\0\0" + body)

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        return b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", tag, kind, count, value)

    yield "exif-garbage", exif(Random(7).randbytes(500)), None
    yield "exif-empty", exif(b""), None
    yield "exif-orientation-9", exif(entry(0x0112, 3, 1, 9) + bytes(4)), None
    yield "exif-orientation-text", exif(entry(0x0112, 2, 4, 0x41414141) + bytes(4)), None
    yield "exif-orientation-of-4-billion-values", exif(entry(0x0112, 3, 2**32 - 1, 8) + bytes(4)), None
    yield "exif-follows-itself", exif(entry(0x0112, 3, 1, 6) + struct.pack("<I", 8)), None
    yield "exif-gps-follows-itself", exif(entry(0x8825, 4, 1, 8) + struct.pack("<I", 8)), None
    yield "xmp-entities", with_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XML_BOMB), None
    yield "mpo-behind-the-end", with_segment(0xE2, b"MPF\0II*\0\xff\xff\xff\x7f" + bytes(40)), None


XML_BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;">'
    b'<!ENTITY d SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg">'
    b'<image href="file:///etc/passwd"/><image href="http://localhost/x.png"/>&c;&d;</svg>'
)


def strangers() -> Made:
    yield "svg-that-reads-files", XML_BOMB, UNKNOWN
    yield "pickle", pickle.dumps(picture()), UNKNOWN
    yield "eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n(/etc/passwd) (r) file\n", UNKNOWN
    yield "html", b"<html><img src='http://localhost/x.png'></html>", UNKNOWN
    yield "url", b"http://localhost/x.png", UNKNOWN
    yield "path", b"/etc/passwd", UNKNOWN
    yield "zip", b"PK\x03\x04" + bytes(200), UNKNOWN
    yield "psd", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 40, 40, 8, 3) + bytes(200), UNKNOWN
    yield "avif-header", b"\0\0\0\x1cftypavif" + bytes(100), UNKNOWN
    yield "fits", b"SIMPLE  =                    T".ljust(2_880), UNKNOWN
    yield "xbm", b"#define x_width 40\n#define x_height 40\nstatic char x_bits[] = {0x00};\n", UNKNOWN
    for image_format in ("PDF", "ICO", "TGA", "PCX", "PPM", "JPEG2000", "DDS", "SGI", "ICNS"):
        side = 512 if image_format == "ICNS" else 64
        yield image_format.lower(), encoded(picture(side=side), image_format), UNKNOWN
    yield "gif-and-script", encoded(picture(), "GIF") + b"/*<script>alert(1)</script>*/", None
    yield "png-and-zip", encoded(picture(), "PNG") + b"PK\x03\x04" + bytes(200), None
    yield "jpeg-and-pdf", encoded(picture(), "JPEG") + encoded(picture(), "PDF"), None
    magic = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff\xe0", "gif": b"GIF89a", "bmp": b"BM",
             "tiff": b"MM\0*", "webp": b"RIFF\0\1\0\0WEBPVP8 "}  # fmt: skip
    for name, start in magic.items():
        for seed in range(4):
            yield f"{name}-magic-and-noise-{seed}", start + Random(seed).randbytes(2_000), REFUSED


def scan_bomb(num_scans: int) -> bytes:
    """A progressive JPEG of 49 million pixels whose last scan comes again and again: few bytes, much work."""
    data = encoded(Image.new("RGB", (7_000, 7_000)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * num_scans + data[-2:]


PARTS = (bombs, sizes, truncated, corrupt, tiffs, odd_but_right, exifs, strangers)
