"""What a build would make of a source's first rows: each field's raw column and value, and what looks wrong about them.

Nothing is written and nothing is fetched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from pebr_data.config import FieldsConfig, SourceConfig
from pebr_data.errors import DataError
from pebr_data.images import ImageFacts, open_gate
from pebr_data.sources.base import Reject, open_source
from pebr_data.sources.columns import find
from pebr_data.sources.fetch import check_address, is_unfetched, unfetched
from pebr_data.sources.fields import PASS_RATES
from pebr_data.sources.hub import HubReader
from pebr_data.sources.rows import RowSource
from pebr_data.sources.suspicions import SeenRow, suspicions
from pebr_data.types import Candidate, Json

LOOKED_AT = 100
"""Rows of a source that are mapped and judged; the first few of them are shown."""

_MAX_RAW_CHARS = 400


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field of one row: the columns it is read from, what they hold, and what became of it.

    `raw` is JSON-serialisable, long texts cut and bytes described; `value` is None where the row was rejected.
    """

    field: str
    columns: tuple[str, ...]
    raw: Json
    value: Json


@dataclass(frozen=True, slots=True)
class RowView:
    """One row: where it is, its fields, and the reason when it is rejected."""

    where: str
    fields: tuple[FieldView, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SourcePreview:
    """What a source's first rows become.

    Attributes:
        source: Its name.
        num_rows: Rows it has, where its files say so without being read.
        num_looked_at: Rows that were mapped for this.
        num_candidates: Those among them that become candidates with images that can be stored.
        rejects: The others, per reason.
        rows: The first of them.
        warnings: What looks wrong about those looked at.
    """

    source: str
    num_rows: int | None
    num_looked_at: int
    num_candidates: int
    rejects: Mapping[str, int] = field(default_factory=dict)
    rows: tuple[RowView, ...] = ()
    warnings: tuple[str, ...] = ()


def preview(config: SourceConfig, base_dir: Path, *, num_shown: int) -> SourcePreview:
    """What the first rows of a source become.

    Args:
        config: One of a catalog's `sources`.
        base_dir: The directory that its relative paths start from.
        num_shown: How many rows to show; at least `LOOKED_AT` are judged.

    Raises:
        ConfigError, DataError: The source cannot be opened or read.
        UnavailableError: It is on the hub and not in the local cache.
    """
    source = open_source(config, base_dir)
    limit = max(LOOKED_AT, num_shown)
    num_rows = None
    if isinstance(source, RowSource):
        if isinstance(source.reader, HubReader):
            source = RowSource(source.config, base_dir, source.reader.without_fetching())
        num_rows = source.reader.count()
        seen = list(islice(_seen(source), limit))
        fields: FieldsConfig | None = source.config.fields
        warnings = suspicions(seen, source.config)
    else:
        candidates = islice(source.candidates(), limit)
        seen = [SeenRow(f"candidate {i}", {}, item) for i, item in enumerate(candidates)]
        fields, warnings = None, []
    rejects = Counter(row.item.reason for row in seen if isinstance(row.item, Reject))
    return SourcePreview(
        source=config.name,
        num_rows=num_rows,
        num_looked_at=len(seen),
        num_candidates=len(seen) - rejects.total(),
        rejects=dict(rejects.most_common()),
        rows=tuple(_view(row, fields) for row in seen[:num_shown]),
        warnings=tuple(warnings),
    )


def _seen(source: RowSource) -> Iterator[SeenRow]:
    with ExitStack() as stack:
        read_path = source.image_reader(stack, lambda url: _unfetched(url, source.config.allowed_hosts))
        for row in source.reader.rows(None):
            columns = {} if isinstance(row.columns, DataError) else {**row.columns, **source.config.constants}
            yield SeenRow(row.where, columns, _with_usable_images(source.candidate(row, read_path)))


def _unfetched(url: str, hosts: Sequence[str]) -> bytes:
    check_address(url, hosts)
    return unfetched(url)


def _with_usable_images(item: Candidate | Reject) -> Candidate | Reject:
    if isinstance(item, Candidate):
        for data in item.images:
            if is_unfetched(data):
                continue
            found = _look(data)
            if isinstance(found, DataError):
                return Reject(item.source, found.where or "", found.what)
    return item


def _view(row: SeenRow, fields: FieldsConfig | None) -> RowView:
    candidate = row.item if isinstance(row.item, Candidate) else None
    values = {} if candidate is None else _values(candidate, fields)
    views = []
    for name in FieldsConfig.model_fields:
        columns = () if fields is None else _columns(fields, name)
        raw = {column: _shown(_found(row.columns, column)) for column in columns}
        value = values.get(name)
        if raw or value not in (None, "", [], {}):
            views.append(FieldView(name, columns, next(iter(raw.values())) if len(raw) == 1 else raw or None, value))
    return RowView(row.where, tuple(views), row.item.reason if isinstance(row.item, Reject) else None)


def _values(candidate: Candidate, fields: FieldsConfig | None) -> dict[str, Json]:
    has_rates = fields is not None and bool(fields.pass_rates)
    return {
        "question": candidate.question,
        "answer": candidate.answer,
        "images": [_image(data) for data in candidate.images],
        "answer_type": candidate.answer_type,
        "options": list(candidate.options),
        "keywords": list(candidate.keywords),
        "description": candidate.description,
        "response": candidate.response,
        "skill": candidate.skill,
        "grading": dict(candidate.grading),
        "split": candidate.split,
        "pass_rates": candidate.metadata.get(PASS_RATES) if has_rates else None,
        "metadata": dict(candidate.metadata),
    }


def _columns(fields: FieldsConfig, name: str) -> tuple[str, ...]:
    if name in ("question_after", "answer_after", "answer_in", "answer_is", "options_in_question", "show_options"):
        return ()
    value = getattr(fields, name)
    if isinstance(value, Mapping):
        return tuple(value.values())
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def _image(data: bytes) -> str:
    if is_unfetched(data):
        return "not fetched before the build"
    found = _look(data)
    if isinstance(found, DataError):
        return f"{found.what}, {len(data)} bytes"
    return f"{found.width}x{found.height} {found.format}, {len(data)} bytes"


@lru_cache(maxsize=LOOKED_AT)
def _look(data: bytes) -> ImageFacts | DataError:
    """What the gate says of an image: nothing is decoded in this process."""
    [found] = open_gate().examine([data])
    return found


def _found(columns: Mapping[str, Any], column: str) -> Any:
    try:
        return find(columns, column)
    except DataError as error:
        return error.what


def _shown(value: Any) -> Json:
    """A raw value as JSON: bytes by their number, long texts and lists cut."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, str):
        text = value.encode(errors="backslashreplace").decode()
        return text if len(text) <= _MAX_RAW_CHARS else f"{text[:_MAX_RAW_CHARS]}… ({len(text)} characters)"
    if isinstance(value, Mapping):
        return {str(key): _shown(item) for key, item in islice(value.items(), 20)}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value[:20]] + ([f"… ({len(value)} in all)"] if len(value) > 20 else [])
    return value if isinstance(value, int | float | None) else str(value)


def as_json(view: SourcePreview) -> dict[str, Json]:
    """The preview as JSON-serialisable values."""
    return {
        "num_rows": view.num_rows,
        "num_looked_at": view.num_looked_at,
        "num_candidates": view.num_candidates,
        "rejects": dict(view.rejects),
        "rows": [
            {
                "where": row.where,
                "reason": row.reason,
                "fields": [
                    {"field": one.field, "columns": list(one.columns), "raw": one.raw, "value": one.value}
                    for one in row.fields
                ],
            }
            for row in view.rows
        ],
        "warnings": list(view.warnings),
    }
