"""The layouts a mixture can be exported in. Adding one is a module here and a line in `FORMATS`."""

from __future__ import annotations

from pebr_data.export.formats.base import Format
from pebr_data.export.formats.easyr1 import EasyR1Format
from pebr_data.export.formats.llamafactory import LlamaFactoryFormat
from pebr_data.export.formats.openrlhf import OpenRlhfFormat
from pebr_data.export.formats.swift import SwiftFormat
from pebr_data.export.formats.trl import TrlFormat
from pebr_data.export.formats.verl import VerlFormat

FORMATS: dict[str, Format] = {
    "trl": TrlFormat(),
    "easyr1": EasyR1Format(),
    "verl": VerlFormat(),
    "swift": SwiftFormat(),
    "llamafactory": LlamaFactoryFormat(),
    "openrlhf": OpenRlhfFormat(),
}
