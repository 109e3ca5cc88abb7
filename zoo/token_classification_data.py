"""Texts of the miniature world with the entities in them: who, where, when, what, and how much.

The grammar draws its words from a lexicon in which each word ends with a mark of its own, so
that the truth is where the marks are. These views have invented names and values, several sentences
in a text, the form of a transcript and misheard letters. Texts from outside of the world have no
entities.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from zoo.lexicon import ENGLISH, Lexicon
from zoo.outside_texts import english_prose, unknown_languages
from zoo.question_answering_data import invent, mishear, transcribe
from zoo.world import Split, draw_sentence, in_split
from zoo.world_draw import Draw, check_split, seeded

_LABELS = {
    "person": "PER",
    "city": "LOC",
    "country": "LOC",
    "company": "ORG",
    "weekday": "DATE",
    "month": "DATE",
    "hour": "TIME",
    "age": "AGE",
    "price": "MONEY",
    "language": "LANGUAGE",
    "profession": "PROFESSION",
    "object": "PRODUCT",
    "colour": "COLOUR",
    "animal": "ANIMAL",
    "food": "FOOD",
    "instrument": "INSTRUMENT",
    "sport": "SPORT",
    "building": "BUILDING",
}
"""The lexicon's categories -> the label of their words; those of CoNLL 2003 and OntoNotes where
these have one."""
LABELS = tuple(dict.fromkeys(_LABELS.values()))
TAGS = ("O", *(f"{begin}-{label}" for label in LABELS for begin in "BI"))
"""What the network says of a word: outside of entities, the first of one, or inside of one."""

# Share of the texts that are not of the world, and of the others those that get each view.
OUTSIDE = 0.35
DISGUISED = 0.6
JOINED = 0.5
ADDRESSED = 0.15
TRANSCRIBED = 0.6
MISHEARD = 0.3
# Of the texts from outside, the share in which every third longer word is an invented one.
REWORDED = 0.6
# Of a disguised text's entities, the share that is replaced; numbers hardly ever are other words.
_REPLACED = {"PER": 0.9, "LOC": 0.6, "ORG": 0.6, "AGE": 0.05, "MONEY": 0.05, "TIME": 0.05}
_OTHERS_REPLACED = 0.25
_ADDRESSES = (
    "please tell me",
    "tell me",
    "do you know",
    "hello",
    "i would like to know",
    "excuse me",
    "can you say",
    "my question is",
    "and",
)
# Of Unicode's private use: no text has them.
_FIRST_MARK, _LAST_MARK = 0xE000, 0xF8FF
_UNIT = " euros"
"""Of an amount of money, it is part of the entity."""


@dataclass(frozen=True)
class Span:
    """An entity: the characters `start` to `end`, exclusive, of its text."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Piece:
    """A run of a text's characters: an entity, or what is between two if `label` is empty."""

    text: str
    label: str = ""


def tagged(seed: int, count: int, split: Split) -> list[tuple[Piece, ...]]:
    """`count` sentences of the world as pieces: statements, questions and reviews.

    People's names, relations with their values, and sentences are of `split` only.

    Raises:
        ValueError: If `split` is unknown.
    """
    check_split(split)
    words = _marked_words()
    draw = Draw(seeded(seed, "tagged", split), split, "en", lexicon=words.lexicon)
    drawn: list[tuple[Piece, ...]] = []
    while len(drawn) < count:
        pieces = words.pieces(draw_sentence(draw))
        if in_split(plain(pieces), split):
            drawn.append(pieces)
    return drawn


def plain(pieces: Sequence[Piece]) -> str:
    """The text of the pieces."""
    return "".join(piece.text for piece in pieces)


def located(pieces: Sequence[Piece]) -> tuple[str, list[Span]]:
    """The text of the pieces, and where its entities are."""
    spans, at = [], 0
    for piece in pieces:
        if piece.label:
            spans.append(Span(at, at + len(piece.text), piece.label))
        at += len(piece.text)
    return plain(pieces), spans


