"""The stages: supervised warm-up and GRPO, each a function from a `StageRequest` to the steps it took."""
