"""Settings for every test."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more of the machine than of the code. The examples are the same every time, so that a
# run fails for what was changed; `pytest --hypothesis-profile=explore` tries others.
TIMELESS = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("pebr", derandomize=True, **TIMELESS)
settings.register_profile("explore", **TIMELESS)
settings.load_profile("pebr")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files with slow tests first: no process is left alone with one when the others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
