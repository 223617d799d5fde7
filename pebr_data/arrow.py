"""Python values as an Arrow table, from rows or from columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from typing import Any

import polars as pl
import pyarrow as pa

_POLARS = {
    pa.string(): pl.String,
    pa.large_string(): pl.String,
    pa.binary(): pl.Binary,
    pa.large_binary(): pl.Binary,
    pa.uint8(): pl.UInt8,
    pa.int16(): pl.Int16,
    pa.int32(): pl.Int32,
    pa.int64(): pl.Int64,
    pa.uint64(): pl.UInt64,
    pa.float64(): pl.Float64,
}


def arrow_table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """What `pa.Table.from_pylist` gives, the columns made by Polars.

    Whatever makes Arrow of Python values in pyarrow imports pandas first, if it is installed: half a second in each
    process. Texts and bytes are quickest where the schema has them large, as Polars hands them over: casting them
    imports `pyarrow.compute`.

    Raises:
        TypeError: A value is not of its column's type.
        UnicodeEncodeError: A text holds half a character.
    """
    return arrow_columns({name: [row[name] for row in rows] for name in schema.names}, schema)


def arrow_columns(columns: Mapping[str, Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """The same of columns, all of one length, by name.

    Raises:
        TypeError, UnicodeEncodeError: As for `arrow_table`.
    """
    return pa.Table.from_arrays([_array(columns[field.name], field.type) for field in schema], schema=schema)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_list(kind):
        ends = accumulate((0 if value is None else len(value) for value in values), initial=0)
        offsets = pl.Series(list(ends), dtype=pl.Int32).to_arrow()
        items = _array(list(chain.from_iterable(value or () for value in values)), kind.value_type)
        return pa.ListArray.from_arrays(offsets, items, type=kind, mask=_nulls(values))
    if pa.types.is_struct(kind):
        parts = [[None if value is None else value[field.name] for value in values] for field in kind]
        columns = [_array(part, field.type) for part, field in zip(parts, kind, strict=True)]
        return pa.StructArray.from_arrays(columns, fields=list(kind), mask=_nulls(values))
    made = pl.Series(values, dtype=_POLARS[kind]).to_arrow()
    return made if made.type == kind else made.cast(kind)


def _nulls(values: Sequence[Any]) -> pa.Array | None:
    nulls = [value is None for value in values]
    return pl.Series(nulls, dtype=pl.Boolean).to_arrow() if any(nulls) else None
