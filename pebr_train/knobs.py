"""Which settings the installed TRL has, read from its source, so that checking a recipe never imports torch."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import Literal

from pebr_data.errors import UnavailableError

StageKind = Literal["sft", "grpo"]

_CLASSES: dict[StageKind, tuple[tuple[str, str, str], ...]] = {
    "sft": (("trl", "trainer/sft_config.py", "SFTConfig"),),
    "grpo": (("trl", "trainer/grpo_config.py", "GRPOConfig"),),
}
_BASES = (
    ("trl", "trainer/base_config.py", "_BaseConfig"),
    ("transformers", "training_args.py", "TrainingArguments"),
)

OWNED: dict[str, str] = {
    **dict.fromkeys(("output_dir", "overwrite_output_dir", "resume_from_checkpoint"), "the run directory decides it"),
    **dict.fromkeys(("seed", "data_seed", "full_determinism"), "the recipe's `seed` decides it"),
    **dict.fromkeys(
        ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "generation_kwargs", "max_completion_length"),
        "the catalog's `probe` decides it: the policy that is trained must be the policy that was probed",
    ),
    **dict.fromkeys(("reward_weights",), "each reward's `weight` decides it"),
    **dict.fromkeys(
        ("logging_strategy", "logging_steps", "logging_first_step", "logging_nan_inf_filter", "report_to"),
        "every step is logged to the stage's metrics.jsonl",
    ),
    **dict.fromkeys(("disable_tqdm", "log_completions", "log_level"), "pebr shows progress and keeps every rollout"),
    **dict.fromkeys(
        ("save_strategy", "save_only_model", "load_best_model_at_end", "ignore_data_skip", "push_to_hub"),
        "checkpoints are kept so that a stage can resume; `save_steps` says how often",
    ),
    **dict.fromkeys(("remove_unused_columns", "shuffle_dataset"), "the rewards need every column, in a seeded order"),
    **dict.fromkeys(("max_length", "completion_only_loss", "packing"), "a truncated image would be an error"),
    **dict.fromkeys(("eval_strategy", "do_eval", "do_train", "do_predict"), "`evaluation` decides it"),
}
"""Settings that pebr decides itself, each with the reason; `trl:` may not name them."""


@cache
def trl_fields(kind: StageKind) -> tuple[str, ...]:
    """The names of every setting the installed `SFTConfig` or `GRPOConfig` accepts.

    Raises:
        UnavailableError: TRL or transformers is not installed.
    """
    return tuple(
        name for package, file, class_name in (*_CLASSES[kind], *_BASES) for name in _fields(package, file, class_name)
    )


def _fields(package: str, file: str, class_name: str) -> tuple[str, ...]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UnavailableError(f"`{package}` is not installed", help="pip install 'pebr[train]'")
    tree = ast.parse((Path(spec.submodule_search_locations[0]) / file).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            return tuple(
                item.target.id
                for item in node.body
                if isinstance(item, ast.AnnAssign)
                and isinstance(item.target, ast.Name)
                and not item.target.id.startswith("_")
                and "ClassVar" not in ast.unparse(item.annotation)
            )
    raise UnavailableError(f"the installed `{package}` has no {class_name}", help="pip install 'pebr[train]'")
