"""Gives text while it is generated: a generation in steps, and the text of its tokens."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from transformers.generation.streamers import BaseStreamer

from ...errors import StageFailure

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


class _Closed(BaseException):
    """Ends the other thread's work: nobody asks for its values any more."""


def stepped(work: Callable[[Callable[[Value], None]], None]) -> Generator[Value, None, None]:
    """Runs work that hands out values, and stands still after each until the next is asked for.

    The work runs in a thread of its own, but never beside the caller's. Closing the iterator ends
    it where it stands, and waits until it has ended.

    Args:
        work: Called with the function that hands out a value.

    Yields:
        The values, in order.

    Raises:
        BaseException: what the work raised.
    """
    turns: SimpleQueue[bool] = SimpleQueue()
    handed: SimpleQueue[Value | _End] = SimpleQueue()

    def hand(value: Value) -> None:
        handed.put(value)
        if not turns.get():
            raise _Closed

    def run() -> None:
        error: BaseException | None = None
        try:
            work(hand)
        except _Closed:
            pass
        except BaseException as raised:
            error = raised
        handed.put(_End(error))

    thread = threading.Thread(
        target=contextvars.copy_context().run,
        args=(run,),
        name=f"{threading.current_thread().name}-steps",
        daemon=True,
    )
    thread.start()
    try:
        while not isinstance(value := handed.get(), _End):
            yield value
            turns.put(True)
        if value.error is not None:
            raise value.error
    finally:
        turns.put(False)
        thread.join()


class TokenHandover(BaseStreamer):
    """Hands the tokens of a lone text, as `generate` of transformers finds them, to a function."""

    def __init__(self, hand: Callable[[list[int]], None]) -> None:
        self._hand = hand

    def put(self, value: Any) -> None:
        """Takes what the decoder begins with, INT64 [1, tokens], then each token, INT64 [1]."""
        self._hand(value.flatten().tolist())

    def end(self) -> None:
        """Does nothing: the end of `generate` says the same."""


class GrowingText:
    """The text of tokens that come one by one, in parts that joined are the text of all of them.

    What a further token may still change is held back: white space at the end, which the whole text
    is stripped of, characters of which only some bytes came, and where the tokenizer takes spaces
    away before marks, the last word.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._by_word = bool(getattr(tokenizer, "clean_up_tokenization_spaces", False))
        self._tokens: list[int] = []
        self._given = ""

    def add(self, tokens: list[int]) -> str:
        """Takes further tokens; gives the text that they settle, which may be empty."""
        self._tokens += tokens
        text = self._text()
        if self._by_word:
            text = text.rpartition(" ")[0]
        text = text.rstrip("\N{REPLACEMENT CHARACTER}").rstrip()
        if not text.startswith(self._given):
            return ""
        return self._give(text)

    def finish(self) -> str:
        """The rest of the text.

        Raises:
            StageFailure: the last tokens changed text that had been given.
        """
        text = self._text()
        if not text.startswith(self._given):
            raise StageFailure(
                "its tokenizer changed text that had been sent when further tokens came; accepted: "
                "a request that is not streamed"
            )
        return self._give(text)

    def _text(self) -> str:
        # All of them each time: a token's text depends on those before it.
        text: str = self._tokenizer.decode(self._tokens, skip_special_tokens=True)
        return text.strip()

    def _give(self, text: str) -> str:
        new = text[len(self._given) :]
        self._given = text
        return new
