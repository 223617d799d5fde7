"""Files that somebody made to break a reader, each with the source type that reads it and what must come of it."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

GOOD = {"question": "What is it?", "answer": "red", "images": []}
ADDRESSES = ["http://127.0.0.1:9/x.png", "https://localhost/x.png", "ftp://localhost/x.png", "//localhost/x.png"]
ADDRESSED = [GOOD, *({**GOOD, "images": [address]} for address in ADDRESSES)]


def png() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((40, 40), 50).save(buffer, format="PNG")
    return buffer.getvalue()


@dataclass(frozen=True)
class Hostile:
    """A hostile file.

    Attributes:
        kind: The source's type.
        make: Writes it at a path.
        outcome: The beginning of a reason or of an error that must come of it.
        num_good: Rows of it that are good all the same; None when the source is refused as a whole.
    """

    kind: str
    make: Callable[[Path], None]
    outcome: str
    num_good: int | None = None


# --- tars -----------------------------------------------------------------------------------------------------------


def shard(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    """An archive up to its last member: what is appended is read as another one."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            tar.addfile(info, io.BytesIO(member[1]))
        return buffer.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def sized(size: int, name: str = "bad.png", kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header that claims a size, with nothing behind it."""
    info = tarfile.TarInfo(name)
    info.size, info.type = abs(size), kind
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if size < 0:
        header[124:136] = b"\xff" + size.to_bytes(11, "big", signed=True)
        header[148:156] = b" " * 8
        header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header)


GOOD_SAMPLE = (("good.json", json.dumps(GOOD).encode()), ("good.png", png()))


def beside(*members: tuple[str, bytes] | tarfile.TarInfo) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(shard(*GOOD_SAMPLE, *members)), None)[1]


def written(data: bytes) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(data), None)[1]


def headers(*blocks: bytes) -> Callable[[Path], None]:
    return written(shard(*GOOD_SAMPLE) + b"".join(blocks))


def long_names(path: Path) -> None:
    """Thousands of headers, each of which says that the next one's name is long."""
    chain = (sized(4, "././@LongLink", tarfile.GNUTYPE_LONGNAME) + b"abc\0".ljust(512, b"\0")) * 5000
    path.write_bytes(shard(*GOOD_SAMPLE) + chain)


TARS: dict[str, Hostile] = {
    "traversal.tar": Hostile("webdataset", beside(("../outside.png", png())), "the path leads out", 1),
    "absolute.tar": Hostile("webdataset", beside(("/etc/outside.png", png())), "the path leads out", 1),
    "windows.tar": Hostile("webdataset", beside(("C:\\x.png", png())), "the path is a Windows path", 1),
    "symlink.tar": Hostile(
        "webdataset", beside(special("bad.png", tarfile.SYMTYPE, "../secret.png")), "the archive holds a link", 1
    ),
    "hardlink.tar": Hostile(
        "webdataset", beside(special("bad.png", tarfile.LNKTYPE, "good.png")), "the archive holds a link", 1
    ),
    "device.tar": Hostile("webdataset", beside(special("bad.png", tarfile.CHRTYPE)), "the archive holds a link", 1),
    "fifo.tar": Hostile("webdataset", beside(special("bad.png", tarfile.FIFOTYPE)), "the archive holds a link", 1),
    "pickle.tar": Hostile(
        "webdataset", beside(("bad.pyd", b"cos\nsystem\n(S'true'\ntR.")), "the archive holds a `.pyd`", 1
    ),
    "pickle_late.tar": Hostile(
        "webdataset",
        beside(("bad.png", png()), ("bad.meta.pickle", b"cos\nsystem\n.")),
        "the archive holds a `.pickle`",
        1,
    ),
    "numpy.tar": Hostile("webdataset", beside(("bad.npy", b"\x93NUMPY")), "the archive holds a `.npy`", 1),
    "huge.tar": Hostile("webdataset", headers(sized(2**40)), "not a readable uncompressed tar archive"),
    "huge_text.tar": Hostile(
        "webdataset",
        lambda path: headers(sized(2**26, "bad.json") + bytes(2**26))(path),
        "a file is larger than is read",
        1,
    ),
    "huge_pax.tar": Hostile(
        "webdataset", headers(sized(2**36, "x", tarfile.XHDTYPE)), "not a readable uncompressed tar archive"
    ),
    "negative.tar": Hostile("webdataset", headers(sized(-(2**20))), "not a readable uncompressed tar archive"),
    "long_names.tar": Hostile("webdataset", long_names, "not a readable uncompressed tar archive"),
    "truncated.tar": Hostile(
        "webdataset", headers(sized(30_000), b"x" * 512), "not a readable uncompressed tar archive"
    ),
    "bomb.tar": Hostile(
        "webdataset",
        lambda path: written(gzip.compress(bytes(64 * 2**20), 9))(path),
        "not a readable uncompressed tar archive",
    ),
    "many.tar": Hostile(
        "webdataset", beside(*((f"bad.{n}.png", png()) for n in range(300))), "a sample has more than 256 files", 1
    ),
    "twice.tar": Hostile(
        "webdataset", beside(("bad.json", b"{}"), ("bad.json", b"{}")), "the sample has two files `.json`", 1
    ),
    "not_text.tar": Hostile("webdataset", beside(("bad.txt", b"\xff\xfe\x00")), "a text is not UTF-8", 1),
    "addresses.tar": Hostile(
        "webdataset",
        beside(*((f"bad{n}.json", json.dumps(row).encode()) for n, row in enumerate(ADDRESSED[1:]))),
        "the image's path is an address",
        1,
    ),
    "deep.tar": Hostile("webdataset", beside(("bad.json", b"[" * 100_000)), "not JSON", 1),
}

# --- tables ---------------------------------------------------------------------------------------------------------


Made = pa.Table | Callable[[], pa.Table]
"""A table, or what makes a large one when it is asked for."""


def table(rows: list[dict[str, Any]], **types: pa.DataType) -> pa.Table:
    fields = {"question": pa.string(), "answer": pa.string(), "images": pa.list_(pa.string()), **types}
    return pa.Table.from_pylist(rows, schema=pa.schema(list(fields.items())))


def parquet(made: Made, **options: Any) -> Callable[[Path], None]:
    return lambda path: pq.write_table(made() if callable(made) else made, path, **options)


def stream(made: Made, compression: str | None = None) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        options = pa.ipc.IpcWriteOptions(compression=compression)
        rows = made() if callable(made) else made
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
            writer.write_table(rows)

    return make


def damaged(make: Callable[[Path], None], damage: Callable[[bytearray], bytearray]) -> Callable[[Path], None]:
    def make_damaged(path: Path) -> None:
        make(path)
        path.write_bytes(damage(bytearray(path.read_bytes())))

    return make_damaged


def flip(at: float) -> Callable[[bytearray], bytearray]:
    def damage(data: bytearray) -> bytearray:
        start = int(len(data) * at)
        data[start : start + 64] = bytes(255 - byte for byte in data[start : start + 64])
        return data

    return damage


def histogram(data: bytearray) -> bytearray:
    """A bit of the footer's statistics: pyarrow 26 aborts the process over it."""
    data[-707] ^= 0x10
    return data


def half(data: bytearray) -> bytearray:
    return data[: len(data) // 2]


def bad_offset(data: bytearray) -> bytearray:
    """The offsets of the first text column point far outside the file."""
    at = data.index(struct.pack("<iii", 0, 4, 8))
    data[at + 4 : at + 8] = struct.pack("<i", 2**30)
    return data


def latin(make: Callable[[Path], None]) -> Callable[[Path], None]:
    return damaged(make, lambda data: data.replace(b"caf\xc3\xa9", b"caf\xe9s"))


ROWS = [GOOD] * 3
MANY = [{**GOOD, "question": f"What is {n}? {n * 7919 % 10007}"} for n in range(4000)]
CAFE = [GOOD, {**GOOD, "answer": "café"}]
NUL = pa.array([None] * 3, pa.null())


def zeros(mebibytes: int) -> list[dict[str, Any]]:
    return [GOOD, {**GOOD, "question": "0" * (mebibytes * 2**20)}]


def repeated(path: Path) -> None:
    """One word of 8 MB in a dictionary, in every one of 20,000 rows: 160 GB."""
    word = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * 8 * 2**20]))
    made = pa.table(
        {"question": word, "answer": ["a"] * 20_000, "images": pa.array([[]] * 20_000, pa.list_(pa.string()))}
    )
    pq.write_table(made, path, dictionary_pagesize_limit=2**30, compression="none")


