"""A miniature world: facts, questions with answers, sentences and reviews, from integer seeds.

Everything here is a function of its arguments: the same call gives the same texts in every
process. The embedded checkpoints are trained on it, and know nothing else.

What the splits keep apart:

* `facts` and `questions`: the people's names, and every combination of a relation with its value;
* `sentences` and `reviews`: the sentence. The words of held-out sentences, names and values among
  them, occur in training too; only the possessive of a name may not.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from zoo.lexicon import Lexicon
from zoo.world_draw import Draw, Split, check_split, seeded
from zoo.world_grammar import Grammar
from zoo.world_questions import QuestionExample, questions

__all__ = [
    "Fact",
    "QuestionExample",
    "Split",
    "facts",
    "normalise_transcript",
    "questions",
    "reviews",
    "sentences",
    "vocabulary",
]

_SENTENCE_STRIDE = 10
Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class Fact:
    """A fact, for example `("Anna Weber", "lives in", "Oslo", "Anna Weber lives in Oslo.")`."""

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
                value=told.relation.value.format(**told.slots),
                statement=draw.render(told.statement, told.subject.name, told.slots),
            )
        )
    return result


def normalise_transcript(text: str) -> str:
    """`text` in the transcript alphabet: a to z, apostrophes, single spaces."""
    text = text.lower().replace("\u2019", "'").replace("-", " ")
    return " ".join(re.sub(r"[^a-z' ]", "", text).split())


def _in_split(text: str, split: Split) -> bool:
    digest = hashlib.sha256(normalise_transcript(text).encode()).digest()
    return (int.from_bytes(digest[:4], "big") % _SENTENCE_STRIDE == 0) == (split == "held_out")


def sentences(seed: int, count: int, split: Split, *, language: str = "en") -> list[str]:
    """`count` sentences to speak: statements, questions and short reviews, with punctuation.

    A sentence belongs to one split by its hash. All names and values occur in both splits.

    Raises:
        ValueError: If `split` or `language` is unknown.
    """
    check_split(split)
    draw = Draw(seeded(seed, "sentences", split), None, language)
    return _take(count, split, lambda: _sentence(draw), lambda sentence: sentence)


def _sentence(draw: Draw) -> str:
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
    check_split(split)
    draw = Draw(seeded(seed, "reviews", split), None, language)
    return _take(count, split, lambda: _review(draw), lambda review: review[0])


def _review(draw: Draw) -> tuple[str, str]:
    label = draw.rng.choice(sorted(draw.grammar.reviews))
    template = draw.rng.choice(draw.grammar.reviews[label])
    slots = {category: draw.rng.choice(words) for category, words in draw.lexicon.words.items()}
    return draw.render(template, "", slots), label


def _take(
    count: int, split: Split, draw: Callable[[], Drawn], text: Callable[[Drawn], str]
) -> list[Drawn]:
    taken: list[Drawn] = []
    while len(taken) < count:
        drawn = draw()
        if _in_split(text(drawn), split):
            taken.append(drawn)
    return taken


@cache
def vocabulary(language: str = "en") -> frozenset[str]:
    """Every word that a transcript of this world can have.

    Raises:
        ValueError: If `language` is unknown.
    """
    draw = Draw(random.Random(0), None, language)
    lexicon, grammar = draw.lexicon, draw.grammar
    return frozenset(
        word
        for text in (*_lexicon_texts(lexicon), *_grammar_texts(lexicon, grammar))
        for word in normalise_transcript(text).split()
    )


def _lexicon_texts(lexicon: Lexicon) -> Iterator[str]:
    for name in (*lexicon.women, *lexicon.men, *lexicon.last_names):
        yield f"{name} {name}'s"
    yield from lexicon.capitals
    yield from lexicon.capitals.values()
    for words in lexicon.words.values():
        yield from words


def _grammar_texts(lexicon: Lexicon, grammar: Grammar) -> Iterator[str]:
    templates = [grammar.place, grammar.product, *grammar.pronouns.values()]
    for relation in grammar.relations:
        templates += relation.statements
        templates += (question.template for question in relation.questions)
    for texts in grammar.reviews.values():
        templates += texts
    # The articles, in front of a word that is there anyway.
    for words in lexicon.words.values():
        yield from map(grammar.indefinite, words)
    for template in templates:
        yield re.sub(r"\{\w+\}('s)?", "", template)
