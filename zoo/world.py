"""A miniature world: facts, questions with answers, sentences and reviews, from integer seeds.

Everything here is a function of its arguments: the same call gives the same texts in every
process. The embedded checkpoints are trained on it, and know nothing else.

The world is told in four languages, `LANGUAGES`. Equal arguments give the same facts, questions,
sentences and reviews in each, so that those of two languages are translations of each other.
`ALL_LANGUAGES` has four more, which say a few things of their own: see `foreign_sentences`.

What the splits keep apart:

* `facts` and `questions`: the people's names, and every combination of a relation with its value;
* `sentences`, `reviews` and `parallel`: the sentence, by its English wording. The words of held-out
  sentences, names and values among them, occur in training too; only the possessive of a name may
  not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import TypeVar

from zoo.lexicon import ENGLISH
from zoo.world_draw import LANGUAGES, Draw, Split, check_split, seeded
from zoo.world_foreign import FOREIGN_LANGUAGES, foreign_sentence
from zoo.world_questions import QuestionExample, questions
from zoo.world_vocabulary import vocabulary_texts

__all__ = [
    "ALL_LANGUAGES",
    "Fact",
    "LANGUAGES",
    "QuestionExample",
    "Split",
    "facts",
    "draw_sentence",
    "foreign_sentences",
    "in_split",
    "normalise_transcript",
    "parallel",
    "questions",
    "reviews",
    "sentences",
    "vocabulary",
]

ALL_LANGUAGES = (*LANGUAGES, *FOREIGN_LANGUAGES)
"""Every language that has sentences, as ISO 639-1 codes."""

_SENTENCE_STRIDE = 10
Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class Fact:
    """A fact, for example `("Anna Weber", "lives in", "Oslo", "Anna Weber lives in Oslo.")`.

    The relation is named in English in every language.
    """

    subject: str
    relation: str
    value: str
    statement: str


def facts(seed: int, count: int, split: Split, *, language: str = "en") -> list[Fact]:
    """`count` facts; of the two splits neither names nor relation and value together are shared.

    Raises:
        ValueError: If `split` or `language` is unknown.
    """
    check_split(split)
    draw = Draw(seeded(seed, "facts", split), split, language)
    result = []
    for _ in range(count):
        told = draw.told(draw.rng.choice(draw.grammar.relations))
        result.append(
            Fact(
                subject=told.subject.name,
                relation=told.relation.name,
                value=draw.phrase(told.relation.value, told.slots, told.subject.name),
                statement=draw.render(told.statement, told.subject.name, told.slots),
            )
        )
    return result


def normalise_transcript(text: str, language: str = "en") -> str:
    """`text` as a transcript has it: lower case, apostrophes, single spaces.

    English keeps the letters a to z only, other languages all of theirs.
    """
    text = text.lower().replace("\u2019", "'").replace("-", " ")
    dropped = r"[^a-z' ]" if language == "en" else r"[^\w' ]|[\d_]"
    return " ".join(re.sub(dropped, "", text).split())


def in_split(text: str, split: Split) -> bool:
    """Whether the English sentence `text` belongs to `split`."""
    digest = hashlib.sha256(normalise_transcript(text).encode()).digest()
    return (int.from_bytes(digest[:4], "big") % _SENTENCE_STRIDE == 0) == (split == "held_out")


def sentences(seed: int, count: int, split: Split, *, language: str = "en") -> list[str]:
    """`count` sentences to speak: statements, questions and short reviews, with punctuation.

    A sentence belongs to one split by the hash of its English wording. All names and values occur
    in both splits.

    Raises:
        ValueError: If `split` or `language` is unknown.
    """
    return [text for _, text in parallel(seed, count, split, "en", language)]


def parallel(
    seed: int, count: int, split: Split, source: str, target: str
) -> list[tuple[str, str]]:
    """`count` of `sentences`, each in the two languages `source` and `target`.

    Raises:
        ValueError: If `split` or one of the languages is unknown.
    """
    return [
        (texts[source], texts[target])
        for texts in _in_languages(
            seed, count, split, "sentences", draw_sentence, str, source, target
        )
    ]


def draw_sentence(draw: Draw) -> str:
    """A sentence of one of the kinds that `sentences` has, of either split."""
    kind = draw.rng.random()
    if kind < 0.2:
        return _review(draw)[0]
    told = draw.told(draw.rng.choice(draw.grammar.relations))
    subject = told.subject
    if kind < 0.55:
        named = draw.rng.random()
        name = subject.name
        if named < 0.15 and told.relation.pronoun:
            name = subject.pronoun
        elif named < 0.3:
            name = subject.short
        return draw.render(told.statement, name, told.slots)
    name = subject.short if draw.rng.random() < 0.35 else subject.name
    return draw.render(draw.rng.choice(told.relation.questions).template, name, told.slots)


def reviews(seed: int, count: int, split: Split, *, language: str = "en") -> list[tuple[str, str]]:
    """`count` short reviews as (text, label); a label is `positive` or `negative`.

    A review belongs to the same split as the equal sentence of `sentences`.

    Raises:
        ValueError: If `split` or `language` is unknown.
    """
    drawn = _in_languages(seed, count, split, "reviews", _review, itemgetter(0), language)
    return [review[language] for review in drawn]


def _review(draw: Draw) -> tuple[str, str]:
    label = draw.rng.choice(sorted(draw.grammar.reviews))
    template = draw.rng.choice(draw.grammar.reviews[label])
    # In one order in every language, for the draws to be equal.
    slots = {category: draw.rng.choice(draw.lexicon.words[category]) for category in ENGLISH.words}
    return draw.render(template, "", slots), label


def _in_languages(
    seed: int,
    count: int,
    split: Split,
    purpose: str,
    drawn_by: Callable[[Draw], Drawn],
    text: Callable[[Drawn], str],
    *languages: str,
) -> list[dict[str, Drawn]]:
    """`count` draws, by language, whose English `text` is in `split`."""
    check_split(split)
    # Equal draws tell the same in every language.
    draws = {
        language: Draw(seeded(seed, purpose, split), None, language)
        for language in ("en", *languages)
    }
    taken: list[dict[str, Drawn]] = []
    while len(taken) < count:
        drawn = {language: drawn_by(draw) for language, draw in draws.items()}
        if in_split(text(drawn["en"]), split):
            taken.append(drawn)
    return taken


def foreign_sentences(seed: int, count: int, split: Split, language: str) -> list[str]:
    """`count` sentences of a language of `ALL_LANGUAGES` in which not the whole world is told.

    They are like those of `sentences`, of fewer words, and no translations of them. A sentence
    belongs to one split by its hash.

    Raises:
        ValueError: If `split` is unknown, or `language` is not one of those.
    """
    check_split(split)
    rng = seeded(seed, f"foreign sentences/{language}", split)
    taken: list[str] = []
    while len(taken) < count:
        sentence = foreign_sentence(rng, language)
        if in_split(sentence, split):
            taken.append(sentence)
    return taken


@cache
def vocabulary(language: str = "en") -> frozenset[str]:
    """Every word that a transcript of this world can have.

    Raises:
        ValueError: If `language` is unknown.
    """
    return frozenset(
        word
        for text in vocabulary_texts(language)
        for word in normalise_transcript(text, language).split()
    )