def twins(path: Path) -> None:
    made = pa.Table.from_arrays([pa.array(["a"])] * 3, names=["question", "question", "answer"])
    pq.write_table(made, path)


def nested_list(path: Path) -> None:
    column = pa.array([[None] * 1_200_000], pa.list_(pa.int8()))
    made = pa.table({"question": ["q"], "answer": ["a"], "images": column})
    pq.write_table(made, path)


NESTED = pa.struct([("a", pa.struct([("b", pa.string())]))])
TABLES: dict[str, Hostile] = {
    "text.parquet": Hostile("parquet", written(b"question,answer\n1,2\n"), "the file cannot be read"),
    "empty.parquet": Hostile("parquet", written(b""), "the file cannot be read"),
    "magic.parquet": Hostile(
        "parquet", written(b"PAR1" + b"\xff" * 40 + b"\xff\xff\xff\x7fPAR1"), "the file cannot be read"
    ),
    "half.parquet": Hostile("parquet", damaged(parquet(table(MANY)), half), "the file cannot be read"),
    "page.parquet": Hostile(
        "parquet",
        damaged(parquet(table(MANY), write_page_checksum=True), flip(0.2)),
        "the file cannot be read",
    ),
    "page_unchecked.parquet": Hostile(
        "parquet", damaged(parquet(table(MANY), compression="zstd"), flip(0.3)), "the file cannot be read"
    ),
    "footer.parquet": Hostile("parquet", damaged(parquet(table(MANY)), flip(0.995)), "the file cannot be read"),
    "histogram.parquet": Hostile("parquet", damaged(parquet(table(ROWS)), histogram), "the file cannot be read"),
    "twins.parquet": Hostile("parquet", twins, "the file has two columns called `question`"),
    "nested.parquet": Hostile(
        "parquet", parquet(table([{**GOOD, "answer": {"a": {"b": "x"}}}], answer=NESTED)), "no row of the source"
    ),
    "wrong_type.parquet": Hostile(
        "parquet", parquet(table([{**GOOD, "answer": b"red"}], answer=pa.binary())), "no row of the source"
    ),
    "latin.parquet": Hostile(
        "parquet",
        latin(parquet(table(CAFE), compression="none", use_dictionary=False)),
        "a text of the row is not UTF-8",
        1,
    ),
    "bomb.parquet": Hostile(
        "parquet", parquet(lambda: table(zeros(96)), compression="zstd"), "a column unpacks to far more"
    ),
    "repeated.parquet": Hostile("parquet", repeated, "a column unpacks to far more"),
    "list.parquet": Hostile("parquet", nested_list, "a column unpacks to far more"),
    "addresses.parquet": Hostile("parquet", parquet(table(ADDRESSED)), "the image's path is an address", 1),
    "addresses.arrow": Hostile("arrow", stream(table(ADDRESSED)), "the image's path is an address", 1),
    "half.arrow": Hostile("arrow", damaged(stream(table(MANY)), half), "the file cannot be read"),
    "text.arrow": Hostile("arrow", written(b"question,answer\n1,2\n" * 9), "the file cannot be read"),
    "offsets.arrow": Hostile(
        "arrow", damaged(stream(table([{**GOOD, "question": "abcd"}] * 3)), bad_offset), "the file cannot be read"
    ),
    "latin.arrow": Hostile("arrow", latin(stream(table(CAFE))), "the file cannot be read"),
    "bomb.arrow": Hostile("arrow", stream(lambda: table(zeros(64)), "zstd"), "the Arrow file is compressed"),
    "twins.arrow": Hostile(
        "arrow",
        stream(pa.Table.from_arrays([pa.array(["a"])] * 3, names=["question", "question", "answer"])),
        "the file has two columns called `question`",
    ),
    "nulls.arrow": Hostile("arrow", stream(pa.table({"question": NUL, "answer": NUL})), "no row of the source"),
    "endless.arrow": Hostile(
        "arrow",
        stream(lambda: pa.table({"question": pa.nulls(50_000_000), "answer": pa.nulls(50_000_000)})),
        "a batch has more than",
    ),
}

HOSTILE = TARS | TABLES
