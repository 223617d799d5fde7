from __future__ import annotations

import os
import signal

import pytest

from pebr_data.errors import ConfigError, Interrupted
from pebr_train.interrupts import Interrupts
from pebr_train.knobs import OWNED, trl_fields
from pebr_train.models import PARTS, part_of


@pytest.mark.parametrize(
    ("model_type", "parameter", "part"),
    [
        ("idefics3", "model.vision_model.encoder.layers.0.mlp.fc1.weight", "vision_tower"),
        ("idefics3", "model.connector.modality_projection.proj.weight", "projector"),
        ("idefics3", "model.text_model.layers.0.mlp.up_proj.weight", "language_model"),
        ("idefics3", "lm_head.weight", "language_model"),
        ("qwen2_5_vl", "model.visual.blocks.0.attn.qkv.weight", "vision_tower"),
        ("qwen2_5_vl", "model.visual.merger.mlp.0.weight", "projector"),
        ("qwen2_5_vl", "model.language_model.embed_tokens.weight", "language_model"),
        ("llava", "model.multi_modal_projector.linear_1.weight", "projector"),
        ("idefics3", "model.vision_models.weight", None),
    ],
)
def test_a_parameter_belongs_to_the_part_with_the_longest_matching_name(
    model_type: str, parameter: str, part: str | None
) -> None:
    assert part_of(model_type, parameter) == part


def test_an_unknown_architecture_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'gpt2' has is not known; known are idefics3"):
        part_of("gpt2", "wte.weight")


def test_every_architecture_knows_the_three_parts() -> None:
    assert {tuple(parts) for parts in PARTS.values()} == {("vision_tower", "projector", "language_model")}


def test_trls_settings_are_read_without_importing_torch() -> None:
    pytest.importorskip("trl")
    from dataclasses import fields

    from trl import GRPOConfig, SFTConfig

    for kind, config in (("grpo", GRPOConfig), ("sft", SFTConfig)):
        known = set(trl_fields(kind))  # type: ignore[arg-type]
        assert {field.name for field in fields(config) if field.init} - known == set()


def test_settings_that_pebr_decides_are_settings_of_trl_or_older_names() -> None:
    known = set(trl_fields("grpo")) | set(trl_fields("sft"))

    assert set(OWNED) - known <= {"overwrite_output_dir"}


def test_a_signal_outside_training_ends_the_run_with_the_command_to_go_on() -> None:
    with pytest.raises(Interrupted) as caught, Interrupts("pebr-train run r.yaml"):
        os.kill(os.getpid(), signal.SIGTERM)

    assert caught.value.exit_code == 143
    assert "pebr-train run r.yaml" in str(caught.value.help)


def test_a_first_signal_in_training_is_a_wish_and_a_second_one_an_order() -> None:
    with Interrupts("again") as interrupts, interrupts.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.stop_requested()
        with pytest.raises(Interrupted) as caught:
            os.kill(os.getpid(), signal.SIGINT)

    assert caught.value.exit_code == 130


def test_a_signal_of_before_is_told_at_the_next_check() -> None:
    with Interrupts("again") as interrupts:
        interrupts.check()
        with interrupts.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            interrupts.check()
