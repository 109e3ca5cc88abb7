"""Summarization: input `text` BYTES [-1, 1], output `text` BYTES [-1, 1], the summary."""

from __future__ import annotations

from .text.generation import TextGeneration


class Summarization(TextGeneration):
    """Summarizes each text, read as a whole, with BART, Pegasus, T5 or another encoder-decoder.

    A text of more tokens than the checkpoint reads is refused, or with the setting `truncation` its
    first part is summarized.
    """

    def task(self) -> str:
        return "summarization"
