"""`Draw`: facts of one language's miniature world, drawn for one split of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from zoo.lexicon import ENGLISH, Lexicon
from zoo.world_english import ENGLISH_GRAMMAR
from zoo.world_grammar import Grammar, Relation, SubjectKind

Split = Literal["train", "held_out"]

_LANGUAGES: Mapping[str, tuple[Lexicon, Grammar]] = {"en": (ENGLISH, ENGLISH_GRAMMAR)}
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
    """Draws from one language's world; `split` None stands for the whole of it."""

    def __init__(self, rng: random.Random, split: Split | None, language: str) -> None:
        try:
            self.lexicon, self.grammar = _LANGUAGES[language]
        except KeyError:
            raise ValueError(
                f"unknown language {language!r}: the world speaks {', '.join(_LANGUAGES)}"
            ) from None
        self.rng = rng
        self.split = split
        lexicon = self.lexicon
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
            name = self.grammar.place.format(
                building=self.rng.choice(words["building"]), city=self.rng.choice(words["city"])
            )
        else:
            name = self.grammar.product.format(
                colour=self.rng.choice(words["colour"]), object=self.rng.choice(words["object"])
            )
        return Subject(name, kind, name, self.grammar.pronouns["thing"])

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

    def render(self, template: str, subject: str, slots: Mapping[str, str]) -> str:
        return self.render_marked(template, subject, slots, None)[0]

    def render_marked(
        self, template: str, subject: str, slots: Mapping[str, str], marked: str | None
    ) -> tuple[str, int]:
        """The text, first letter in upper case, and where the slot `marked` starts in it."""
        # A character that no lexicon has: the position survives articles and capitals.
        mark = "\x00"
        fields = {"subject": subject}
        for name, value in slots.items():
            before = mark if name == marked else ""
            fields[name] = before + value
            article = self.grammar.indefinite(value)
            fields[f"a_{name}"] = article[: -len(value)] + before + value
        text = template.format(**fields)
        start = text.find(mark)
        text = text.replace(mark, "")
        return text[0].upper() + text[1:], start


def seeded(seed: int, purpose: str, split: Split) -> random.Random:
    # A text seed is hashed by its bytes: equal in every process and Python version.
    return random.Random(f"{purpose}/{split}/{seed}")


def check_split(split: str) -> None:
    if split not in ("train", "held_out"):
        raise ValueError(f"unknown split {split!r}: 'train' or 'held_out'")
