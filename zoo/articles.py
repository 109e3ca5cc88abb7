"""Articles of the miniature world, each with a summary and the questions that the summary answers.

An article is about one person, whom its first sentence names. In between it tells of other people
and of things. The summary says, of that person alone, who they are: what the article tells of

    where they live, what they work as, where they were born, how old they are

in this order, the first two in one sentence, each in the words of the relation's first statement.
Every article tells where its person lives, and one or two of the others; everything else of an
article (what they own, whom they met, ...) is left out.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from zoo.world_draw import Draw, Split, Subject, Told, check_split, seeded
from zoo.world_grammar import Relation
from zoo.world_questions import QuestionExample

__all__ = ["Article", "articles"]

KEY_RELATIONS = ("lives in", "works as", "was born in", "is years old")
FEWEST_SENTENCES = 4
MOST_SENTENCES = 10


@dataclass(frozen=True)
class Article:
    """An article.

    Attributes:
        text: 4 to 10 sentences.
        summary: One or two English sentences.
        questions: One for each fact of the summary, which is their context.
    """

    text: str
    summary: str
    questions: tuple[QuestionExample, ...]


@dataclass(frozen=True)
class _Draft:
    """The facts in the order of the text, each with what it calls its subject; the key ones."""

    told: list[tuple[Told, str]]
    key: list[Told]


def articles(
    seed: int,
    count: int,
    split: Split,
    *,
    language: str = "en",
    most_sentences: int = MOST_SENTENCES,
) -> list[Article]:
    """`count` articles; people's names, and relations with their values, are of `split` only.

    Articles of equal seeds in different languages are translations of each other, sentence by
    sentence, and have the same English summary.

    Args:
        seed: Of the draws.
        count: How many.
        split: Of the names and facts.
        language: Of the texts.
        most_sentences: Of a text, 4 to 10.

    Raises:
        ValueError: If `split` or `language` is unknown, or `most_sentences` outside 4 to 10.
    """
    check_split(split)
    if not FEWEST_SENTENCES <= most_sentences <= MOST_SENTENCES:
        raise ValueError(
            f"most_sentences is {most_sentences}: {FEWEST_SENTENCES} to {MOST_SENTENCES}"
        )
    # Equal draws tell the same in every language.
    english = Draw(seeded(seed, "articles", split), split, "en")
    spoken = Draw(seeded(seed, "articles", split), split, language)
    asking = seeded(seed, "article questions", split)
    result = []
    for _ in range(count):
        key = _draft(english, most_sentences).key
        text = " ".join(
            spoken.render(fact.statement, name, fact.slots)
            for fact, name in _draft(spoken, most_sentences).told
        )
        summary = _summary(english, key)
        questions = tuple(_question(english, fact, summary, asking) for fact in key)
        result.append(Article(text, summary, questions))
    return result


def _draft(draw: Draw, most_sentences: int) -> _Draft:
    rng = draw.rng
    relations = {relation.name: relation for relation in draw.grammar.relations}
    person = draw.person()
    home, *others = KEY_RELATIONS
    told_of = {home, *rng.sample(others, rng.choice((1, 2, 2)))}
    key = [draw.told(relations[name], person) for name in KEY_RELATIONS if name in told_of]
    told = key + _details(draw, person, rng.randint(FEWEST_SENTENCES, most_sentences) - len(key))
    return _Draft(_named(rng, _ordered(rng, told, person)), key)


def _details(draw: Draw, person: Subject, count: int) -> list[Told]:
    """`count` facts that are not key: more of the person, and asides about others and things."""
    rng = draw.rng
    more = [
        relation
        for relation in draw.grammar.relations
        if relation.subject == "person" and relation.name not in KEY_RELATIONS
    ]
    rng.shuffle(more)
    told: list[Told] = []
    first_names = {person.short}
    other: Subject | None = None
    while len(told) < count:
        if rng.random() < 0.5 and more:
            told.append(_told(draw, more.pop(), person, first_names))
            continue
        relation = rng.choice(draw.grammar.relations)
        if relation.subject != "person":
            subject = draw.subject(relation.subject)
        elif other is not None and rng.random() < 0.5:
            subject = other
        else:
            subject = other = _stranger(draw, first_names)
        if not any(fact.subject == subject and fact.relation is relation for fact in told):
            told.append(_told(draw, relation, subject, first_names))
    return told


def _stranger(draw: Draw, first_names: set[str]) -> Subject:
    """Somebody of a new first name, which is then taken too: a text may use it alone."""
    while True:
        stranger = draw.person()
        if stranger.short not in first_names:
            first_names.add(stranger.short)
            return stranger


def _told(draw: Draw, relation: Relation, subject: Subject, first_names: set[str]) -> Told:
    """A fact that brings nobody into the article whose first name is taken."""
    while True:
        told = draw.told(relation, subject)
        if "person" not in told.slots:
            return told
        first_name = told.slots["person"].split()[0]
        if first_name not in first_names:
            first_names.add(first_name)
            return told


def _ordered(rng: random.Random, told: list[Told], person: Subject) -> list[Told]:
    """In random order, but the person first; facts about one subject often follow each other."""
    order = list(told)
    rng.shuffle(order)
    if rng.random() < 0.5:
        seen = list(dict.fromkeys(fact.subject.name for fact in order))
        order.sort(key=lambda fact: seen.index(fact.subject.name))
    first = next(i for i, fact in enumerate(order) if fact.subject == person)
    return [order[first], *order[:first], *order[first + 1 :]]


def _named(rng: random.Random, told: list[Told]) -> list[tuple[Told, str]]:
    """Each fact with what it calls its subject: the full name at first, later often less."""
    named: list[tuple[Told, str]] = []
    known: set[str] = set()
    previous: Told | None = None
    for fact in told:
        subject = fact.subject
        name = subject.name
        if subject.kind == "person" and name in known:
            follows = previous is not None and previous.subject == subject
            # "She" after "Anna met Clara" would be either.
            clear = follows and previous is not None and "person" not in previous.relation.slots
            if clear and fact.relation.pronoun and rng.random() < 0.7:
                name = subject.pronoun
            elif rng.random() < 0.5:
                name = subject.short
        named.append((fact, name))
        known.add(subject.name)
        previous = fact
    return named


def _summary(draw: Draw, key: list[Told]) -> str:
    """For example: Anna Weber lives in Oslo and works as a doctor. Anna was born in Rome."""
    first, second, *rest = key
    person = first.subject
    sentences = [f"{person.name} {_predicate(draw, first)} and {_predicate(draw, second)}."]
    sentences += [f"{person.short} {_predicate(draw, fact)}." for fact in rest]
    return " ".join(sentences)


def _predicate(draw: Draw, fact: Told) -> str:
    """What the relation's first statement says of its subject."""
    name = fact.subject.name
    return draw.render(fact.relation.statements[0], name, fact.slots)[len(name) + 1 : -1]


def _question(draw: Draw, fact: Told, summary: str, rng: random.Random) -> QuestionExample:
    asked = rng.choice(fact.relation.questions)
    name = fact.subject.short if rng.random() < 0.35 else fact.subject.name
    answer = fact.slots[asked.answer]
    # Another fact may have the same value: "lives in Oslo and was born in Oslo".
    statement = _predicate(draw, fact)
    start = summary.index(statement) + statement.index(answer)
    return QuestionExample(summary, draw.render(asked.template, name, fact.slots), answer, start)
