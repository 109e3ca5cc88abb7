"""Gives a text while it is written, in parts that joined are the whole text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...errors import StageFailure


def settled(tokenizer: Any, tokens: Sequence[int]) -> str:
    """The text of tokens, but for what a further token may change.

    That is white space at the end, which the whole text is stripped of, characters of which only
    some bytes came, and where the tokenizer takes spaces away before marks, the last word.
    """
    # Of all tokens each time: the text of one depends on those before it.
    text: str = tokenizer.decode(tokens, skip_special_tokens=True).strip()
    if getattr(tokenizer, "clean_up_tokenization_spaces", False):
        text = text.rpartition(" ")[0]
    return text.rstrip("\N{REPLACEMENT CHARACTER}").rstrip()


class Follower:
    """Hands out what is new of a text that grows.

    Args:
        give: Is called with each part, none empty.
    """

    def __init__(self, give: Callable[[str], None]) -> None:
        self._give = give
        self._given = ""

    def grew(self, text: str) -> None:
        """Notes all that is settled of the text by now."""
        if len(text) > len(self._given) and text.startswith(self._given):
            new, self._given = text[len(self._given) :], text
            self._give(new)

    def rest(self, text: str) -> str | None:
        """What was not given of the whole text; None if all was, in one part or more.

        Raises:
            StageFailure: it is not the text of which parts were given.
        """
        if not text.startswith(self._given):
            raise StageFailure(
                "text that had been sent was changed by what came after it; accepted: a request "
                "that is not streamed"
            )
        return text[len(self._given) :] if text != self._given or not text else None
