"""Forecasts that take training into account, against two stages whose learning is known.

    python -m tests.bench.drift [--repetitions 30]        # some nine minutes

A policy's log-odds change by a mean and by a standard deviation over samples (`alike`, `apart`) in 24 updates of 16
prompts. The first stage is three times over 128 samples, whose groups teach how pass rates change; the second is over
256 others, after the first. In how many of the repetitions the second's figures were in their 95 % intervals.
"""

from __future__ import annotations

import argparse

import numpy as np

from tests.drifting import UPDATES, Policy, holds, two_stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=30)
    asked = parser.parse_args()
    print(f"{'':13} {'zero variance':>29} {'mean reward':>12} {'within what is believed':>24}")
    columns = ("trained", "error", "as probed", "trained", "alike", "apart")
    print(f"{'alike, apart':13}" + "".join(f" {one:>{9 if i < 3 else 12}}" for i, one in enumerate(columns)))
    for policy in (Policy(0.0, 0.0), Policy(0.8, 0.0), Policy(0.5, 0.8), Policy(-0.3, 1.2)):
        found = [two_stages(policy, seed) for seed in range(asked.repetitions)]
        believed = [one.drift.expected() for one in found]
        told = (
            sum(holds(one.trained.zero_variance, one.zero_variance) for one in found),
            f"{100 * np.mean([one.trained.zero_variance.mean - one.zero_variance for one in found]):+.1f}",
            sum(holds(one.plain.zero_variance, one.zero_variance) for one in found),
            sum(holds(one.trained.mean_reward, one.mean_reward) for one in found),
            sum(holds(shift, policy.alike / UPDATES) for shift, _ in believed),
            # A spread of none is at the end of what is possible, where no interval reaches it.
            sum(spread.low - 0.02 <= policy.apart / UPDATES**0.5 <= spread.high for _, spread in believed),
        )
        print(
            f"{policy.alike:6.1f}, {policy.apart:4.1f} "
            + "".join(f" {one:>{9 if i < 3 else 12}}" for i, one in enumerate(told)),
            flush=True,
        )


if __name__ == "__main__":
    main()
