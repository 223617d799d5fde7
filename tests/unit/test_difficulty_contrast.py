from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pebr_data.difficulty.contrast import above, exceeds

pairs = st.integers(0, 8).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@settings(deadline=None, max_examples=25)
@given(pairs, pairs, st.sampled_from([0.0, 0.2]))
def test_both_are_what_draws_from_the_posteriors_give(
    first: tuple[int, int], second: tuple[int, int], margin: float
) -> None:
    (k, n), (j, m) = first, second
    rng = np.random.default_rng(0)
    p, q = rng.beta(1 + k, 1 + n - k, 200_000), rng.beta(1 + j, 1 + m - j, 200_000)
    assert above([k], [n], 0.5)[0] == pytest.approx((p > 0.5).mean(), abs=0.006)
    assert exceeds([k], [n], [j], [m], margin)[0] == pytest.approx((p > q + margin).mean(), abs=0.006)


def test_thresholds_may_differ_by_sample_and_lie_outside() -> None:
    assert above([4, 4, 4], [8, 8, 8], [0.5, -0.2, 1.2]) == pytest.approx([0.5, 1.0, 0.0])
    assert exceeds([], [], [], []).shape == (0,)
