"""Texts that share sentences: each sentence is written once, as long as anybody needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from infergraph.errors import StageFailure
from infergraph.tasks.text.drafts import Draft
from infergraph.tasks.text.encoder import Ids
from infergraph.tasks.text.sources import Pieces, RunningSources, Source
from infergraph.tasks.text.stream import Follower

from .test_drafts import SEARCH


class Texts:
    """Writes the tokens that it reads, one in each step."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.dropped: list[list[int]] = []

    def add(self, ids: Ids, search: Any, number: int) -> Draft:
        draft = Draft(ids, search, 0, frozenset({int(ids[-1])}))
        self.drafts.append(draft)
        return draft

    def drop(self, draft: Draft) -> None:
        self.dropped.append(draft.ids.tolist())
        self.drafts.remove(draft)

    def step(self) -> None:
        for draft in self.drafts:
            if not draft.done:
                draft.add(int(draft.ids[draft.count]))


class Letters:
    """A generator whose tokens are letters."""

    def __init__(self) -> None:
        self.texts = Texts()
        self.tokenizer = self

    def running(self, search: Any) -> Texts:
        return self.texts

    def decode(self, tokens: Sequence[int], skip_special_tokens: bool) -> str:
        return "".join(chr(token) for token in tokens if token)

    def decoded(self, tokens: Sequence[int]) -> str:
        return self.decode(tokens, True)


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def running(letters: Letters) -> RunningSources:
    generator: Any = letters
    return RunningSources(generator, SEARCH)


def source(*words: str, follower: Follower | None = None) -> Source:
    pieces = Pieces(words, ["<", *["|"] * (len(words) - 1), ">"] if words else ["<>"])
    return Source(pieces, [np.array([ord(each) for each in word]) for word in words], follower)


def test_pieces_are_joined_as_they_were(running: RunningSources, letters: Letters) -> None:
    running.add(3, source("ab", "c", "ab"), SEARCH)
    running.add(4, source(), SEARCH)

    assert running.step() == [(4, {"text": "<>"})]
    assert running.step() == [(3, {"text": "<ab|c|ab>"})]
    assert len(letters.texts.drafts) == 2


def test_a_piece_that_another_needs_is_not_dropped(
    running: RunningSources, letters: Letters
) -> None:
    running.add(1, source("abc", "de"), SEARCH)
    running.add(2, source("abc"), SEARCH)
    assert running.step() == []

    running.drop(1)

    assert letters.texts.dropped == [[ord("d"), ord("e")]]
    assert [running.step(), running.step()] == [[], [(2, {"text": "<abc>"})]]
    # Nothing is kept of what is done.
    running.add(5, source("abc"), SEARCH)
    assert running.step() == []


def test_a_follower_is_given_the_pieces_in_order(running: RunningSources) -> None:
    given: list[str] = []
    running.add(1, source("abc", "d", follower=Follower(given.append)), SEARCH)

    assert [running.step(), running.step(), running.step()] == [[], [], [(1, {"text": "c|d>"})]]
    assert given == ["<a", "b"]


def test_a_piece_that_fails_fails_those_that_have_it(
    running: RunningSources, letters: Letters
) -> None:
    for number, words in enumerate([("ab", "cd"), ("cd",), ("ef",)]):
        running.add(number, source(*words), SEARCH)
    letters.texts.drafts[1].fail(StageFailure("no numbers"))

    found = dict([*running.step(), *running.step()])

    assert found.pop(2) == {"text": "<ef>"}
    assert [(type(each), str(each)) for each in found.values()] == [
        (StageFailure, "no numbers")
    ] * 2
    assert found[0] is not found[1]


def test_a_text_that_is_not_what_was_given_fails_alone(
    running: RunningSources, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    running.add(1, source("ab", follower=Follower(given.append)), SEARCH)
    running.add(2, source("cd"), SEARCH)
    running.step()
    monkeypatch.setattr(letters, "decoded", lambda tokens: "xy")

    (one, failed), other = running.step()

    assert (one, other, given) == (1, (2, {"text": "<xy>"}), ["<a"])
    assert isinstance(failed, StageFailure)
