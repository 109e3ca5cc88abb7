"""`Grammar`: what a language must say for the miniature world to be told in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

SubjectKind = Literal["person", "country", "company", "place", "product"]


@dataclass(frozen=True)
class Question:
    """A way to ask for one slot of a relation.

    Attributes:
        template: The question; may name the subject and the relation's other slots.
        answer: The slot that is asked for; the template does not name it.
    """

    template: str
    answer: str


@dataclass(frozen=True)
class Relation:
    """A kind of fact.

    Attributes:
        name: Unique in its grammar.
        subject: What it is said of.
        slots: The lexicon categories that fill it, besides `person` and `capital`.
        value: Template of the slots' values as one text.
        statements: Ways to state it, each with every slot.
        questions: Ways to ask for a slot of it.
        pronoun: Whether a pronoun may stand for the subject.
    """

    name: str
    subject: SubjectKind
    slots: tuple[str, ...]
    value: str
    statements: tuple[str, ...]
    questions: tuple[Question, ...]
    pronoun: bool = True


@dataclass(frozen=True)
class Grammar:
    """The sentences of one language.

    Attributes:
        relations: The kinds of facts.
        reviews: Label (`positive`, `negative`) to templates of short reviews.
        pronouns: The subject pronouns of `woman`, `man` and `thing`, in lower case.
        place: Template of a place: a building in a city.
        product: Template of a product: an object and its colour.
        indefinite: Puts the indefinite article before a word.
    """

    relations: tuple[Relation, ...]
    reviews: Mapping[str, tuple[str, ...]]
    pronouns: Mapping[str, str]
    place: str
    product: str
    indefinite: Callable[[str], str]
