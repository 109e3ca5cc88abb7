"""What is written of one text: greedily, at random, or as the best of a beam search."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from random import Random

from ...errors import InfergraphError
from .decoding import Search
from .encoder import Ids

_NEVER = -1e9
"""The score of a beam that is not there; transformers' own, so that sums are the same."""


class Draft:
    """Takes one token at a time: the likeliest, or one drawn.

    Args:
        ids: The tokens of the text that is read.
        search: How to write.
        start: The token before the first.
        ends: The tokens that end a text.

    Attributes:
        ids: As given.
        search: As given.
        written: The tokens of each of its rows, the one before the first included.
        text: The tokens of the answer; so far, if it may still change.
        done: Whether nothing is to be added.
        error: Why it cannot be written, if so.
    """

    rows = 1
    """How many rows of the network it takes."""

    def __init__(self, ids: Ids, search: Search, start: int, ends: frozenset[int]) -> None:
        self.ids = ids
        self.search = search
        self.written = [[start]]
        self.done = False
        self.error: InfergraphError | None = None
        self._ends = ends
        # What the seed and the text give, so that a sample does not depend on its batch.
        if search.do_sample:
            seed = f"{search.seed} {ids.tolist()}".encode()
            self._random = Random(secrets.token_bytes(16) if search.seed is None else seed)

    @property
    def count(self) -> int:
        """How many tokens were written."""
        return len(self.written[0]) - 1

    @property
    def text(self) -> list[int]:
        return self.written[0]

    def draw(self) -> float:
        """Its next random number, from 0 to below 1."""
        return self._random.random()

    def add(self, token: int) -> None:
        """Takes the next token."""
        self.written[0].append(token)
        self.done = self._ends_with(token)

    def fail(self, error: InfergraphError) -> None:
        """Notes that it cannot be written."""
        self.error, self.done = error, True

    def _ends_with(self, token: int) -> bool:
        return token in self._ends or self.count == self.search.max_new_tokens


class BeamDraft(Draft):
    """Follows the likeliest beginnings of a text, and keeps the best of those that have ended.

    Its rules are those of transformers, so that its answers are the same.

    Attributes:
        scores: The sum of the logarithms of each row's probabilities.
    """

    def __init__(self, ids: Ids, search: Search, start: int, ends: frozenset[int]) -> None:
        super().__init__(ids, search, start, ends)
        self.rows = search.num_beams
        self.written = [[start] for _ in range(self.rows)]
        self.scores = [0.0] + [_NEVER] * (self.rows - 1)
        self._ended: list[tuple[float, list[int]]] = []

    @property
    def text(self) -> list[int]:
        return self._ended[0][1] if self._ended else self.written[0]

    def choose(
        self, scores: Sequence[float], rows: Sequence[int], tokens: Sequence[int]
    ) -> list[int]:
        """Takes the likeliest continuations.

        Args:
            scores: Those of the continuations, the best first, at least two for each of its rows.
            rows: Which row each continues.
            tokens: With which token.

        Returns:
            Of each new row the number of the row that it continues.
        """
        count = self.count + 1
        last = count == self.search.max_new_tokens
        going: list[tuple[float, int, list[int]]] = []
        for rank, (score, row, token) in enumerate(zip(scores, rows, tokens, strict=True)):
            if not last and token not in self._ends:
                if len(going) < self.rows:
                    going.append((score, row, [*self.written[row], token]))
            elif rank < self.rows and not (self._full and self.search.early_stopping is True):
                self._end(score / count**self.search.length_penalty, [*self.written[row], token])
        if last:
            self.done = True
            return list(range(self.rows))
        self.scores = [score for score, _, _ in going]
        self.written = [text for _, _, text in going]
        self.done = self._full and (self.search.early_stopping is True or not self._may_improve())
        return [row for _, row, _ in going]

    @property
    def _full(self) -> bool:
        return len(self._ended) == self.rows

    def _end(self, score: float, text: list[int]) -> None:
        self._ended.append((score, text))
        self._ended.sort(key=lambda ended: -ended[0])
        del self._ended[self.rows :]

    def _may_improve(self) -> bool:
        """Whether the best of the rows could still end better than the worst that has ended."""
        penalty, length = self.search.length_penalty, self.count
        if self.search.early_stopping == "never" and penalty > 0:
            length = self.search.max_new_tokens
        best: float = self.scores[0] / length**penalty
        return best > self._ended[-1][0]
