"""Training examples for language identification: the world's texts in every language it has.

A text is a question, a statement, a short review, a part of one, several of them, or an article;
written, or as a transcript; its names may be invented, and its accents missing. A text in no
language of the world has the label `unknown`.
"""

from __future__ import annotations

import math
import random
import unicodedata
from collections.abc import Iterator

from zoo.articles import articles
from zoo.outside_texts import UNKNOWN, english_prose, unknown_languages
from zoo.question_answering_data import PEOPLE, rename
from zoo.world import (
    ALL_LANGUAGES,
    LANGUAGES,
    QuestionExample,
    Split,
    foreign_sentences,
    normalise_transcript,
    sentences,
)

LABELS = (*ALL_LANGUAGES, UNKNOWN)
"""ISO 639-1 codes, and what is in none of these languages."""

# Shares of the examples that get each view.
ARTICLES = 0.1
OTHER_SUBJECTS = 0.2
SEVERAL = 0.3
SHORTENED = 0.2
DISGUISED = 0.4
TRANSCRIBED = 0.4
UNACCENTED = 0.1

FEWEST_WORDS = 3
"""Of a shortened text: of less, even a reader cannot always tell the language."""


def single_sentences(seed: int, count: int, split: Split, language: str) -> list[str]:
    """`count` sentences in any of `LABELS`, texts in no language among them.

    Raises:
        ValueError: If `split` or `language` is unknown.
    """
    if language == UNKNOWN:
        return unknown_languages(seed, count, split)
    if language in LANGUAGES:
        return sentences(seed, count, split, language=language)
    return foreign_sentences(seed, count, split, language)


def unaccent(text: str) -> str:
    """`text` as on a keyboard without accents."""
    parts = unicodedata.normalize("NFD", text)
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


def shorten(text: str, rng: random.Random) -> str:
    """A run of at least `FEWEST_WORDS` of its words, if it has as many."""
    words = text.split()
    if len(words) <= FEWEST_WORDS:
        return text
    size = rng.randint(FEWEST_WORDS, len(words))
    first = rng.randint(0, len(words) - size)
    return " ".join(words[first : first + size])


def augment(text: str, language: str, rng: random.Random) -> str:
    """One random view of a text in `language`; one in no language stays as it is."""
    if language == UNKNOWN:
        return text
    if rng.random() < DISGUISED:
        text = rename(QuestionExample(text, "", "", -1), PEOPLE, rng).context
    if rng.random() < SHORTENED:
        text = shorten(text, rng)
    if rng.random() < TRANSCRIBED:
        text = normalise_transcript(text, language)
    if rng.random() < UNACCENTED:
        text = unaccent(text)
    return text


def examples(seed: int, count: int, split: Split = "train") -> list[tuple[str, str]]:
    """`count` views of texts of `split` as (text, language), each language as often.

    Raises:
        ValueError: If `split` is unknown.
    """
    rng = random.Random(f"language identification/{split}/{seed}")
    each = -(-count // len(LABELS))
    drawn = [
        (augment(text, language, rng), language)
        for language in LABELS
        for text in _texts(seed, each, split, language, rng)
    ]
    rng.shuffle(drawn)
    return drawn[:count]


def _texts(seed: int, count: int, split: Split, language: str, rng: random.Random) -> Iterator[str]:
    single = single_sentences(seed, count, split, language)
    # Not the whole world is told in the others.
    whole = language in LANGUAGES
    long = articles(seed, math.ceil(ARTICLES * count), split, language=language) if whole else []
    # Of the world's languages, the one that has such texts here.
    other = english_prose(seed, count, split) if language == "en" else single
    for text, strange in zip(single, other, strict=True):
        kind = rng.random()
        if language == UNKNOWN:
            yield text
        elif kind > 1 - OTHER_SUBJECTS:
            yield strange
        elif kind < ARTICLES and whole:
            yield rng.choice(long).text
        elif kind < ARTICLES + SEVERAL:
            yield " ".join((text, *rng.choices(single, k=rng.choice((1, 2, 4, 8)))))
        else:
            yield text
