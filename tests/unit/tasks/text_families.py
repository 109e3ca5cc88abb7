"""The families of checkpoints that generate text, and the models that serve them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from infergraph.tasks.text.decoding import Search
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


def paired(families: Iterable[str], searches: Sequence[str]) -> list[tuple[str, str]]:
    """Each family with the first search and another, so that all are of some families."""
    others = len(searches) - 1
    return [
        (family, search)
        for number, family in enumerate(families)
        for place, search in enumerate(searches)
        if place == 0 or (place + 2 * number) % others == 0
    ]


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
    runtime.model.generator.network.double()
    return runtime


GREEDY = Search(
    max_new_tokens=14,
    min_new_tokens=0,
    num_beams=1,
    length_penalty=1.0,
    no_repeat_ngram_size=0,
    repetition_penalty=1.0,
    early_stopping=False,
    do_sample=False,
    temperature=1.0,
    top_k=0,
    top_p=1.0,
    seed=None,
)
"""How to write, the plain way; tests choose what they change of it."""
