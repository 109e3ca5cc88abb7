"""What the Romance languages of the miniature world share: articles and agreement by gender."""

from __future__ import annotations

from collections.abc import Mapping

from zoo.world_grammar import Inflect, Words

GENDERS = ("m", "f", "mp", "fp")
"""Masculine and feminine, singular and plural: the order of a `Lexicon.forms` entry."""


def inflection(articles: Mapping[str, tuple[str, ...]]) -> Inflect:
    """The `inflect` of a language, given its `a` and `the` in each of `GENDERS`."""

    def inflect(words: Words, article: str, slot: str, spec: str) -> str:
        word = words.base(slot)
        if spec:
            gender = spec if spec in GENDERS else words.gender(spec)
            word = words.lexicon.forms[word][GENDERS.index(gender)]
        marked = words.put(slot, word)
        if not article:
            return marked
        return f"{articles[article][GENDERS.index(words.gender(slot))]} {marked}"

    return inflect
