"""`Grammar`: what a language must say for the miniature world to be told in it.

Templates are `str.format` texts. `{subject}` is who or what a fact is about, and every lexicon
category is a field of its own name:

* `{city}`: the word as the lexicon has it;
* `{a_object}`, `{the_object}`: with its article, and `{a_object:acc}` in a grammatical case;
* `{colour:object}`: the word as it agrees with the word of that slot, `{good:f}` with that gender;
* `{by_object:cet|cette}`: one of the alternatives, by the gender of the slot's word;
* `{number_food:était|étaient}`: one of two, for singular and plural.

What a language makes of articles, cases and agreement is its grammar's `inflect`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from zoo.lexicon import Lexicon

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
        name: Unique in its grammar, and the same in every language.
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


class Words(Protocol):
    """The words of one sentence, as `inflect` sees them."""

    lexicon: Lexicon

    def base(self, slot: str) -> str:
        """The word of `slot` as the lexicon has it."""

    def gender(self, slot: str) -> str:
        """The gender of the word of `slot`, or of the subject."""

    def put(self, slot: str, form: str) -> str:
        """`form`, noted as where the word of `slot` stands in the sentence."""


Inflect = Callable[[Words, str, str, str], str]


@dataclass(frozen=True)
class Grammar:
    """The sentences of one language.

    Attributes:
        relations: The kinds of facts.
        reviews: Label (`positive`, `negative`) to templates of short reviews.
        pronouns: The subject pronouns of `woman` and `man`, in lower case, and what stands for
            each other kind of subject: under the kind's name, or under `thing` for all others.
        place: Template of a place: a building in a city.
        product: Template of a product: an object and its colour.
        inflect: `(words, article, slot, spec)` to the text of a field: `article` is "a", "the" or
            "", `spec` what follows the colon.
        genders: The genders of nouns, in the order of a `by_` field's alternatives.
        contract: Applied to a whole sentence, for what neighbouring words do to each other.
    """

    relations: tuple[Relation, ...]
    reviews: Mapping[str, tuple[str, ...]]
    pronouns: Mapping[str, str]
    place: str
    product: str
    inflect: Inflect
    genders: tuple[str, ...] = ()
    contract: Callable[[str], str] = str


@dataclass(frozen=True)
class RelationTexts:
    """One language's templates of a relation; see `Relation`."""

    value: str
    statements: tuple[str, ...]
    questions: tuple[str, ...]


def translated(
    relations: tuple[Relation, ...], texts: Mapping[str, RelationTexts]
) -> tuple[Relation, ...]:
    """`relations` in another language: its texts by the relation's name, template by template.

    Raises:
        ValueError: If a relation has no texts, or another number of them.
    """
    result = []
    for relation in relations:
        if relation.name not in texts:
            raise ValueError(f"the relation {relation.name!r} has no texts")
        its = texts[relation.name]
        for kind, here, there in (
            ("statements", its.statements, relation.statements),
            ("questions", its.questions, relation.questions),
        ):
            if len(here) != len(there):
                raise ValueError(
                    f"the relation {relation.name!r} has {len(here)} {kind}, but {len(there)} in "
                    "the language that it is translated from"
                )
        result.append(
            Relation(
                name=relation.name,
                subject=relation.subject,
                slots=relation.slots,
                value=its.value,
                statements=its.statements,
                questions=tuple(
                    Question(template, question.answer)
                    for template, question in zip(its.questions, relation.questions, strict=True)
                ),
                pronoun=relation.pronoun,
            )
        )
    return tuple(result)
