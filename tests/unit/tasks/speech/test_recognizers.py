from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from infergraph.tasks.speech.recognizers import collapse

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
