"""A YAML file as plain data, with the line of every key and value and every mistake found while reading it.

The scalars are those of the YAML 1.2 core schema: `1e-6` is a number, `no` and `on` are words, dates are text.
Duplicate keys, tags, merge keys (`<<`) and several documents in one file are mistakes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pebr_data.errors import ConfigError

Location = tuple[int | str, ...]

MAX_FILE_BYTES = 4 * 2**20
MAX_NODES = 200_000
MAX_DEPTH = 64


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the scalar rules of YAML 1.2's core schema."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


@dataclass
class Document:
    """Plain data with the line of every value and key, and the mistakes found while reading it.

    With `has_gaps` something of the file is not in `data`, so what is missing there may not be missing in the file.
    """

    data: Any = None
    lines: dict[Location, int] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)
    has_gaps: bool = False

    def line(self, location: Location) -> int:
        """The line (from 1) of the deepest part of `location` that the file has."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)


def read_document(path: Path) -> Document:
    """The YAML file as data; its mistakes are in `problems`, not raised.

    Raises:
        ConfigError: There is no file, or it cannot be read.
    """
    document = Document()
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            "there is no such file",
            where=str(path),
            help="check the path; relative paths start at the current directory",
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot be read: {reason}", where=str(path), help="name a YAML file") from None
    if len(raw) > MAX_FILE_BYTES:
        document.problems.append((1, f"the file has {len(raw)} bytes; a YAML of at most {MAX_FILE_BYTES} is expected"))
        return document
    try:
        text = raw.decode("utf-8-sig")
        root = yaml.compose(text, Loader=_Loader)
        if root is not None:
            document.data = _build(root, (), document, 0)
    except UnicodeDecodeError as error:
        document.problems.append((raw[: error.start].count(b"\n") + 1, "the file is not UTF-8 text"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        document.problems.append((mark.line + 1 if mark else 1, f"not YAML: {what}"))
    except yaml.reader.ReaderError as error:
        document.problems.append((text[: error.position].count("\n") + 1, f"not YAML: {error.reason}"))
    except RecursionError:
        document.problems.append((1, f"nested more than {MAX_DEPTH} deep"))
    return document


def _build(node: yaml.Node, location: Location, document: Document, depth: int) -> Any:
    line = node.start_mark.line + 1
    document.lines.setdefault(location, line)
    if depth > MAX_DEPTH or len(document.lines) > MAX_NODES:
        problem = "nested too deeply, or too large once aliases are expanded"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(node, location, document, depth)
    if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
        return [_build(item, (*location, i), document, depth + 1) for i, item in enumerate(node.value)]
    scalar = _SCALARS.get(node.tag)
    if not isinstance(node, yaml.ScalarNode) or scalar is None:
        document.problems.append((line, f"the tag {node.tag!r} is not supported; write the plain value"))
        document.has_gaps = True
        return None
    value = scalar(node.value)
    if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        document.problems.append((line, "the text holds half of a surrogate pair, which is no character"))
        document.has_gaps = True
    return value


def _build_mapping(node: yaml.MappingNode, location: Location, document: Document, depth: int) -> dict[str, Any]:
    if node.tag != "tag:yaml.org,2002:map":
        document.problems.append((node.start_mark.line + 1, f"the tag {node.tag!r} is not supported"))
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if key_node.tag == "tag:yaml.org,2002:merge":
            document.problems.append((line, "merge keys (`<<`) are not supported; write the keys out"))
            document.has_gaps = True
            continue
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
            shown = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a list or mapping"
            document.problems.append((line, f"a key must be text, got {shown}; put it in quotes"))
            document.has_gaps = True
            continue
        key = key_node.value
        if key in values:
            first = document.lines[(*location, key)]
            document.problems.append((line, f"the key `{key}` is there twice (first on line {first})"))
            continue
        document.lines[(*location, key)] = line
        values[key] = _build(value_node, (*location, key), document, depth + 1)
    return values


def _integer(text: str) -> int | str:
    digits = text.lstrip("+-").lower()
    if len(digits) > 400:
        return text
    sign = -1 if text.startswith("-") else 1
    return sign * int(digits, {"0o": 8, "0x": 16}.get(digits[:2], 10))


def _number(text: str) -> float:
    return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))


_SCALARS: Mapping[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": _integer,
    "tag:yaml.org,2002:float": _number,
}