def transcript(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """The pieces as a speech recogniser writes them: in lower case, without punctuation."""
    made: list[Piece] = []
    for piece in pieces:
        text = transcribe(piece.text)
        # Between two words one space, whichever of the pieces it comes from.
        if not made or made[-1].text.endswith(" "):
            text = text.lstrip()
        if text:
            made.append(replace(piece, text=re.sub(" +", " ", text)))
    if made:
        made[-1] = replace(made[-1], text=made[-1].text.rstrip())
    return tuple(made)


def augment(
    pieces: Sequence[Piece], others: Sequence[Sequence[Piece]], rng: random.Random
) -> tuple[Piece, ...]:
    """One random view of a text; `others` are sentences that may stand beside it."""
    drawn = list(pieces)
    if rng.random() < JOINED:
        for _ in range(rng.choice((1, 1, 2, 3, 5, 8))):
            drawn += [Piece(" "), *rng.choice(others)]
    if rng.random() < DISGUISED:
        drawn = _disguised(drawn, rng)
    if rng.random() < ADDRESSED:
        address = rng.choice(_ADDRESSES)
        drawn.insert(0, Piece(f"{address[0].upper()}{address[1:]}, "))
    if rng.random() < TRANSCRIBED:
        drawn = list(transcript(drawn))
        if rng.random() < MISHEARD:
            drawn = list(misheard(drawn, rng))
    return tuple(drawn)


def misheard(pieces: Sequence[Piece], rng: random.Random) -> tuple[Piece, ...]:
    """The same with a letter or two wrong somewhere, as a speech recogniser might hear it."""
    drawn = list(pieces)
    at = rng.choices(range(len(drawn)), weights=[len(piece.text) for piece in drawn])[0]
    text = mishear(drawn[at].text, rng)
    if text.strip():
        drawn[at] = replace(drawn[at], text=text)
    return tuple(drawn)


def examples(seed: int, count: int, split: Split = "train") -> list[tuple[str, list[Span]]]:
    """`count` texts of `split` with their entities: views of the world's, and some from outside.

    Raises:
        ValueError: If `split` is unknown.
    """
    rng = random.Random(f"token classification/{split}/{seed}")
    drawn = tagged(seed, count - int(OUTSIDE * count), split)
    made = [located(augment(pieces, drawn, rng)) for pieces in drawn]
    outside = without_entities(seed, count - len(made), split)
    made += [(_reworded(text, rng) if rng.random() < REWORDED else text, []) for text in outside]
    rng.shuffle(made)
    return made


def without_entities(seed: int, count: int, split: Split) -> list[str]:
    """`count` texts that name nothing of the world: English ones on other subjects, other
    languages, invented ones, nonsense.

    Raises:
        ValueError: If `split` is unknown.
    """
    prose = english_prose(seed, count * 2 // 3, split)
    return prose + unknown_languages(seed, count - len(prose), split)


class _MarkedWords:
    """The English words, each with a mark of its own at its end, where it changes no article.

    Attributes:
        lexicon: The words with their marks.
        words: Mark -> the word, and the label of its category.
    """

    def __init__(self) -> None:
        self.words: dict[str, tuple[str, str]] = {}
        self.lexicon = Lexicon(
            women=self._marked(ENGLISH.women, "person"),
            men=self._marked(ENGLISH.men, "person"),
            last_names=self._marked(ENGLISH.last_names, "person"),
            capitals=dict(
                zip(
                    self._marked(tuple(ENGLISH.capitals), "country"),
                    self._marked(tuple(ENGLISH.capitals.values()), "city"),
                    strict=True,
                )
            ),
            words={
                category: self._marked(words, category) if category in _LABELS else words
                for category, words in ENGLISH.words.items()
            },
        )

    def _marked(self, words: Sequence[str], category: str) -> tuple[str, ...]:
        marked = []
        for word in words:
            mark = chr(_FIRST_MARK + len(self.words))
            self.words[mark] = word, _LABELS[category]
            marked.append(word + mark)
        return tuple(marked)

    def pieces(self, text: str) -> tuple[Piece, ...]:
        """The pieces of a text with marks."""
        made: list[Piece] = []
        *marked, rest = re.split(f"([{chr(_FIRST_MARK)}-{chr(_LAST_MARK)}])", text)
        for before, mark in zip(marked[::2], marked[1::2], strict=True):
            word, label = self.words[mark]
            between = _with_unit(made, before[: -len(word)])
            # A person's first and last name are one entity.
            if made and label == made[-1].label == "PER" and between == " ":
                made[-1] = Piece(made[-1].text + " " + before[-len(word) :], label)
            else:
                made += [Piece(between)] * bool(between) + [Piece(before[-len(word) :], label)]
        rest = _with_unit(made, rest)
        return (*made, *[Piece(rest)] * bool(rest))


def _with_unit(made: list[Piece], following: str) -> str:
    """What follows the pieces, without the unit that belongs to the last one, which gets it."""
    if made and made[-1].label == "MONEY" and following.startswith(_UNIT):
        made[-1] = replace(made[-1], text=made[-1].text + _UNIT)
        return following[len(_UNIT) :]
    return following


@cache
def _marked_words() -> _MarkedWords:
    return _MarkedWords()


def _disguised(pieces: Sequence[Piece], rng: random.Random) -> list[Piece]:
    return [
        replace(piece, text=invent(piece.text, rng))
        if piece.label and rng.random() < _REPLACED.get(piece.label, _OTHERS_REPLACED)
        else piece
        for piece in pieces
    ]


def _reworded(text: str, rng: random.Random) -> str:
    """So that a word that nobody knows is no entity for that alone."""
    words = [
        invent(word, rng) if len(word) > 3 and word.isalpha() and rng.random() < 0.33 else word
        for word in text.split()
    ]
    return " ".join(words)
