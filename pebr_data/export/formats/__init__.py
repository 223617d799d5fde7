"""The layouts a mixture can be exported in. Adding one is a module here and a line in `FORMATS`."""

from __future__ import annotations

from pebr_data.export.formats.base import Format
from pebr_data.export.formats.trl import TrlFormat

FORMATS: dict[str, Format] = {"trl": TrlFormat()}
