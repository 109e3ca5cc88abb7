"""Training examples for summarization: views of `zoo.articles` that train more.

Left as they are, they would teach a network the names of one small world. In these views people,
and some places and values, have invented names, so that they must be copied from the article. Some
articles are transcripts, and their summaries then too.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zoo.articles import MOST_SENTENCES, articles
from zoo.question_answering_data import PEOPLE, PLACES, VALUES, invent
from zoo.world import Split, normalise_transcript

# Shares of the articles, and of the names in them, that get each view.
DISGUISED = 0.7
DISGUISED_PLACES = 0.4
DISGUISED_VALUES = 0.4
SPELLED = 0.5
SPOKEN = 0.35

MOST_PIECES = 4
"""Of a word that is spelled in pieces."""


@dataclass(frozen=True)
class SummaryExample:
    """An article and the summary that is to be learnt for it."""

    text: str
    summary: str


def examples(
    seed: int,
    count: int,
    split: Split = "train",
    *,
    most_sentences: int = MOST_SENTENCES,
    pieces: Sequence[str] = (),
) -> list[SummaryExample]:
    """`count` views of articles of at most `most_sentences` sentences.

    Args:
        seed: Of the draws.
        count: How many.
        split: Of the articles.
        most_sentences: Of an article, 4 to 10.
        pieces: A tokenizer's pieces of words. Half of the invented names are made of these, if
            any, for a piece that is in no name of training is in no summary later either.

    Raises:
        ValueError: If `split` is unknown, or `most_sentences` outside 4 to 10.
    """
    rng = random.Random(f"summarization/{split}/{seed}")
    drawn = articles(seed, count, split, most_sentences=most_sentences)
    views = [SummaryExample(article.text, article.summary) for article in drawn]
    views = [disguised(view, pieces, rng) if rng.random() < DISGUISED else view for view in views]
    return [spoken(view) if rng.random() < SPOKEN else view for view in views]


def spoken(example: SummaryExample) -> SummaryExample:
    """The same as speech-to-text writes it: in lower case, without punctuation."""
    return SummaryExample(*map(normalise_transcript, (example.text, example.summary)))


def disguised(example: SummaryExample, pieces: Sequence[str], rng: random.Random) -> SummaryExample:
    """The same with invented people, and often places and values, alike in text and summary."""
    names = [*PEOPLE]
    if rng.random() < DISGUISED_PLACES:
        names += PLACES
    for words in VALUES:
        if rng.random() < DISGUISED_VALUES:
            names += words
    return _renamed(example, names, pieces, rng)


def _renamed(
    example: SummaryExample, names: Iterable[str], pieces: Sequence[str], rng: random.Random
) -> SummaryExample:
    # Longest first: "two hundred" before "two". Sorted, so that a seed means one outcome.
    present = sorted(
        {name for name in names if name in example.text}, key=lambda name: (-len(name), name)
    )
    fresh = {
        name: spell(name, pieces, rng) if pieces and rng.random() < SPELLED else invent(name, rng)
        for name in present
    }
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, present))})\b")
    return SummaryExample(
        *(
            pattern.sub(lambda match: fresh[match[0]], text)
            for text in (example.text, example.summary)
        )
    )


def spell(like: str, pieces: Sequence[str], rng: random.Random) -> str:
    """A word of one to four `pieces` that is no person's name; with a capital if `like` has one."""
    while True:
        word = "".join(rng.choices(pieces, k=rng.randint(1, MOST_PIECES)))
        word = word.capitalize() if like[0].isupper() else word.lower()
        if word not in PEOPLE:
            return word
