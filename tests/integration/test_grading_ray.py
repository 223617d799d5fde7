"""The grader inside Ray workers, which start, fork and kill processes in their own ways."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pebr_data.grading import Attempt, Gold, Grader, grade_batch
from pebr_data.types import Outcome

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'pebr[ray]'")
pytestmark = [pytest.mark.alone, pytest.mark.ray, pytest.mark.slow]

ASKS_A_WORKER = [(r"\int_0^1 2x\,dx", "1"), (r"\lim_{x\to 0}\frac{\sin x}{x}", "2")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80 * 2**20)
    yield
    ray.shutdown()


def outcomes(answers: list[tuple[str, str]]) -> list[str]:
    attempts = [Attempt(f"### The final answer is: {answer}", Gold(gold, "expression")) for answer, gold in answers]
    return [str(grade.outcome) for grade in grade_batch(attempts, Grader())]


@pytest.mark.filterwarnings("ignore")  # Ray's own, at its start
@pytest.mark.usefixtures("cluster")
def test_tasks_and_actors_grade_as_the_driver_does() -> None:
    wanted = outcomes(ASKS_A_WORKER)
    assert wanted == [Outcome.CORRECT, Outcome.WRONG]
    task = ray.remote(outcomes)
    assert ray.get([task.remote(ASKS_A_WORKER) for _ in range(4)], timeout=240) == [wanted] * 4

    @ray.remote
    class Judge:
        def judge(self, answers: list[tuple[str, str]]) -> list[str]:
            return outcomes(answers)

    judges = [Judge.remote() for _ in range(2)]
    assert (
        ray.get([judge.judge.remote(ASKS_A_WORKER) for judge in judges for _ in range(2)], timeout=240) == [wanted] * 4
    )
