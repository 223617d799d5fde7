"""Rows for EasyR1: `problem` with one `<image>` per image, `images`, `answer`, and `gold` for the reward.

Read from hiyouga/EasyR1: `verl/utils/dataset.py` (`RLHFDataset` splits the prompt at `<image>`, takes PIL images, dicts
with `bytes`, or paths that it joins to `data.image_dir`, and lists a directory of data to find its file type, which is
why the shards have one to themselves) and `verl/workers/reward/function.py` (a batch reward gets `response`,
`response_length` and the column that `data.answer_key` names, and returns dicts with `overall`; the file itself says
that it is one, in older releases the option `worker.reward.reward_type` does).
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
"""The reward of this export for EasyR1: 0.9 accuracy + 0.1 format, as pebr gives it. pebr must be installed."""

from pebr_data.export.reward import score_completions

REWARD_NAME = "pebr"
REWARD_TYPE = "batch"


def compute_score(reward_inputs, **kwargs):
    """One dict per response: `overall` and its parts."""
    scores = score_completions(
        [row["response"] for row in reward_inputs],
        [row["ground_truth"] for row in reward_inputs],
        num_tokens=[row["response_length"] for row in reward_inputs],
    )
    return [score.named("overall") for score in scores]
'''


class EasyR1Format:
    """The layout `easyr1`; see the module."""

    images: tuple[ImagePlacement, ...] = ("embed", "beside")
    shard_file = "data/shard-{:05d}.parquet"
    needs_response = False

    def schema(self, images: ImagePlacement) -> Any:
        """The `pyarrow.Schema`, with the metadata `datasets` reads."""
        return arrow_schema(
            {
                "sample_id": STRING,
                "problem": STRING,
                "images": image_feature(images),
                "answer": STRING,
                "gold": STRING,
            }
        )

    def row(self, exported: ExportedSample) -> Mapping[str, Json]:
        """The sample as one row."""
        return {
            "sample_id": exported.sample.sample_id,
            "problem": with_placeholders(exported),
            "images": image_cells(exported),
            "answer": exported.sample.answer,
            "gold": exported.gold,
        }

    def companions(self, manifest: Manifest) -> Mapping[str, str]:
        """The reward function."""
        return {REWARD_FILE: _REWARD}

    def usage(self, manifest: Manifest) -> str:
        """The options that differ from EasyR1's example."""
        policy = manifest.fingerprint
        beside = ' data.image_dir="$PWD"' if manifest.images == "beside" else ""
        return f"""\
The prompt is complete, so no `format_prompt` is added. In this directory, beside your own settings:

```sh
python3 -m verl.trainer.main data.train_files="$PWD/data"{beside} data.prompt_key=problem data.answer_key=gold \\
  data.image_key=images data.format_prompt=null data.min_pixels=null data.max_pixels={policy["max_pixels"]} \\
  data.max_response_length={policy["max_completion_length"]} worker.rollout.temperature={policy["temperature"]} \\
  worker.rollout.top_p={policy["top_p"]} worker.reward.reward_function="$PWD/{REWARD_FILE}:compute_score"
```

Releases before `REWARD_TYPE` was read from that file want `worker.reward.reward_type=batch` too.
"""
