"""Settings for every test."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes says more of the machine than of the code. The examples are the same every time, so that a
# run fails for what was changed; `pytest --hypothesis-profile=explore` tries others.
settings.register_profile("pebr", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("pebr")
