from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from infergraph.tasks.text.drafts import BeamDraft, Draft

from ..text_families import GREEDY

START, END = 0, 1
SEARCH = replace(GREEDY, max_new_tokens=10, num_beams=2)


def beams(**choices: Any) -> BeamDraft:
    return BeamDraft(np.array([5]), replace(SEARCH, **choices), START, frozenset({END}))


@pytest.mark.parametrize(("tokens", "done"), [([7, 8], False), ([7, END], True), ([7, 8, 9], True)])
def test_a_text_ends_with_an_end_or_at_its_length(tokens: list[int], done: bool) -> None:
    search = replace(SEARCH, num_beams=1, max_new_tokens=3)
    draft = Draft(np.array([5]), search, START, frozenset({END}))
    for token in tokens:
        assert not draft.done
        draft.add(token)

    assert (draft.text, draft.count, draft.done) == ([START, *tokens], len(tokens), done)


def test_the_likeliest_continuations_go_on() -> None:
    draft = beams()
    assert draft.choose([-1, -2, -3, -4], [0, 0, 0, 0], [7, 8, 9, 6]) == [0, 0]

    assert draft.choose([-1.5, -2.5, -2.6, -3], [1, 0, 1, 0], [6, 6, 7, 7]) == [1, 0]

    assert draft.written == [[START, 8, 6], [START, 7, 6]]
    assert draft.scores == [-1.5, -2.5]
    assert not draft.done


def test_what_ends_makes_room_for_others_and_counts_only_among_the_best() -> None:
    draft = beams(early_stopping=True)
    draft.choose([-1, -2, -3, -4], [0, 0, 0, 0], [7, 8, 9, 6])

    assert draft.choose([-1.5, -2, -2.6, -3], [0, 0, 1, 1], [END, 6, END, 6]) == [0, 1]

    assert draft.written == [[START, 7, 6], [START, 8, 6]]
    assert (draft.text, draft.done) == ([START, 7, END], False)


@pytest.mark.parametrize(("penalty", "text"), [(0.0, [0, END]), (2.0, [0, 7, END])])
def test_a_length_penalty_favours_longer_texts(penalty: float, text: list[int]) -> None:
    draft = beams(length_penalty=penalty, early_stopping=True)
    draft.choose([-1.0, -1.1, -3, -4], [0, 0, 0, 0], [END, 7, 8, 9])

    draft.choose([-1.2, -2, -3, -4], [0, 0, 1, 1], [END, 7, 8, 9])

    assert (draft.text, draft.done) == (text, True)


@pytest.mark.parametrize(
    ("early", "penalty", "done"),
    # At its length of now the best of the rows is worse; as long as may be it is better.
    [(True, 1.0, True), (False, 1.0, True), ("never", 1.0, False), ("never", -1.0, True)],
)
def test_when_nothing_better_may_come(early: Any, penalty: float, done: bool) -> None:
    draft = beams(early_stopping=early, length_penalty=penalty)

    draft.choose([-0.9, -1.0, -1.1, -1.2], [0, 0, 0, 0], [END, END, 7, 8])

    assert draft.done is done


def test_better_ends_take_the_places_of_worse() -> None:
    draft = beams(early_stopping="never")
    draft.choose([-0.9, -1.0, -1.1, -1.2], [0, 0, 0, 0], [END, END, 7, 8])

    draft.choose([-1.3, -1.4, -1.5, -1.6], [0, 1, 0, 1], [END, 6, 6, 7])

    assert draft.text == [START, 7, END]
    assert draft._ended == [(-0.65, [START, 7, END]), (-0.9, [START, END])]


def test_at_its_length_a_text_is_the_best_there_is() -> None:
    draft = beams(max_new_tokens=2)
    draft.choose([-1, -2, -3, -4], [0, 0, 0, 0], [7, 8, 9, 6])
    draft.choose([-1.5, -2.5, -2.6, -3], [1, 0, 1, 0], [6, 6, 7, 7])

    assert (draft.text, draft.done) == ([START, 8, 6], True)
