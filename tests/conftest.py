"""Settings for every test."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes says more of the machine than of the code.
settings.register_profile("pebr", deadline=None)
settings.load_profile("pebr")
