"""From a raw row to a candidate: the one place where the columns of a dataset become a sample's fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pebr_data.config import FieldsConfig
from pebr_data.errors import DataError
from pebr_data.shuffled import with_options
from pebr_data.sources.columns import find, kept_columns, kind, optional_text, scalar, text_at
from pebr_data.sources.embedded import ReadPath, image_entries, read_images
from pebr_data.sources.golds import gold_of
from pebr_data.sources.options import options_in, options_of
from pebr_data.sources.placeholders import place_images, take_lead_off
from pebr_data.types import Candidate

PASS_RATES = "pass_rates"
"""The metadata key of the pass rates that a dataset ships: column -> rate in 0..1."""


def to_candidate(
    row: Mapping[str, Any], fields: FieldsConfig, *, source: str, split: str, read_path: ReadPath
) -> Candidate:
    """The candidate in `row`.

    Args:
        row: A raw row.
        fields: Which column holds what.
        source: The source's name.
        split: The split unless `fields.split` names a column for it.
        read_path: Gives the bytes of an image that the row names by its path.

    Raises:
        DataError: The row cannot become a candidate; the message is the reason.
    """
    raw_question = text_at(row, fields.question, "question")
    entries = image_entries(row, fields.images)
    question = question_shown(raw_question, fields, num_images=len(entries))
    options = options_in(question) if fields.options_in_question else options_of(row, fields.options)
    answer = gold_of(row, fields, options)
    metadata = kept_columns(row, fields.metadata)
    rates = pass_rates(row, fields.pass_rates)
    return Candidate(
        source=source,
        split=split if fields.split is None else text_at(row, fields.split, "split"),
        question=with_options(question, options) if fields.show_options and options else question,
        answer=answer,
        images=read_images(entries, read_path),
        answer_type=optional_text(row, fields.answer_type),
        options=options,
        keywords=_keywords(row, fields.keywords),
        description=optional_text(row, fields.description),
        response=optional_text(row, fields.response),
        skill=optional_text(row, fields.skill),
        grading=_grading(row, fields.grading),
        metadata={**metadata, PASS_RATES: rates} if rates else metadata,
    )


def question_shown(raw: str, fields: FieldsConfig, *, num_images: int) -> str:
    """The question without the instruction before it and without placeholders.

    Raises:
        DataError: Its placeholders do not fit the images, or nothing is left.
    """
    text = raw if fields.question_after is None else take_lead_off(raw, fields.question_after)
    question = place_images(text, num_images)
    if not question:
        raise DataError("the question is empty")
    return question


def pass_rates(row: Mapping[str, Any], columns: tuple[str, ...]) -> dict[str, float]:
    """Shipped pass rates by column; what is null or no number in 0..1 (a -1 for `not measured`) is not there."""
    rates = {}
    for column in columns:
        value = find(row, column)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            rates[column] = float(value)
    return rates


def _grading(row: Mapping[str, Any], columns: str | Mapping[str, str] | None) -> Mapping[str, Any]:
    """The grading rules that a row states; one without a value is not stated: data frames give each row every key."""
    if columns is None:
        return {}
    if isinstance(columns, str):
        rules = find(row, columns) or {}
        if not isinstance(rules, Mapping):
            raise DataError(f"the column `{columns}` holds {kind(rules)}; a mapping of grading rules is expected")
    else:
        rules = {rule: find(row, column) for rule, column in columns.items()}
    return {str(name): value for name, value in rules.items() if value not in (None, "")}


def _keywords(row: Mapping[str, Any], column: str | None) -> tuple[str, ...]:
    value = None if column is None else find(row, column)
    if value is None:
        return ()
    if isinstance(value, Mapping):
        value = [value[key] for key in sorted(value)]
    if not isinstance(value, list):
        raise DataError(f"the column `{column}` holds {kind(value)}; a list is expected")
    texts = (scalar(item, "keyword").strip() for item in value)
    return tuple(dict.fromkeys(text for text in texts if text))
