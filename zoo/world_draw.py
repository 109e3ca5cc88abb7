"""`Draw`: facts of one language's miniature world, drawn for one split of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from zoo.lexicon import ENGLISH, Lexicon
from zoo.lexicon_french import FRENCH
from zoo.lexicon_german import GERMAN
from zoo.lexicon_spanish import SPANISH
from zoo.world_english import ENGLISH_GRAMMAR
from zoo.world_french import FRENCH_GRAMMAR
from zoo.world_german import GERMAN_GRAMMAR
from zoo.world_grammar import Grammar, Relation, SubjectKind
from zoo.world_render import Wording
from zoo.world_spanish import SPANISH_GRAMMAR

Split = Literal["train", "held_out"]

_LANGUAGES: Mapping[str, tuple[Lexicon, Grammar]] = {
    "en": (ENGLISH, ENGLISH_GRAMMAR),
    "fr": (FRENCH, FRENCH_GRAMMAR),
    "es": (SPANISH, SPANISH_GRAMMAR),
    "de": (GERMAN, GERMAN_GRAMMAR),
}
LANGUAGES = tuple(_LANGUAGES)
"""The languages in which the whole world is told, as ISO 639-1 codes."""
# One value in this many, and one name in this many, is reserved for the held-out split.
_VALUE_STRIDE = 4
_NAME_STRIDE = 5


@dataclass(frozen=True)
class Subject:
    name: str
    kind: SubjectKind
    # What a question or a later sentence may call it.
    short: str
    pronoun: str


@dataclass(frozen=True)
class Told:
    """A fact before it is worded."""

    subject: Subject
    relation: Relation
    slots: Mapping[str, str]
    statement: str


class Draw:
    """Draws from one language's world.

    What it draws depends on `rng` and `split` only: from equal ones, every language draws the same
    facts and words the same template, so the texts are translations of each other.

    Args:
        rng: Of all draws.
        split: The split that people's names and values belong to; None for both.
        language: One of `LANGUAGES`.
        lexicon: The words to draw, in place of that language's own.

    Raises:
        ValueError: If `language` is unknown.
    """

    def __init__(
        self,
        rng: random.Random,
        split: Split | None,
        language: str,
        *,
        lexicon: Lexicon | None = None,
    ) -> None:
        own, self.grammar = in_language(language)
        self.lexicon = lexicon = lexicon or own
        self.rng = rng
        self.split = split
        self._women = self._names(lexicon.women)
        self._men = self._names(lexicon.men)
        self._last_names = self._names(lexicon.last_names)
        self._offsets = {relation.name: i for i, relation in enumerate(self.grammar.relations)}
        # A country has one capital, so the split of that fact decides which countries are drawn.
        capital = next(r.name for r in self.grammar.relations if r.slots == ("capital",))
        self._countries = [
            country
            for position, country in enumerate(lexicon.capitals)
            if split is None
            or ((self._offsets[capital] + position) % _VALUE_STRIDE == 0) == (split == "held_out")
        ]

    def _names(self, names: tuple[str, ...]) -> list[str]:
        if self.split is None:
            return list(names)
        reserved = self.split == "held_out"
        return [
            name
            for position, name in enumerate(names)
            if (position % _NAME_STRIDE == _NAME_STRIDE - 1) == reserved
        ]

    def person(self) -> Subject:
        woman = self.rng.random() < 0.5
        first = self.rng.choice(self._women if woman else self._men)
        name = f"{first} {self.rng.choice(self._last_names)}"
        return Subject(name, "person", first, self.grammar.pronouns["woman" if woman else "man"])

    def subject(self, kind: SubjectKind) -> Subject:
        words = self.lexicon.words
        if kind == "person":
            return self.person()
        if kind == "country":
            name = self.rng.choice(self._countries)
        elif kind == "company":
            name = self.rng.choice(words["company"])
        elif kind == "place":
            building, city = self.rng.choice(words["building"]), self.rng.choice(words["city"])
            name = self.phrase(self.grammar.place, {"building": building, "city": city})
        else:
            colour, thing = self.rng.choice(words["colour"]), self.rng.choice(words["object"])
            name = self.phrase(self.grammar.product, {"colour": colour, "object": thing})
        pronouns = self.grammar.pronouns
        return Subject(name, kind, name, pronouns.get(kind, pronouns["thing"]))

    def told(self, relation: Relation, subject: Subject | None = None) -> Told:
        """A fact of this split, about `subject` where given."""
        while True:
            about = subject or self.subject(relation.subject)
            slots: dict[str, str] = {}
            positions = self._offsets[relation.name]
            for category in relation.slots:
                if category == "person":
                    other = self.person()
                    while other.short == about.short:
                        other = self.person()
                    slots[category] = other.name
                elif category == "capital":
                    slots[category] = self.lexicon.capitals[about.name]
                else:
                    words = self.lexicon.words[category]
                    position = self.rng.randrange(len(words))
                    positions += position
                    slots[category] = words[position]
            reserved = positions % _VALUE_STRIDE == 0
            # Here the subject's kind or the person drawn has seen to it.
            decided = relation.slots in (("person",), ("capital",))
            if self.split is None or decided or reserved == (self.split == "held_out"):
                return Told(about, relation, slots, self.rng.choice(relation.statements))

    def phrase(self, template: str, slots: Mapping[str, str], subject: str = "") -> str:
        """The text as it stands inside a sentence."""
        return Wording(self.lexicon, self.grammar, subject, slots).phrase(template)

    def render(self, template: str, subject: str, slots: Mapping[str, str]) -> str:
        """The sentence, its first letter in upper case."""
        return self.render_marked(template, subject, slots, None)[0]

    def render_marked(
        self, template: str, subject: str, slots: Mapping[str, str], marked: str | None
    ) -> tuple[str, int, int]:
        """The sentence, and where the word of the slot `marked` starts and ends in it."""
        return Wording(self.lexicon, self.grammar, subject, slots, marked).sentence(template)


def in_language(language: str) -> tuple[Lexicon, Grammar]:
    """The world's words and sentences in `language`.

    Raises:
        ValueError: If it is none of `LANGUAGES`.
    """
    try:
        return _LANGUAGES[language]
    except KeyError:
        raise ValueError(
            f"unknown language {language!r}: the world speaks {', '.join(_LANGUAGES)}"
        ) from None


def seeded(seed: int, purpose: str, split: Split) -> random.Random:
    # A text seed is hashed by its bytes: equal in every process and Python version.
    return random.Random(f"{purpose}/{split}/{seed}")


def check_split(split: str) -> None:
    if split not in ("train", "held_out"):
        raise ValueError(f"unknown split {split!r}: 'train' or 'held_out'")
