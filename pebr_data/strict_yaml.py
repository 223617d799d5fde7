"""Strict YAML: a file becomes a typed model, or one error that names every mistake with its file and line.

Unknown keys at any depth, wrong types, missing keys, duplicate keys and broken syntax are all reported at once.
Discriminated unions are understood. How scalars are read is said in `yaml_document`.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from pebr_data.errors import ConfigError
from pebr_data.hashing import digest
from pebr_data.yaml_document import Document, Location, read_document


class StrictModel(BaseModel):
    """A frozen model in which unknown keys are errors and infinities and NaN are not numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def digest(self) -> str:
        """SHA-256 (64 hex digits) of every field, where the file lies excepted."""
        return digest(self.model_dump(mode="json"))


class FileModel(StrictModel):
    """A whole YAML file.

    Attributes:
        path: The file it was read from; paths inside the file are relative to its directory. It is neither a YAML key
            nor part of the digest.
    """

    path: Path = Field(default=Path("in-memory.yaml"), exclude=True)

    @property
    def base_dir(self) -> Path:
        """The directory that paths inside the file are relative to."""
        return self.path.parent


M = TypeVar("M", bound=BaseModel)
Check = Callable[[M], Iterable[tuple[Location, str]]]


def load_yaml(path: Path, model: type[M], *, check: Check[M] | None = None) -> M:
    """The YAML file as a `model`.

    Args:
        path: The file.
        model: What it must hold. A `FileModel` also gets its `path`.
        check: Called with a valid model; gives (location, message) for whatever a type cannot say, such as a name
            that must exist elsewhere in the file. A location is the keys and indices that lead to the value.

    Raises:
        ConfigError: The file is missing or wrong; `problems` holds every mistake, `file:line: message`, by line.
    """
    document = read_document(path)
    if document.problems and (document.has_gaps or document.data is None):
        raise _error(path, document.problems)
    data = document.data
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise _error(path, [(1, f"expected a mapping of keys to values, got {_show(data)}")])
    if issubclass(model, FileModel) and "path" in data:
        document.problems.append((document.line(("path",)), _unknown_key("path", _allowed_keys(model, ()))))
        del data["path"]
    try:
        value = model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        document.problems.extend(_explain(error, model, document))
        without = _without_unknown_keys(error, model, data)
        if without is None:
            raise _error(path, document.problems) from None
        value = without
    if isinstance(value, FileModel):
        value = value.model_copy(update={"path": path})
    if check is not None:
        document.problems.extend((document.line(location), message) for location, message in check(value))
    if document.problems:
        raise _error(path, document.problems)
    return value


def _without_unknown_keys(error: ValidationError, model: type[M], data: dict[str, Any]) -> M | None:
    """The model without the keys it does not know, if nothing else is wrong, so that `check` can still be asked."""
    known = copy.deepcopy(data)
    for detail in error.errors(include_url=False):
        if detail["type"] != "extra_forbidden":
            return None
        *parent, key = _yaml_location(detail["loc"], data)
        held: Any = known
        for part in parent:
            held = held[part]
        del held[key]
    try:
        return model.model_validate_json(json.dumps(known), strict=True)
    except ValidationError:
        return None


def nearest(wrong: str, right: Iterable[str]) -> str | None:
    """The one of `right` that `wrong` was most likely meant to be, or None when none is near."""
    by_fold = {name.casefold().replace("-", "_"): name for name in right}
    close = difflib.get_close_matches(wrong.casefold().replace("-", "_"), by_fold, n=1, cutoff=0.6)
    return by_fold[close[0]] if close else None


def _error(path: Path, problems: Sequence[tuple[int, str]]) -> ConfigError:
    lines = tuple(f"{path}:{line}: {message}" for line, message in sorted(dict.fromkeys(problems)))
    count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    return ConfigError(count, where=f"in {path}", help=f"correct {path} and run the command again", problems=lines)


# --- explaining: pydantic's errors -> (line, message) ----------------------------------------------------------------


