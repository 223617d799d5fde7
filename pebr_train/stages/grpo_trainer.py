"""TRL's GRPOTrainer with rollouts on disk, dead groups counted per reward, epochs that resume, and faster sampling.

It overrides three methods of TRL 1.16 (`_calculate_rewards`, `_generate_single_turn`, `_get_train_sampler`); the
project pins that version. Imports TRL: import it where training happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from trl import GRPOTrainer
from trl.trainer.utils import RepeatSampler

from pebr_data.engines.base import Sampling
from pebr_train.rollouts import RolloutLog
from pebr_train.stages.sampling import sample_groups


class PebrGRPOTrainer(GRPOTrainer):
    """GRPOTrainer that keeps what it samples.

    Attributes:
        rollout_log: Where every completion goes; set before training.
    """

    rollout_log: RolloutLog

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> torch.Tensor:
        """Rewards (B over all processes, rewards), as TRL computes them; logged per group and kept per completion.

        TRL's own `frac_reward_zero_std` looks at the weighted sum, where a continuous reward hides a dead accuracy.
        """
        rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        named = {f"rewards/{name}": rewards[:, position] for position, name in enumerate(self.reward_func_names)}
        total = (rewards * self.reward_weights.to(rewards.device)).nansum(dim=1)
        total[torch.isnan(rewards).all(dim=1)] = torch.nan  # no reward applies
        named["reward"] = total
        for name, values in named.items():
            share = zero_variance_share(values.view(-1, self.num_generations))
            if share is not None:
                self._metrics["train"][f"{name}/zero_variance_share"].append(share)
        self._log_rollouts(inputs, completions, completion_ids_list, named)
        return rewards

    def _log_rollouts(
        self, inputs: list[dict[str, Any]], completions: list[Any], ids: list[list[int]], named: dict[str, torch.Tensor]
    ) -> None:
        first = self.accelerator.process_index * len(inputs)
        rows = range(first, first + len(inputs))
        self.rollout_log.write(
            self.state.global_step,
            self.accelerator.process_index,
            {
                "step": [self.state.global_step] * len(inputs),
                "prompt_index": [row // self.num_generations for row in rows],
                "generation_index": [row % self.num_generations for row in rows],
                "sample_id": [row["sample_id"] for row in inputs],
                "completion": [completion[0]["content"] for completion in completions],
                "num_tokens": [len(tokens) for tokens in ids],
                "finish_reason": ["stop" if one and one[-1] in self.eos_token_ids else "length" for one in ids],
                **{
                    name.replace("rewards/", "reward_"): values[first : first + len(inputs)].tolist()
                    for name, values in named.items()
                },
            },
        )

    def _generate_single_turn(
        self,
        prompt_ids: list[list[int]],
        images: Any,
        multimodal_fields: dict[str, Any],
        num_generations: int,
        has_tool_images: bool = False,
    ) -> tuple[list[list[int]], Any]:
        """Completions and no log-probabilities; one process samples with the probe's own loop where that fits."""
        if not self.use_vllm and self.accelerator.num_processes == 1:
            completions = sample_groups(
                self.accelerator.unwrap_model(self.model),
                prompt_ids,
                multimodal_fields,
                num_generations,
                Sampling(self.temperature, self.top_p, self.max_completion_length),
                num_images=None if images is None else [len(of_prompt or ()) for of_prompt in images],
                pad_token_id=self._tokenizer.pad_token_id,
                eos_token_ids=self.eos_token_ids,
            )
            if completions is not None:
                return completions, None
        sampled: tuple[list[list[int]], Any] = super()._generate_single_turn(
            prompt_ids, images, multimodal_fields, num_generations, has_tool_images
        )
        return sampled

    def _get_train_sampler(self, dataset: Any = None) -> RepeatSampler:
        sampler = super()._get_train_sampler(dataset)
        return EpochSampler(
            data_source=sampler.data_source,
            mini_repeat_count=sampler.mini_repeat_count,
            batch_size=sampler.batch_size,
            repeat_count=sampler.repeat_count,
            shuffle=sampler.shuffle,
            seed=sampler.seed,
            epoch=lambda: int(round(self.state.epoch or 0.0, 6)),
        )


class EpochSampler(RepeatSampler):
    """TRL's sampler with an order that depends on the seed and the epoch alone.

    TRL draws each epoch's order from a generator that a resumed run starts anew, so that a run resumed in its second
    epoch would repeat the first one's order.

    Args:
        epoch: The epoch that is about to begin.
        **kwargs: As `RepeatSampler` takes them.
    """

    def __init__(self, *, epoch: Callable[[], int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:
            self.generator.manual_seed((self.seed or 0) * 1_000_003 + self.epoch())
        yield from super().__iter__()


def zero_variance_share(groups: torch.Tensor) -> float | None:
    """The share of groups (N, G) in which a reward is the same for all completions, so that it teaches nothing.

    Groups that a reward does not apply to (NaN) are not counted; None when it applies to none.
    """
    applies = ~torch.isnan(groups)
    scored = groups[applies.sum(dim=1) >= 2]
    if not len(scored):
        return None
    high = scored.nan_to_num(nan=-torch.inf).amax(dim=1)
    low = scored.nan_to_num(nan=torch.inf).amin(dim=1)
    return float((high - low < 1e-6).float().mean())
