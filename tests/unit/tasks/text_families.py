"""The families of checkpoints that generate text, and the models that serve them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from infergraph.tasks.text.generation import TextGeneration
from tests.checkpoints import TEXT

from .conftest import Serve

WORDS = TEXT.split()
# Of 1 to 9 words; unlike lengths, so that most rows of a batch are padded.
TEXTS = [" ".join(WORDS[start : start + 1 + 5 * start % 9]) for start in range(0, 24, 4)]

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "marian": ("translation-fr-en", {}),
    "m2m100": ("translation-fr-en", {}),
    "nllb": (
        "translation-fr-en",
        {"source_language": "fra_Latn", "target_language": "eng_Latn"},
    ),
    "mbart": ("translation-fr-en", {}),
    "mbart50": ("translation-fr-en", {}),
    "t5": ("translation-en-de", {}),
    "bart": ("summarization", {}),
    "pegasus": ("summarization", {}),
    "t5-summarization": ("summarization", {}),
}
"""Family -> the model that serves it here, and settings."""


def folder_of(family: str, checkpoint: Callable[[str], str]) -> str:
    return checkpoint(family.removesuffix("-summarization"))


async def served(
    family: str, checkpoint: Callable[[str], str], serve: Serve, **settings: Any
) -> TextGeneration:
    model, own = FAMILIES[family]
    runtime = await serve(model, folder_of(family, checkpoint), **{**own, **settings})
    assert isinstance(runtime, TextGeneration)
    # A batch of another shape rounds otherwise, and what random networks find likeliest is often a
    # matter of the last digits; in double precision it is not.
    runtime.model.generate._network.double()
    return runtime
