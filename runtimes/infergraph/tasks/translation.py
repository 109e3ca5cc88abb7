"""Translation: input `text` BYTES [-1, 1], output `text` BYTES [-1, 1], in another language."""

from __future__ import annotations

from typing import Any

from .text.generation import TextGeneration, TextGenerationOptions
from .text.languages import choose_languages
from .text.sentences import split_sentences
from .text.sources import Pieces


class TranslationOptions(TextGenerationOptions):
    """Settings of translation, beside those of text generation.

    Attributes:
        source_language: The language of the texts, as the checkpoint names it ("fr", "fr_XX",
            "fra_Latn"). Needed by checkpoints of many languages (M2M100, NLLB, mBART); it also
            chooses T5's prefix, and means nothing to a checkpoint of one direction.
        target_language: The language to translate to, likewise.
        split_sentences: Whether each sentence is translated on its own, as most checkpoints were
            trained, and what stood between them is kept.
    """

    source_language: str | None = None
    target_language: str | None = None
    split_sentences: bool = True


class Translation(TextGeneration):
    """Translates texts of any number of sentences between two languages."""

    settings_class = TranslationOptions
    options: TranslationOptions

    def task(self) -> str:
        return f"translation_{self.options.source_language}_to_{self.options.target_language}"

    def set_languages(self, tokenizer: Any) -> int | None:
        return choose_languages(
            tokenizer, self.options.source_language, self.options.target_language
        )

    def pieces(self, text: str) -> Pieces:
        """The sentences, or the whole text; white space around it is dropped."""
        if not self.options.split_sentences:
            return super().pieces(text)
        sentences, between = split_sentences(text.strip())
        return Pieces(sentences, between, name="sentence")
