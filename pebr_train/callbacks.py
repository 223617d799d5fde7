"""What pebr adds to TRL's training loop: metrics on disk, whole checkpoints, an orderly stop, progress.

Imports transformers: import it where training happens, not where a command line is parsed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from pebr_train import metrics
from pebr_train.checkpoints import mark_complete

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called with the steps done, all steps, and the last metrics."""


class MetricsCallback(TrainerCallback):
    """Appends what TRL logs at each step to the stage's metrics, and tells the progress.

    Args:
        path: The metrics file.
        progress: Called after each logged step.
    """

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path = path
        self.progress = progress

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep the step's figures. The summary TRL logs at the end, which has no loss of its own, is left out."""
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        values = {name: _finite(value) for name, value in logs.items()}
        metrics.append(self.path, state.global_step, values)
        self.progress(state.global_step, state.max_steps, {k: v for k, v in values.items() if v is not None})


class CheckpointCallback(TrainerCallback):
    """Records each checkpoint as whole once every process has written its part."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Mark the checkpoint that was just written."""
        import torch.distributed as dist

        if dist.is_available() and dist.is_initialized():
            dist.barrier()
        if state.is_world_process_zero:
            mark_complete(Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")


class StopCallback(TrainerCallback):
    """Ends training with a checkpoint when a stop was asked for, where no generation batch is cut in two.

    Args:
        stop_requested: Whether it was.
        every: Optimizer steps that one generation batch feeds.
    """

    def __init__(self, stop_requested: Callable[[], bool], every: int) -> None:
        self.stop_requested = stop_requested
        self.every = every

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask the loop to save and stop."""
        if self.stop_requested() and state.global_step % self.every == 0:
            control.should_save = True
            control.should_training_stop = True


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
