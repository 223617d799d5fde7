"""Arrow tables from rows are what pyarrow would make of them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pebr_data.arrow import arrow_table

TEXTS = st.none() | st.text(st.characters(codec="utf-8"))
BYTES = st.none() | st.binary()
IMAGES = st.lists(st.none() | st.fixed_dictionaries({"bytes": BYTES, "path": TEXTS}))
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "text": (pa.string(), TEXTS),
    "large_text": (pa.large_string(), TEXTS),
    "bytes": (pa.binary(), BYTES),
    "large_bytes": (pa.large_binary(), BYTES),
    "order": (pa.list_(pa.uint8()), st.none() | st.lists(st.integers(0, 255))),
    "small": (pa.int16(), st.none() | st.integers(-(2**15), 2**15 - 1)),
    "middle": (pa.int32(), st.none() | st.integers(-(2**31), 2**31 - 1)),
    "number": (pa.int64(), st.none() | st.integers(-(2**63), 2**63 - 1)),
    "hash": (pa.uint64(), st.none() | st.integers(0, 2**64 - 1)),
    "rate": (pa.float64(), st.none() | st.integers(-9, 9) | st.floats(allow_nan=False)),
    "words": (pa.list_(pa.large_string()), st.none() | st.lists(TEXTS)),
    "images": (pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])), st.none() | IMAGES),
    "extra": (
        pa.struct([("n", pa.int64()), ("words", pa.list_(pa.string()))]),
        st.none() | st.fixed_dictionaries({"n": st.integers(0, 9), "words": st.none() | st.lists(TEXTS)}),
    ),
}
SCHEMA = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()], metadata={"huggingface": "{}"})


@settings(max_examples=40)
@given(st.lists(st.fixed_dictionaries({name: values for name, (_, values) in COLUMNS.items()}), max_size=4))
def test_rows_become_the_table_that_pyarrow_makes_of_them(rows: list[dict[str, Any]]) -> None:
    made = arrow_table(rows, SCHEMA)
    made.validate(full=True)
    assert made.equals(pa.Table.from_pylist(rows, schema=SCHEMA), check_metadata=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("text", 3), ("text", b"a"), ("small", 2**15), ("small", "1"), ("hash", -1), ("order", [256]), ("words", [3])],
)
def test_what_a_column_cannot_hold_is_an_error(name: str, value: object) -> None:
    with pytest.raises(TypeError):
        arrow_table([{name: value}], pa.schema([SCHEMA.field(name)]))
