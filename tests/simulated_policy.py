"""A policy in the shapes world whose eyes and reasoning are known: why it fails at a sample is the truth, not a guess.

Shown a scene it mis-sees it with a probability that grows with what makes the scene hard to see (tinted colours,
clutter, occlusion, small objects), and it slips in working out the answer with one that grows with the question's
depth. Described it reads the reference and only the reasoning is left; blind it guesses.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pebr_data.engines.base import Request, Sampling
from pebr_data.types import Condition, Generation, RolloutKey, Sample

MARGIN = 0.2
"""By how much one pass rate must exceed another to be called higher; the diagnosis' own."""


@dataclass(frozen=True)
class Truth:
    """What a sample is to the policy, each a probability.

    Attributes:
        missees: It takes the scene for another.
        slips: It works the answer out wrongly.
        guesses: It is right without having seen anything.
    """

    missees: float
    slips: float
    guesses: float

    def pass_rate(self, condition: Condition) -> float:
        """P(a rollout is correct)."""
        reasons = 1 - self.slips
        rates = {
            Condition.IMAGE: (1 - self.missees) * reasons,
            Condition.DESCRIBED: reasons,
            Condition.BLIND: self.guesses,
        }
        return rates[condition]

    @property
    def bound(self) -> str:
        """What it is bound by: `perception-bound`, `reasoning-bound`, or `hard` where neither can be said."""
        shown, described = self.pass_rate(Condition.IMAGE), self.pass_rate(Condition.DESCRIBED)
        if described > max(0.5, shown + MARGIN):
            return "perception-bound"
        return "reasoning-bound" if described < 0.5 else "hard"


def truth_of(sample: Sample) -> Truth:
    """What a sample of `shapes` is to the policy; the same sample always the same."""
    scene = sample.metadata
    rng = random.Random(f"eyes and reasoning/{sample.sample_id}")
    strain = 0.35 * scene["close_colors"] + 0.06 * scene["clutter"] + 0.15 * scene["num_occluded"]
    strain += 0.5 * scene["num_small"] / scene["num_objects"]
    missees = min(0.95, strain * rng.uniform(0.3, 1.1))
    slips = min(0.95, (0.02, 0.15, 0.5, 0.75)[scene["depth"]] * rng.uniform(0.5, 1.5))
    return Truth(missees, slips, {"yes_no": 0.5, "count": 0.2}.get(str(sample.answer_type), 0.1))


class SimulatedPolicy:
    """The policy as an engine; `generate` sees what any engine sees, and knows the truth besides."""

    name = "transformers"

    def __init__(self, samples: Sequence[Sample], truths: Mapping[str, Truth]) -> None:
        self.samples = {sample.sample_id: sample for sample in samples}
        self.truths = truths
        self.answers = {kind: sorted({one.answer for one in samples if one.answer_type == kind}) for kind in
                        {one.answer_type for one in samples}}  # fmt: skip

    def generate(
        self, requests: Iterable[Request], sampling: Sampling, *, stop: Callable[[], object] | None = None
    ) -> Iterator[tuple[RolloutKey, Generation]]:
        for request in requests:
            parts = request.prompt[0]["content"]
            described = parts[-1]["text"].startswith("The image is described as follows:")
            condition = Condition.DESCRIBED if described else Condition.IMAGE if request.images else Condition.BLIND
            for key in request.keys:
                yield key, self._answer(key, condition)

    def _answer(self, key: RolloutKey, condition: Condition) -> Generation:
        sample, rng = self.samples[key.sample_id], random.Random(key.seed)
        answer = sample.answer
        if rng.random() >= self.truths[key.sample_id].pass_rate(condition):
            answer = rng.choice([one for one in self.answers[sample.answer_type] if one != answer])
        text = f"### Image Description: {sample.description}\n### The final answer is: {answer}"
        return Generation(text, num_tokens=len(text.split()), finish_reason="stop", num_prompt_tokens=9)
