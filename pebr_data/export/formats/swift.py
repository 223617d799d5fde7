"""Rows for ms-swift: `messages` with one `<image>` per image, `images` as paths, and columns for the reward.

Read from modelscope/ms-swift: `swift/dataset/preprocessor/core.py` (`MessagesPreprocessor` takes `messages` and
`images`, and leaves other columns to the rewards), `swift/dataset/loader.py` (a path is loaded by `datasets`), the
vision loader (relative paths start from `ROOT_IMAGE_DIR`), `swift/rewards/orm.py` (an `ORM` is called with the
completions and the columns as lists) and the GRPO trainer (which adds `is_truncated`). Rows end with the user's
message: GRPO writes the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pebr_data.export.formats.base import REWARD_FILE, ExportedSample, image_cells, with_placeholders
from pebr_data.export.formats.features import MESSAGES, STRING, arrow_schema, image_feature
from pebr_data.types import ImagePlacement, Json

if TYPE_CHECKING:
    from pebr_data.manifest import Manifest

_REWARD = '''\
"""The reward `pebr` for ms-swift: 0.9 accuracy + 0.1 format, as pebr gives it. pebr must be installed."""

try:
    from swift.rewards import ORM, orms
except ImportError:  # ms-swift 3
    from swift.plugin import ORM, orms

from pebr_data.export.reward import score_completions


class PebrReward(ORM):
    """Scores completions against the column `gold`."""

    def __call__(self, completions, gold, **kwargs):
        """One score per completion."""
        scores = score_completions(completions, gold, truncated=kwargs.get("is_truncated"))
        return [score.total for score in scores]


orms["pebr"] = PebrReward
'''


class SwiftFormat:
    """The layout `swift`; see the module."""

    images: tuple[ImagePlacement, ...] = ("beside",)
    shard_file = "data/shard-{:05d}.jsonl"
    needs_response = False

    def schema(self, images: ImagePlacement) -> Any:
        """The columns and their types."""
        return arrow_schema(
            {
                "sample_id": STRING,
                "messages": MESSAGES,
                "images": image_feature(images),
                "solution": STRING,
                "gold": STRING,
            }
        )

    def row(self, exported: ExportedSample) -> Mapping[str, Json]:
        """The sample as one row."""
        return {
            "sample_id": exported.sample.sample_id,
            "messages": [{"role": "user", "content": with_placeholders(exported)}],
            "images": image_cells(exported),
            "solution": exported.sample.answer,
            "gold": exported.gold,
        }

    def companions(self, manifest: Manifest) -> Mapping[str, str]:
        """The plugin that registers the reward."""
        return {REWARD_FILE: _REWARD}

    def usage(self, manifest: Manifest) -> str:
        """The options that differ from ms-swift's defaults."""
        policy = manifest.fingerprint
        files = " ".join(shard.file for shard in manifest.shards)
        return f"""\
In this directory, beside your own settings:

```sh
ROOT_IMAGE_DIR="$PWD" MAX_PIXELS={policy["max_pixels"]} swift rlhf --rlhf_type grpo --dataset {files} \\
  --external_plugins {REWARD_FILE} --reward_funcs pebr --max_completion_length {policy["max_completion_length"]} \\
  --temperature {policy["temperature"]} --top_p {policy["top_p"]}
```
"""
