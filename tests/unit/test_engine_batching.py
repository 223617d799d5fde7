"""How requests are put into batches."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pebr_data.engines.base import Request
from pebr_data.engines.batching import FIRST_POOL_BATCHES, POOL_BATCHES, BatchSize, Length, batches
from pebr_data.types import RolloutKey

PICTURE = Image.new("RGB", (4, 4))


def request(number: int, length: int, num_keys: int, shown: bool = True) -> Request:
    prompt = [{"role": "user", "content": [{"type": "text", "text": "x" * length}]}]
    keys = tuple(RolloutKey("probe", f"sample{number}", index) for index in range(num_keys))
    return Request(prompt, (PICTURE,) if shown else (), keys)


def length_of(asked: Request) -> Length:
    return bool(asked.images), len(asked.prompt[0]["content"][0]["text"])


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.booleans()), max_size=80),
    st.integers(1, 20),
    st.integers(1, 20),
)
def test_every_rollout_is_in_one_batch_and_no_batch_is_too_large(
    asked: list[tuple[int, int, bool]], rows: int, enough: int
) -> None:
    requests = [request(number, *rest) for number, rest in enumerate(asked)]
    made = list(batches(requests, length_of, BatchSize(rows, enough)))
    keys = [key for batch in made for piece in batch for key in piece.keys]
    assert sorted(keys, key=str) == sorted((key for one in requests for key in one.keys), key=str)
    for batch in made:
        assert 1 <= sum(len(piece.keys) for piece in batch) <= rows
        assert len({bool(piece.images) for piece in batch}) == 1


def test_prompts_of_one_length_go_together() -> None:
    requests = [request(number, number % 4 + 1, 8) for number in range(64)]
    made = list(batches(requests, length_of, BatchSize(rows=64, enough=64)))
    assert [len({length_of(piece) for piece in batch}) for batch in made] == [1] * 8


def test_rare_lengths_share_a_batch_with_their_neighbours() -> None:
    requests = [request(number, length, 8) for number, length in enumerate([1, 9, 2, 8])]
    made = list(batches(requests, length_of, BatchSize(rows=16, enough=16)))
    assert [sorted(length_of(piece)[1] for piece in batch) for batch in made] == [[8, 9], [1, 2]]


def test_requests_are_read_only_as_far_as_the_pool_has_room() -> None:
    read = 0

    def source() -> Iterator[Request]:
        nonlocal read
        while True:
            read += 1
            yield request(read, 1, 8)

    made = batches(source(), length_of, BatchSize(rows=16, enough=16))
    read_by = []
    for _ in range(POOL_BATCHES):
        next(made)
        read_by.append(read)
    # A batch has two requests. The pool grows by a batch for each that was taken, up to its full size.
    sizes = [*range(FIRST_POOL_BATCHES, POOL_BATCHES), *[POOL_BATCHES] * FIRST_POOL_BATCHES]
    assert read_by == [2 * (waiting + taken) for taken, waiting in enumerate(sizes)]


def test_a_smaller_size_holds_from_the_next_batch_on() -> None:
    size = BatchSize(rows=32, enough=32)
    made = batches([request(number, 1, 8) for number in range(8)], length_of, size)
    assert sum(len(piece.keys) for piece in next(made)) == 32
    size.rows = 8
    assert [sum(len(piece.keys) for piece in batch) for batch in made] == [8, 8, 8, 8]


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 9), st.booleans()), max_size=60),
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(1, 400),
)
def test_no_batch_needs_more_tokens_than_memory_holds(
    asked: list[tuple[int, int, bool]], rows: int, enough: int, tokens: int
) -> None:
    requests = [request(number, *rest) for number, rest in enumerate(asked)]
    made = list(batches(requests, length_of, BatchSize(rows, enough, tokens, max_completion_length=10)))
    keys = [key for batch in made for piece in batch for key in piece.keys]
    assert sorted(keys, key=str) == sorted((key for one in requests for key in one.keys), key=str)
    for batch in made:
        num_rows = sum(len(piece.keys) for piece in batch)
        longest = max(length_of(piece)[1] for piece in batch)
        assert num_rows <= rows
        assert num_rows == 1 or num_rows * (longest + 10) <= tokens


def test_long_prompts_go_in_smaller_batches_than_short_ones() -> None:
    requests = [request(number, 10 if number < 8 else 90, 4) for number in range(16)]
    size = BatchSize(rows=16, enough=16, tokens=16 * 20, max_completion_length=10)
    made = [
        (length_of(batch[0])[1], sum(len(piece.keys) for piece in batch))
        for batch in batches(requests, length_of, size)
    ]
    assert sorted(made) == [(10, 16)] * 2 + [(90, 1)] * 8 + [(90, 3)] * 8
