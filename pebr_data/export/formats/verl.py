"""Rows for verl: `prompt` as messages with one `<image>` per image, `images`, `reward_model`, and `extra_info`.

Read from verl-project/verl: `verl/utils/dataset/rl_dataset.py` (`RLHFDataset` loads each Parquet file by `datasets`,
replaces `<image>`, `<video>` and `<audio>` in every message and asserts that there are as many images; an image is a
PIL image or a dict that becomes a part of the message, with `image` a path) and `verl/workers/reward_manager/naive.py`
(the reward is called with `data_source`, `solution_str`, `ground_truth` and `extra_info`, and returns a dict with
`score`). A path in a dict is read by versions before and after plain paths were allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pebr_data.export.formats.base import REWARD_FILE, ExportedSample, image_cells, with_placeholders
from pebr_data.export.formats.features import INTEGER, MESSAGES, STRING, arrow_schema, image_feature
from pebr_data.types import ImagePlacement, Json

if TYPE_CHECKING:
    from pebr_data.manifest import Manifest

_PATHS = {"feature": {"image": STRING}, "_type": "List"}

_REWARD = '''\
"""The reward of this export for verl: 0.9 accuracy + 0.1 format, as pebr gives it. pebr must be installed."""

from pebr_data.export.reward import score_completions


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    """The score of one response and its parts."""
    (score,) = score_completions([solution_str], [extra_info["gold"]])
    return score.named("score")
'''


class VerlFormat:
    """The layout `verl`; see the module."""

    images: tuple[ImagePlacement, ...] = ("embed", "beside")
    shard_file = "data/shard-{:05d}.parquet"
    needs_response = False

    def schema(self, images: ImagePlacement) -> Any:
        """The `pyarrow.Schema`, with the metadata `datasets` reads."""
        return arrow_schema(
            {
                "sample_id": STRING,
                "data_source": STRING,
                "prompt": MESSAGES,
                "images": image_feature(images) if images == "embed" else _PATHS,
                "ability": STRING,
                "reward_model": {"style": STRING, "ground_truth": STRING},
                "extra_info": {"split": STRING, "index": INTEGER, "question": STRING, "gold": STRING},
            }
        )

    def row(self, exported: ExportedSample) -> Mapping[str, Json]:
        """The sample as one row."""
        sample = exported.sample
        return {
            "sample_id": sample.sample_id,
            "data_source": sample.source,
            "prompt": [{"role": "user", "content": with_placeholders(exported)}],
            "images": [{"image": cell} if isinstance(cell, str) else cell for cell in image_cells(exported)],
            "ability": sample.skill or "visual question answering",
            "reward_model": {"style": "rule", "ground_truth": sample.answer},
            "extra_info": {
                "split": sample.split,
                "index": exported.position,
                "question": sample.question,
                "gold": exported.gold,
            },
        }

    def companions(self, manifest: Manifest) -> Mapping[str, str]:
        """The reward function."""
        return {REWARD_FILE: _REWARD}

    def usage(self, manifest: Manifest) -> str:
        """The options that differ from verl's defaults."""
        policy = manifest.fingerprint
        files = ",".join(f"$PWD/{shard.file}" for shard in manifest.shards)
        return f"""\
In this directory (image paths are relative to it), beside your own settings:

```sh
python3 -m verl.trainer.main_ppo algorithm.adv_estimator=grpo \\
  "data.train_files=[{files}]" data.image_key=images data.max_response_length={policy["max_completion_length"]} \\
  actor_rollout_ref.rollout.temperature={policy["temperature"]} actor_rollout_ref.rollout.top_p={policy["top_p"]} \\
  custom_reward_function.path="$PWD/{REWARD_FILE}" custom_reward_function.name=compute_score
```

verl does not tell a reward where the length ran out, so an answer that was cut off is judged as it stands.
"""
