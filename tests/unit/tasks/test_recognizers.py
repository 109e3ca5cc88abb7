from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from infergraph.tasks.recognizers import collapse

BLANK = 0


def test_repetitions_are_one_token_and_blanks_none() -> None:
    tokens = np.array([[1, 1, 0, 1, 2, 2, 0, 0, 3]])

    assert collapse(tokens, np.array([9]), BLANK) == [[1, 1, 2, 3]]


def test_frames_past_the_end_do_not_count() -> None:
    tokens = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]])

    assert collapse(tokens, np.array([2, 0, 4]), BLANK) == [[1, 2], [], [1, 2, 3, 4]]


@given(st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=5))
def test_equals_the_definition(rows: list[list[int]]) -> None:
    expected = [
        [token for token, _ in itertools.groupby(row[:5]) if token != BLANK] for row in rows
    ]

    assert collapse(np.array(rows), np.full(len(rows), 5), BLANK) == expected
