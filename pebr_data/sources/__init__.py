"""Where samples come from. `base.open_source` opens any source that a catalog YAML declares."""

from __future__ import annotations
