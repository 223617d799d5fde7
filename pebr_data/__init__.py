"""pebr_data: from a pile of image questions to the training mixtures that teach a model something."""

from __future__ import annotations

__version__ = "0.2.0.dev0"
