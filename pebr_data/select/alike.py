"""When two images, or two questions, are as good as the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import polars as pl
from datasketch import MinHash, MinHashLSH

from pebr_data.catalog.duplicates import near_hashes
from pebr_data.images.facts import THUMBNAIL_SIDE

RADIUS = 6
"""Bits of 64. On rendered scenes of 72 px, 99 of 100 scaled or recompressed copies lie within 4, 93 of 100 that lost a
border of one pixel within 6. Of 125,000 pairs of different scenes ten do so too; the thumbnails tell them apart."""

MAX_CELL_DIFFERENCE = 48
"""Levels of 255 by which one cell of the 8 x 8 thumbnails may differ. Recompression and scaling stay under 25, a border
of one pixel in 72 under 45; an object of another colour, of which the grey perceptual hash sees little, is beyond."""

MIN_COSINE = 0.98
"""Cosine of two embeddings from which images look the same. Another model may need another: look at what is found."""

JACCARD = 0.7
"""Shared share of the questions' 4-character pieces: punctuation, case, a word more or less. "How many red circles are
there?" and "How many red squares are there?" share half."""

_SHINGLE = 4
_NUM_PERM = 128
_CHUNK_PAIRS = 200_000
_BLOCK_ROWS = 1_024


def alike_images(left: pl.DataFrame, right: pl.DataFrame, radius: int) -> pl.DataFrame:
    """Pairs of different images that look the same.

    The perceptual hashes differ in at most `radius` bits, and no cell of the thumbnails by more than
    `MAX_CELL_DIFFERENCE`: the hash knows no colours, and simple drawings collide in it.

    Args:
        left: image_hash, phash, thumbnail; each image once.
        right: The same; give `left` again to compare within it.
        radius: Bits.

    Returns:
        left, right: image hashes; both orders of a pair when comparing within.
    """
    near = near_hashes(left["phash"], right["phash"], radius)
    ours = left.select(left_phash="phash", left="image_hash").with_row_index("left_row")
    theirs = right.select(right_phash="phash", right="image_hash").with_row_index("right_row")
    ours_cells, theirs_cells = _cells(left["thumbnail"]), _cells(right["thumbnail"])
    found = [pl.DataFrame(schema={"left": pl.String, "right": pl.String})]
    for chunk in near.iter_slices(_CHUNK_PAIRS):
        pairs = chunk.join(ours, on="left_phash").join(theirs, on="right_phash")
        for part in pairs.iter_slices(_CHUNK_PAIRS):
            difference = ours_cells[part["left_row"].to_numpy()] - theirs_cells[part["right_row"].to_numpy()]
            same = np.abs(difference).max(axis=1, initial=0) <= MAX_CELL_DIFFERENCE
            found.append(part.filter(pl.Series(same)).select("left", "right"))
    return pl.concat(found).filter(pl.col("left") != pl.col("right")).unique(maintain_order=True)


def embedded_pairs(
    image_hashes: Sequence[str], vectors: np.ndarray[tuple[int, ...], np.dtype[np.float32]], min_cosine: float
) -> pl.DataFrame:
    """Pairs of images whose embeddings lie close, as `alike_images` gives them.

    All pairs are compared, a block at a time: 100,000 images take minutes, a million hours.

    Args:
        image_hashes: N hashes.
        vectors: (N, D), of length 1.
        min_cosine: Pairs with at least this cosine are alike.
    """
    names = np.array(image_hashes, dtype=object)
    found = [pl.DataFrame(schema={"left": pl.String, "right": pl.String})]
    for start in range(0, len(vectors), _BLOCK_ROWS):
        rows, columns = np.nonzero(vectors[start : start + _BLOCK_ROWS] @ vectors.T >= min_cosine)
        other = rows + start != columns
        left, right = names[rows[other] + start], names[columns[other]]
        found.append(pl.DataFrame({"left": left.tolist(), "right": right.tolist()}, schema=found[0].schema))
    return pl.concat(found)


def alike_texts(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int]]:
    """Positions (in `left`, in `right`) of normalised questions that are alike.

    Candidates come from MinHash LSH, which misses a few of those close to `JACCARD`; each is then compared exactly.
    """
    index = MinHashLSH(threshold=JACCARD, num_perm=_NUM_PERM)
    for position, one in enumerate(_min_hashes(right)):
        index.insert(position, one)
    found: list[tuple[int, int]] = []
    for position, one in enumerate(_min_hashes(left)):
        found += [
            (position, other) for other in sorted(index.query(one)) if alike_questions(left[position], right[other])
        ]
    return found


def alike_questions(left: str, right: str) -> bool:
    """Whether two normalised questions share enough of their pieces, and all their numbers."""
    if left == right:
        return True
    ours, theirs = _shingles(left), _shingles(right)
    return len(ours & theirs) >= JACCARD * len(ours | theirs) and _numbers(left) == _numbers(right)


def normalized(text: str) -> str:
    """A text without case, punctuation between words and repeated spaces; numbers and formulas stay."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"\s+", " ", re.sub(r"[?!.,;:\"'`]+(?=\s|$)|(?<=\s)[\"'`]+|^[\"'`]+", " ", folded)).strip()


def _min_hashes(texts: Iterable[str]) -> Iterator[MinHash]:
    pieces = ([piece.encode() for piece in _shingles(text)] for text in texts)
    yield from MinHash.generator(pieces, num_perm=_NUM_PERM)


def _shingles(text: str) -> frozenset[str]:
    """The pieces of a normalised text: every four characters in a row, the ends of the text included."""
    padded = f" {text} "
    return frozenset(padded[start : start + _SHINGLE] for start in range(max(1, len(padded) - _SHINGLE + 1)))


def _numbers(text: str) -> list[str]:
    return sorted(re.findall(r"\d+(?:\.\d+)?", text))


def _cells(thumbnails: pl.Series) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """(N, 192) levels."""
    joined = np.frombuffer(b"".join(thumbnails.to_list()), dtype=np.uint8)
    return joined.reshape(len(thumbnails), 3 * THUMBNAIL_SIDE**2).astype(np.int16)