def _explain(error: ValidationError, model: type[BaseModel], document: Document) -> Iterator[tuple[int, str]]:
    suggested: set[Location] = set()
    details = error.errors(include_url=False)
    for detail in details:
        if detail["type"] == "extra_forbidden":
            *parent, key = detail["loc"]
            allowed = _allowed_keys(model, tuple(parent))
            near = nearest(str(key), allowed)
            if near is not None:
                suggested.add((*_yaml_location(tuple(parent), document.data), near))
            line = document.line(_yaml_location(detail["loc"], document.data))
            yield line, _unknown_key(str(key), allowed, _prefix(tuple(parent), document.data))
    for detail in details:
        location = _yaml_location(detail["loc"], document.data)
        if detail["type"] == "extra_forbidden" or _is_echo(detail):
            continue
        if detail["type"] == "missing":
            missing = (*location, str(detail["loc"][-1]))
            if missing not in suggested:
                yield document.line(location), f"`{_dotted(missing)}` is missing"
            continue
        if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
            location = (*location, detail["ctx"]["discriminator"].strip("'"))
        yield document.line(location), f"`{_dotted(location)}`: {_message(detail)}" if location else _message(detail)


def _is_echo(detail: ErrorDetails) -> bool:
    """Whether pydantic calls a list too short only because it could not read the items."""
    given = detail["input"]
    return detail["type"] == "too_short" and isinstance(given, list) and len(given) >= detail["ctx"]["min_length"]


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def _message(detail: ErrorDetails) -> str:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "union_tag_not_found":
        return "this key is missing"
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        expected = context["expected_tags"] if kind == "union_tag_invalid" else context["expected"]
        expected = re.sub(r"<[\w.]+: ('[^']*')>", r"\1", expected)
        shown = context["tag"] if kind == "union_tag_invalid" else given
        near = nearest(shown, re.findall(r"'([^']*)'", expected)) if isinstance(shown, str) else None
        return f"expected {expected}, got {_show(shown)}" + (f"; did you mean '{near}'?" if near else "")
    if kind in ("value_error", "assertion_error"):
        return detail["msg"].split(", ", 1)[-1]
    message = detail["msg"].removeprefix("Input should be ")
    if kind in _EXPECTED or message != detail["msg"]:
        article = "a value " if kind.startswith(("greater_than", "less_than")) else ""
        return f"expected {_EXPECTED.get(kind, article + message)}, got {_show(given)}"
    return f"{message}, got {_show(given)}"


def _unknown_key(key: str, allowed: Sequence[str], prefix: str = "") -> str:
    near = nearest(key, allowed)
    if near is not None:
        return f"`{prefix}{key}` is not a key here; did you mean `{near}`?"
    return f"`{prefix}{key}` is not a key here; expected " + (", ".join(f"`{name}`" for name in allowed) or "none")


def _show(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _prefix(parent: Location, data: Any) -> str:
    dotted = _dotted(_yaml_location(parent, data))
    return f"{dotted}." if dotted else ""


def _dotted(location: Location) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _yaml_location(loc: Sequence[int | str], data: Any) -> Location:
    """Pydantic's location without the parts that are no keys: union members, discriminator tags, missing keys."""
    location: list[int | str] = []
    for part in loc:
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if in_list or (isinstance(data, dict) and part in data):
            data = data[part]
            location.append(part)
    return tuple(location)


def _allowed_keys(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """The keys that the models at pydantic's location `loc` have."""
    candidates = list(_members(model))
    for part in loc:
        inner = [found for candidate in candidates for found in _descend(candidate, part)]
        if not inner:  # a discriminator's tag, which chooses among the candidates
            inner = [candidate for candidate in candidates if _has_tag(candidate, part)] or candidates
        candidates = inner
    models = [candidate for candidate in candidates if _is_model(candidate)]
    return list(dict.fromkeys(name for found in models for name in _keys(found)))


def _members(annotation: Any) -> Iterator[Any]:
    """The types an annotation may be, unions and `Annotated` opened."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _members(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _descend(annotation: Any, part: int | str) -> Iterator[Any]:
    if _is_model(annotation):
        for name, info in annotation.model_fields.items():
            if part in (name, info.alias):
                yield from _members(info.annotation)
        return
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if not arguments or not isinstance(origin, type):
        return
    if issubclass(origin, Mapping) and isinstance(part, str):
        yield from _members(arguments[1])
    elif issubclass(origin, Sequence) and isinstance(part, int):
        for argument in arguments:
            yield from _members(argument)


def _has_tag(annotation: Any, tag: int | str) -> bool:
    return _is_model(annotation) and any(
        typing.get_origin(info.annotation) is typing.Literal and tag in typing.get_args(info.annotation)
        for info in annotation.model_fields.values()
    )


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        if not info.exclude:
            yield info.alias or name


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
