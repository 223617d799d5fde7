"""GRPO: perception and reasoning, by TRL's GRPOTrainer with the recipe's rewards.

What is sampled is what was probed: temperature, top_p and completion length come from the mixture's fingerprint. The
KL reference is reloaded by TRL from the directory the stage starts from.
"""

from __future__ import annotations

from typing import Any

from pebr_data.engines.dual_encoder import DualEncoder
from pebr_data.engines.special_tokens import eos_token_ids
from pebr_data.errors import ConfigError, DataError
from pebr_data.models import ResolvedModel
from pebr_data.prompts import open_template
from pebr_train.arithmetic import generation_batch_size, steps_per_generation_batch
from pebr_train.dataset import grpo_dataset
from pebr_train.models import freeze
from pebr_train.recipe import GrpoStage
from pebr_train.rewards import RewardContext, open_rewards
from pebr_train.rollouts import RolloutLog
from pebr_train.stages.base import StageRequest, build_config, fit, shared_arguments


def train_grpo(stage: GrpoStage, request: StageRequest) -> int:
    """Run the stage; returns the optimizer steps it has behind it.

    Raises:
        ConfigError: TRL refuses the settings, or `freeze` does not fit the model.
        DataError: The mixture cannot be trained on.
    """
    from transformers import AutoProcessor

    from pebr_train.callbacks import CheckpointCallback, MetricsCallback, StopCallback
    from pebr_train.stages.grpo_trainer import PebrGRPOTrainer
    from pebr_train.stages.shared_images import share_images

    where = request.model.location
    processor = AutoProcessor.from_pretrained(where, revision=request.model.hub_revision, padding_side="left")
    ends = eos_token_ids(_generation_config(request.model), processor.tokenizer)
    rewards = open_rewards(stage.rewards, _context(request, ends))
    trainer = PebrGRPOTrainer(
        model=where,
        processing_class=processor,
        reward_funcs=list(rewards),
        args=_config(stage, request),
        train_dataset=grpo_dataset(request.manifest, request.directory.cache),
        callbacks=[
            MetricsCallback(request.directory.metrics, request.progress),
            CheckpointCallback(),
            StopCallback(request.stop_requested, every=steps_per_generation_batch(stage, request.num_processes)),
        ],
    )
    trainer.reward_func_names = [reward.name for reward in rewards]
    trainer.rollout_log = RolloutLog(request.directory.rollouts)
    freeze(trainer.model, stage.freeze)
    for model in (trainer.model, trainer.ref_model):
        if model is not None:
            share_images(model)
    return fit(trainer, request)


def _config(stage: GrpoStage, request: StageRequest) -> Any:
    from trl import GRPOConfig

    policy = request.manifest.fingerprint
    if not policy["temperature"]:
        raise DataError(
            "the mixture was probed at temperature 0, where all of a prompt's completions are the same",
            where=str(request.manifest.directory),
            help="probe above 0, then select and export again",
        )
    arguments = {
        **shared_arguments(request),
        "temperature": policy["temperature"],
        "top_p": policy["top_p"],
        "max_completion_length": policy["max_completion_length"],
        "num_generations": stage.num_generations,
        "generation_batch_size": generation_batch_size(stage, request.num_processes),
        "num_iterations": stage.num_iterations,
        "beta": stage.beta,
        "epsilon": stage.epsilon,
        "epsilon_high": stage.epsilon_high,
        "use_bias_correction_kl": stage.use_bias_correction_kl,
        "reward_weights": [reward.weight for reward in stage.rewards],
    }
    return build_config(GRPOConfig, request, arguments)


def _generation_config(model: ResolvedModel) -> Any:
    """The model's generation config; one that brings none gets what transformers makes of its config, as in a probe."""
    from transformers import AutoConfig, GenerationConfig

    where, revision = model.location, model.hub_revision
    try:
        return GenerationConfig.from_pretrained(where, revision=revision)
    except OSError:
        return GenerationConfig.from_model_config(AutoConfig.from_pretrained(where, revision=revision))


def _context(request: StageRequest, ends: frozenset[int]) -> RewardContext:
    def encoder() -> DualEncoder:
        if request.encoder is None:
            raise ConfigError("`similarity` needs `reward_models.clip`", help="set it in the recipe")
        return DualEncoder(request.encoder)

    template = open_template(request.manifest.fingerprint["template"])
    return RewardContext(template.extractors, ends, encoder)
