from __future__ import annotations

import pytest
import torch

from infergraph.tasks.speech.doubts import Bounds, Doubts, without_loop

WORDS = [7, 8, 9, 7, 1, 2]


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        ([*WORDS, *[3] * 16], [*WORDS, 3]),
        ([*WORDS, *[3] * 15], None),
        ([*WORDS, *[3, 4] * 8], [*WORDS, 3, 4]),
        ([*WORDS, *[3, 4] * 20, 3], [*WORDS, 3, 4]),
        ([3, 4] * 8, [3, 4]),
        ([*WORDS, *range(20, 30), *WORDS] * 4, [*WORDS, *range(20, 30), *WORDS]),
        ([*WORDS, *range(20, 30), *WORDS] * 3, None),
        ([*[3] * 40, 5], None),
        ([], None),
    ],
    ids=[
        *("a token", "too short", "two tokens", "two and a half", "nothing else"),
        *("a sentence four times", "three times", "over in the end", "nothing"),
    ],
)
def test_a_loop_is_said_once(tokens: list[int], kept: list[int] | None) -> None:
    assert without_loop(tokens) == (tokens if kept is None else kept)


def test_rows_end_at_their_most_tokens_and_in_loops() -> None:
    bounds = Bounds([20, 18, 99])
    rows = [list(range(100, 130)), list(range(100, 130)), [*range(100, 110), *[1, 2] * 10]]
    prompt = [50, 51]

    ended: dict[int, int] = {}
    for count in range(1, 31):
        ids = torch.tensor([prompt + row[:count] for row in rows])
        for row, done in enumerate(bounds(ids, None).tolist()):
            if done:
                ended.setdefault(row, count)

    assert bounds.prompt == [prompt] * 3
    assert ended == {0: 20, 1: 18, 2: 10 + 16}


def test_all_beams_of_a_row_have_its_bound() -> None:
    bounds = Bounds([2, 3])
    ids = torch.arange(4 * 3).reshape(4, 3)

    assert bounds(ids[:, :2], None).tolist() == [False] * 4
    assert bounds(ids, None).tolist() == [True, True, False, False]
    assert bounds.prompt == [[0], [6]]


def test_short_sound_may_have_16_tokens() -> None:
    doubts = Doubts(min_score=0.1, max_tokens_per_second=10)

    assert [doubts.most_tokens(seconds) for seconds in (0.1, 1.6, 1.61, 30)] == [16, 16, 17, 300]


def test_a_text_of_repetitions_shrinks() -> None:
    doubts = Doubts(min_score=0.1)

    assert doubts.repetitive("and, " * 20)
    assert not doubts.repetitive("no, no, no, no")
    assert not doubts.repetitive("Which animal does Oscar have, and who is Karen?")
    assert not doubts.repetitive("")
