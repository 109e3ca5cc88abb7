"""Texts in pieces: what is asked of a generator, and what it gives for all that ask together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...errors import InfergraphError
from ...runtime import Outputs
from .decoding import Search
from .drafts import Draft
from .encoder import Ids
from .generator import Generator
from .stream import Follower, settled


@dataclass(frozen=True, slots=True)
class Pieces:
    """A text in pieces that are generated from on their own.

    Attributes:
        texts: The pieces; none is blank. May be empty, when nothing is to be generated.
        between: What stands before, between and after them, one more than there are pieces.
        name: What a piece is, for error texts; empty when the one piece is the whole text.
    """

    texts: Sequence[str]
    between: Sequence[str]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A text to be read.

    Attributes:
        pieces: Its pieces.
        ids: The tokens of each.
        follower: Is given the new text while it is written, if anybody follows it.
    """

    pieces: Pieces
    ids: Sequence[Ids]
    follower: Follower | None = None


@dataclass(slots=True)
class _Answer:
    """The new text of a source, as far as its first pieces are done.

    Attributes:
        source: The source.
        drafts: Of each of its pieces what is written.
        done: How many of the first of them are done.
        text: The text of these, and what stands between them and after them.
    """

    source: Source
    drafts: list[Draft]
    done: int
    text: str


class RunningSources:
    """Answers texts that come and go, the pieces of all of them written together.

    Pieces that have the same answer are written once.

    Args:
        generator: Writes them.
        search: How, see `Search.shared`.
    """

    def __init__(self, generator: Generator, search: Search) -> None:
        self._generator = generator
        self._texts = generator.running(search)
        self._answers: dict[int, _Answer] = {}
        self._drafts: dict[object, Draft] = {}

    def add(self, number: int, source: Source, search: Search) -> None:
        """Takes a source in; its pieces wait to be written."""
        drafts = []
        for place, ids in enumerate(source.ids):
            # Of what is drawn without a seed, each piece has its own.
            drawn = search.do_sample and search.seed is None
            key = object() if drawn else (ids.tobytes(), search)
            if key not in self._drafts:
                self._drafts[key] = self._texts.add(ids, search, place)
            drafts.append(self._drafts[key])
        self._answers[number] = _Answer(source, drafts, 0, source.pieces.between[0])

    def drop(self, number: int) -> None:
        """Gives up a source; pieces that no other one has are not written on."""
        for draft in self._forget([number]):
            if not draft.done:
                self._texts.drop(draft)

    @torch.inference_mode()
    def step(self) -> list[tuple[int, Outputs | InfergraphError | None]]:
        """Writes a token of each piece; gives the `text` of each source that is done with it.

        Of one that is followed it is what was not given before, None if that is nothing.

        Raises: as `RunningTexts.step`.
        """
        self._texts.step()
        results: list[tuple[int, Outputs | InfergraphError | None]] = []
        for number, answer in self._answers.items():
            self._read(answer)
            if answer.done == len(answer.drafts):
                results.append((number, _result(answer)))
            elif answer.source.follower is not None:
                # Of a beam search only the end says what the text is.
                draft = answer.drafts[answer.done]
                begun = settled(self._generator.tokenizer, draft.text) if draft.rows == 1 else ""
                answer.source.follower.grew(answer.text + begun)
        if results:
            self._forget([number for number, _ in results])
        return results

    def _read(self, answer: _Answer) -> None:
        for draft in answer.drafts[answer.done :]:
            if not draft.done:
                break
            answer.done += 1
            answer.text += self._generator.decoded(draft.text)
            answer.text += answer.source.pieces.between[answer.done]

    def _forget(self, numbers: Sequence[int]) -> set[Draft]:
        """Forgets answers; gives the drafts that no other one needs."""
        drafts = {draft for number in numbers for draft in self._answers.pop(number).drafts}
        drafts.difference_update(*(answer.drafts for answer in self._answers.values()))
        self._drafts = {key: each for key, each in self._drafts.items() if each not in drafts}
        return drafts


def _result(answer: _Answer) -> Outputs | InfergraphError | None:
    failed = next((draft.error for draft in answer.drafts if draft.error is not None), None)
    if failed is not None:
        return failed.copy()
    if answer.source.follower is None:
        return {"text": answer.text}
    try:
        rest = answer.source.follower.rest(answer.text)
    except InfergraphError as error:
        return error
    return None if rest is None else {"text": rest}
