from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from infergraph.tasks.recognizers import Bounds, collapse, without_loop

BLANK = 0


def collapsed(*tokens: int) -> list[int]:
    return collapse(np.array(tokens), np.zeros(len(tokens), np.float32), BLANK)[0]


def test_repetitions_are_one_token_and_blanks_none() -> None:
    assert collapsed(1, 1, 0, 1, 2, 2, 0, 0, 3) == [1, 1, 2, 3]
    assert collapsed(0, 0) == []
    assert collapsed() == []


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_equals_the_definition(tokens: list[int]) -> None:
    expected = [token for token, _ in itertools.groupby(tokens) if token != BLANK]

    assert collapsed(*tokens) == expected


def test_a_token_is_as_likely_as_in_its_best_frame() -> None:
    tokens = np.array([0, 1, 1, 0, 1, 2])
    likely = np.array([-5, -3, -1, -5, -2, -3], np.float32)

    assert collapse(tokens, likely, BLANK) == ([1, 1, 2], -2.0)
    assert collapse(tokens[:1], likely[:1], BLANK) == ([], -5.0)


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
