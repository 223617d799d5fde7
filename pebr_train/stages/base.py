"""What a stage is given, and the settings that every stage shares."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pebr_data.errors import ConfigError, DataError
from pebr_data.manifest import Manifest
from pebr_data.models import ResolvedModel
from pebr_train.arithmetic import batch_plan
from pebr_train.checkpoints import Checkpoint
from pebr_train.recipe import StageConfig
from pebr_train.rundir import StageDir


def _silent(done: int, total: int, values: Mapping[str, float]) -> None:
    pass


@dataclass(frozen=True, slots=True)
class StageRequest:
    """Everything a stage needs.

    Attributes:
        stage: Its settings.
        seed: The recipe's.
        num_processes: How many processes train.
        model: The model to start from; for GRPO also the KL reference.
        manifest: The mixture.
        directory: Where the stage keeps what it makes.
        checkpoint: The whole checkpoint to go on from, if any.
        encoder: The dual encoder's model for `similarity`, if any.
        stop_requested: Asked after every step.
        progress: Called after every step with steps done, all steps and the step's metrics.
    """

    stage: StageConfig
    seed: int
    num_processes: int
    model: ResolvedModel
    manifest: Manifest
    directory: StageDir
    checkpoint: Checkpoint | None = None
    encoder: ResolvedModel | None = None
    stop_requested: Callable[[], bool] = field(default=lambda: False)
    progress: Callable[[int, int, Mapping[str, float]], None] = _silent


def shared_arguments(request: StageRequest) -> dict[str, Any]:
    """The settings that `SFTConfig` and `GRPOConfig` have in common."""
    import torch

    stage = request.stage
    on_gpu = torch.cuda.is_available()
    bf16 = stage.bf16 if stage.bf16 is not None else on_gpu and torch.cuda.is_bf16_supported()
    revision = {} if request.model.is_local else {"revision": request.model.hub_revision}
    return {
        "output_dir": str(request.directory.checkpoints),
        "seed": request.seed,
        "learning_rate": stage.learning_rate,
        "lr_scheduler_type": stage.lr_scheduler_type,
        "warmup_steps": stage.warmup_steps,
        "num_train_epochs": stage.num_train_epochs,
        "max_steps": total_steps(request),
        "per_device_train_batch_size": stage.per_device_train_batch_size,
        "gradient_accumulation_steps": stage.gradient_accumulation_steps,
        "gradient_checkpointing": stage.gradient_checkpointing,
        "bf16": bf16,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "steps",
        "save_steps": stage.save_steps,
        "save_total_limit": 2,
        "remove_unused_columns": False,
        "dataloader_pin_memory": on_gpu,
        **stage.trl,
        "model_init_kwargs": {"dtype": "float32", **revision, **stage.trl.get("model_init_kwargs", {})},
    }


def build_config(kind: Any, request: StageRequest, arguments: dict[str, Any]) -> Any:
    """A TRL config.

    Raises:
        ConfigError: TRL refuses a setting or a combination of settings.
    """
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"TRL refuses the settings of the stage {request.stage.name}: {error}",
            help="mend the stage in the recipe",
        ) from error


def total_steps(request: StageRequest) -> int:
    """Optimizer steps of the whole stage.

    Raises:
        DataError: The mixture is too small for a single update.
    """
    plan = batch_plan(request.stage, request.num_processes, request.manifest.num_samples)
    if not plan.optimizer_steps or (plan.prompts_per_generation or 1) > request.manifest.num_samples:
        raise DataError(
            f"the mixture has {request.manifest.num_samples} samples, fewer than the "
            f"{plan.prompts_per_generation} prompts of one generation batch",
            where=f"stage {request.stage.name}",
            help="use smaller batches in the recipe, or a larger mixture in the catalog",
        )
    return plan.optimizer_steps


def fit(trainer: Any, request: StageRequest) -> int:
    """Train from the start or from the checkpoint, and save model and processor; returns the steps taken in all.

    When a stop was asked for, the steps fall short of the stage's and nothing is saved but a checkpoint.
    """
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    checkpoint, total = request.checkpoint, total_steps(request)
    if checkpoint is not None and checkpoint.step >= total:
        trainer._load_from_checkpoint(str(checkpoint.path))
        steps = checkpoint.step
    else:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint.path))
        steps = int(trainer.state.global_step)
    if steps >= total:
        save_final(trainer, request.directory)
    return steps


def save_final(trainer: Any, directory: StageDir) -> None:
    """Write model and processor aside, then rename; `done.json` follows once all is durable."""
    aside = directory.path / ".final"
    trainer.save_model(str(aside))
    if trainer.is_world_process_zero():
        trainer.processing_class.save_pretrained(str(aside))
        (aside / "training_args.bin").unlink(missing_ok=True)
        if directory.final.exists():
            shutil.rmtree(directory.final)
        aside.rename(directory.final)
