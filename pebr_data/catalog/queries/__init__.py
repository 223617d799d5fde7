"""The catalog's SQL, one statement or script to a file beside this one."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def load_query(name: str) -> str:
    """The text of `<name>.sql`.

    Raises:
        FileNotFoundError: No such query was packaged.
    """
    return (files(__name__) / f"{name}.sql").read_text(encoding="utf-8")
