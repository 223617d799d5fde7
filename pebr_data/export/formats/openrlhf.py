"""Rows for OpenRLHF: `prompt` with one `<image>` per image, `images`, and `label` for the reward.

Read from OpenRLHF/OpenRLHF: `openrlhf/datasets/prompts_dataset.py` (with `--data.apply_chat_template` a prompt is one
user message, in which `<image>` becomes an image part; `images` and `label` go by `--data.image_key` and
`--data.label_key`), `openrlhf/utils/vlm_utils.py` (an image is a PIL image, bytes, or a path from the working
directory) and `openrlhf/utils/agent.py` (`reward_func(queries, prompts, labels)` gets prompt and response as one text,
special tokens included, and returns `rewards`, `scores` and `extra_logs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pebr_data.export.formats.base import REWARD_FILE, ExportedSample, image_cells, with_placeholders
from pebr_data.export.formats.features import STRING, arrow_schema, image_feature
from pebr_data.types import ImagePlacement, Json

if TYPE_CHECKING:
    from pebr_data.manifest import Manifest

_REWARD = '''\
"""The reward of this export for OpenRLHF: 0.9 accuracy + 0.1 format, as pebr gives it. pebr must be installed."""

import torch

from pebr_data.export.reward import score_queries


def reward_func(queries, prompts, labels, **kwargs):
    """The rewards of responses that stand behind their prompts."""
    scores = [score.named("total") for score in score_queries(queries, prompts, labels)]
    parts = {name: torch.tensor([score[name] for score in scores]) for name in ("total", "accuracy", "format")}
    rewards = parts.pop("total")
    return {"rewards": rewards, "scores": rewards, "extra_logs": parts}
'''


class OpenRlhfFormat:
    """The layout `openrlhf`; see the module."""

    images: tuple[ImagePlacement, ...] = ("embed", "beside")
    shard_file = "data/shard-{:05d}.parquet"
    needs_response = False

    def schema(self, images: ImagePlacement) -> Any:
        """The `pyarrow.Schema`, with the metadata `datasets` reads."""
        return arrow_schema(
            {
                "sample_id": STRING,
                "prompt": STRING,
                "images": image_feature(images),
                "label": STRING,
                "answer": STRING,
                "datasource": STRING,
            }
        )

    def row(self, exported: ExportedSample) -> Mapping[str, Json]:
        """The sample as one row."""
        return {
            "sample_id": exported.sample.sample_id,
            "prompt": with_placeholders(exported),
            "images": image_cells(exported),
            "label": exported.gold,
            "answer": exported.sample.answer,
            "datasource": exported.sample.source,
        }

    def companions(self, manifest: Manifest) -> Mapping[str, str]:
        """The reward function."""
        return {REWARD_FILE: _REWARD}

    def usage(self, manifest: Manifest) -> str:
        """The options that name the data and the reward."""
        policy = manifest.fingerprint
        return f"""\
In this directory (image paths are relative to it), beside your own settings:

```sh
python3 -m openrlhf.cli.train_ppo_ray --data.prompt_dataset "$PWD/data" --data.input_key prompt \\
  --data.image_key images --data.label_key label --data.apply_chat_template --reward.remote_url "$PWD/{REWARD_FILE}" \\
  --rollout.max_new_tokens {policy["max_completion_length"]} \\
  --rollout.temperature {policy["temperature"]} --rollout.top_p {policy["top_p"]}
```
"""
