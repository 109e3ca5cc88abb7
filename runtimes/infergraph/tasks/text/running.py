"""`RunningTexts`: texts that are written together, and that come and go between two tokens."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Protocol

import torch
from transformers.generation.logits_process import LogitsProcessorList

from ...errors import StageFailure
from ..minibatches import minibatches
from .decoding import Search
from .drafts import BeamDraft, Draft
from .encoder import Ids
from .rows import Decoder, Rows
from .rules import NO_IDS, Rules, draw, shaping

_BEGINNING = 2
"""How many steps of the texts that run it takes to begin others: they are read, and their first
tokens are written."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is written together.

    Attributes:
        texts: Most texts.
        tokens: The most that they have read, padding included, times the beams of their search; a
            longer text runs alone.
        mixed: Whether texts that have read or written unequal numbers of tokens run together.
        call: What it costs to read texts however short they are, in tokens.
    """

    texts: int
    tokens: float
    mixed: bool
    call: float


@dataclass(slots=True)
class _Waiting:
    text: Draft
    order: tuple[int, int]


@dataclass(slots=True)
class _Together:
    """Texts, with their rules and their rows."""

    texts: list[Draft]
    rules: list[LogitsProcessorList]
    rows: Rows

    def join(self, others: _Together) -> None:
        self.texts += others.texts
        self.rules += others.rules
        self.rows.join(others.rows)

    def take(self, rows: list[int], kept: Sequence[Draft]) -> None:
        """Keeps some texts, and of their rows those of these numbers, in this order."""
        fewer = len(kept) < len(self.texts)
        if fewer:
            known = set(kept)
            pairs = zip(self.texts, self.rules, strict=True)
            self.rules = [rules for text, rules in pairs if text in known]
            self.texts = list(kept)
        if rows and (fewer or rows != list(range(len(rows)))):
            self.rows.take(rows, reading=fewer)


class Observer(Protocol):
    """Told of what is computed, for metrics."""

    def observe_padding(self, real: int, padded: int) -> None:
        """Texts of `real` tokens were read, and `padded` tokens computed for it."""

    def observe_step(self, rows: int, tokens: int) -> None:
        """A step wrote a token of so many rows; the texts that it ended have so many tokens."""


class RunningTexts:
    """Writes texts together, each as if it were alone.

    Padding is masked in every attention, and what is chosen for a text looks at nothing of the
    others; a sampled one has random numbers of its own.

    What remains is rounding, for another batch shape sums up in another order. It changes a token
    only where two are equally likely to the last digits: about seven of them in fp32, but only two
    or three in bf16 and fp16, so that there long texts can differ.

    Texts that come wait until they have waited together as long as those that run would have to
    wait while they begin: so nobody is held up for long, and few beginnings are for few texts.

    Args:
        decoder: The network.
        rules: Which tokens it may write.
        start: The token before the first of each text.
        search: How to write; the limits of length and the seed are those of each text.
        limits: How much is written together.
        batch: Makes what the network reads of the tokens of texts.
        observer: Told of what is computed.
    """

    def __init__(
        self,
        decoder: Decoder,
        rules: Rules,
        start: int,
        search: Search,
        limits: Limits,
        batch: Callable[[Sequence[Ids]], dict[str, torch.Tensor]],
        observer: Observer,
    ) -> None:
        self._decoder = decoder
        self._rules = rules
        self._start = start
        self._search = search
        self._limits = limits
        self._batch = batch
        self._observer = observer
        self._shaping = shaping(search)
        self._waiting: list[_Waiting] = []
        self._running: _Together | None = None
        self._dropped: set[Draft] = set()
        self._came = self._begun = self._waited = 0

    def __len__(self) -> int:
        """How many texts wait or run."""
        running = self._running.texts if self._running else ()
        return len(self._waiting) + len(running) - len(self._dropped)

    def add(self, ids: Ids, search: Search, number: int = 0) -> Draft:
        """A text that waits to be written.

        Args:
            ids: The tokens of the text to read, INT64 [tokens].
            search: As that of all texts, but for the limits of length and the seed.
            number: How many texts its request has before it. Those of later requests that have
                fewer do not wait for it.
        """
        kind = BeamDraft if search.num_beams > 1 else Draft
        text = kind(ids, search, self._start, self._rules.ends)
        waiting = _Waiting(text, (self._begun + number, self._came))
        bisect.insort(self._waiting, waiting, key=attrgetter("order"))
        self._came += 1
        return text

    def drop(self, text: Draft) -> None:
        """Gives up a text that is not done; its rows are free from the next step on."""
        left = [each for each in self._waiting if each.text is not text]
        if len(left) == len(self._waiting):
            self._dropped.add(text)
        self._waiting = left

    def step(self) -> list[Draft]:
        """Writes a token of each text that runs, and lets others begin; gives those that are done.

        Raises:
            BatchAbandoned: nobody waits for any of them, see `check_wanted`.
            StageFailure: the network computed values that are no numbers, of texts that run. One
                that cannot even begin is done, with that error.
        """
        self._forget_dropped()
        done: list[Draft] = []
        for texts in self._due():
            done += self._begin_each(texts)
        rows = 0
        if (together := self._running) is not None:
            tokens = [row[-1] for text in together.texts for row in text.written]
            done += self._write(together, self._decoder.step(together.rows, tokens))
            if not together.texts:
                self._running = None
            rows = len(tokens)
        self._observer.observe_step(rows, sum(len(text.text) - 1 for text in done))
        return done

    def _forget_dropped(self) -> None:
        together = self._running
        if together is not None and self._dropped:
            rows: list[int] = []
            row = 0
            for text in together.texts:
                if text not in self._dropped:
                    rows += range(row, row + text.rows)
                row += text.rows
            kept = [text for text in together.texts if text not in self._dropped]
            if kept:
                together.take(rows, kept)
            else:
                self._running = None
        self._dropped.clear()

    def _due(self) -> list[list[Draft]]:
        """The texts that begin now, those together that are read together."""
        running = self._running.texts if self._running else []
        chosen = self._fitting(running)
        self._waited += len(chosen)
        if not chosen or (running and self._waited < _BEGINNING * len(running)):
            return []
        self._begun += 1
        self._waited = 0
        del self._waiting[: len(chosen)]
        lengths = [len(text.ids) for text in chosen]
        divided = minibatches(lengths, len(chosen), min_fill=0, call=self._limits.call)
        return [[chosen[index] for index in indices] for indices in divided]

    def _fitting(self, running: Sequence[Draft]) -> list[Draft]:
        """The first of the texts that wait for which there is room."""
        limits, search = self._limits, self._search
        if running and not limits.mixed:
            return []
        chosen: list[Draft] = []
        longest = max((len(text.ids) for text in running), default=0)
        for waiting in self._waiting[: limits.texts - len(running)]:
            text, count = waiting.text, len(running) + len(chosen)
            alike = limits.mixed or not chosen or len(text.ids) == longest
            longest = max(longest, len(text.ids))
            work = (count + 1) * longest * search.num_beams
            if count and (work > limits.tokens or not alike):
                break
            chosen.append(text)
        return chosen

    def _begin_each(self, texts: list[Draft]) -> list[Draft]:
        """Begins texts; one that the network has no numbers for fails, and no other with it."""
        try:
            return self._begin(texts)
        except StageFailure as error:
            if len(texts) == 1:
                texts[0].fail(error)
                return texts
        return [done for text in texts for done in self._begin_each([text])]

    def _begin(self, texts: list[Draft]) -> list[Draft]:
        batch = self._batch([text.ids for text in texts])
        self._observer.observe_padding(
            sum(len(text.ids) for text in texts), batch["input_ids"].numel()
        )
        rows, scores = self._decoder.begin(batch, self._start, self._search.num_beams)
        begun = _Together(texts, [self._rules.of_text(text) for text in texts], rows)
        done = self._write(begun, scores)
        if begun.texts and self._running is not None:
            self._running.join(begun)
        elif begun.texts:
            self._running = begun
        return done

    def _write(self, together: _Together, scores: torch.Tensor) -> list[Draft]:
        """Adds a token to each of the texts; removes those that are done, and gives them."""
        texts = together.texts
        if self._search.num_beams > 1:
            scores = scores.log_softmax(-1)
        scores = self._rules.apply(texts, together.rules, scores)
        if self._search.num_beams > 1:
            rows = self._continue_beams(texts, scores)
        else:
            self._add_tokens(texts, scores)
            rows = [row for row, text in enumerate(texts) if not text.done]
        done = [text for text in texts if text.done]
        together.take(rows, [text for text in texts if not text.done] if done else texts)
        return done

    def _add_tokens(self, texts: Sequence[Draft], scores: torch.Tensor) -> None:
        tokens: list[int]
        if self._search.do_sample:
            tokens = draw(self._shaping(NO_IDS, scores), [text.draw() for text in texts])
        else:
            tokens = scores.argmax(-1).tolist()
        for text, token in zip(texts, tokens, strict=True):
            text.add(token)

    def _continue_beams(self, texts: Sequence[Draft], scores: torch.Tensor) -> list[int]:
        """Continues each text's beams; gives for each row of those not done which it continues."""
        beams = [text for text in texts if isinstance(text, BeamDraft)]
        sums = torch.tensor([score for text in beams for score in text.scores])
        totals = scores + sums.to(scores)[:, None]
        best = self._rules.best(totals.view(len(beams), -1), self._search.num_beams)
        size = scores.shape[-1]
        rows: list[int] = []
        places = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        for number, (text, (values, indices)) in enumerate(zip(beams, places, strict=True)):
            kept = text.choose(
                values, [index // size for index in indices], [index % size for index in indices]
            )
            if not text.done:
                rows += [number * text.rows + row for row in kept]
        return rows
