"""Warm-up: supervised fine-tuning on reference responses, with named parts of the model frozen.

Paper: vision tower and projector frozen, learning rate 1e-5, cosine, warm-up 0.1, 2 epochs, global batch 128. TRL's
SFTTrainer has no switch to freeze parts; the loss is on the response only and nothing is truncated.
"""

from __future__ import annotations

from pebr_train.dataset import sft_dataset
from pebr_train.models import freeze
from pebr_train.recipe import SftStage
from pebr_train.stages.base import StageRequest, build_config, fit, shared_arguments


def train_sft(stage: SftStage, request: StageRequest) -> int:
    """Run the stage; returns the optimizer steps it has behind it.

    Raises:
        ConfigError: TRL refuses the settings, or `freeze` does not fit the model.
        DataError: The mixture cannot be trained on.
    """
    from trl import SFTConfig, SFTTrainer

    from pebr_train.callbacks import CheckpointCallback, MetricsCallback, StopCallback

    arguments = {**shared_arguments(request), "max_length": None, "completion_only_loss": True}
    trainer = SFTTrainer(
        model=request.model.location,
        args=build_config(SFTConfig, request, arguments),
        train_dataset=sft_dataset(request.manifest, request.directory.cache),
        callbacks=[
            MetricsCallback(request.directory.metrics, request.progress),
            CheckpointCallback(),
            StopCallback(request.stop_requested, every=1),
        ],
    )
    freeze(trainer.model, stage.freeze)
    return fit(trainer, request)
