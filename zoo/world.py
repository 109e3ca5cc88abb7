"""A miniature world: facts, questions with answers, sentences and reviews, from integer seeds.

Everything here is a function of its arguments: the same call gives the same texts in every
process. The embedded checkpoints are trained on it, and know nothing else.

What the splits keep apart:

* `facts` and `questions`: the people's names, and every combination of a relation with its value;
* `sentences` and `reviews`: the sentence. Every word of a held-out sentence occurs in training.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeVar

from zoo.lexicon import ENGLISH, Lexicon
from zoo.world_english import ENGLISH_GRAMMAR
from zoo.world_grammar import Grammar, Question, Relation, SubjectKind

Split = Literal["train", "held_out"]

_LANGUAGES: Mapping[str, tuple[Lexicon, Grammar]] = {"en": (ENGLISH, ENGLISH_GRAMMAR)}
# One value in this many, and one name in this many, is reserved for the held-out split.
_VALUE_STRIDE = 4
_NAME_STRIDE = 5
_SENTENCE_STRIDE = 10
_MOST_FACTS = 12
_Drawn = TypeVar("_Drawn")


@dataclass(frozen=True)
class Fact:
    """A fact, for example `("Anna Weber", "lives in", "Oslo", "Anna Weber lives in Oslo.")`."""

    subject: str
    relation: str
    value: str
    statement: str


@dataclass(frozen=True)
class QuestionExample:
    """A question about a paragraph.

    `context[answer_start : answer_start + len(answer)] == answer`. Where the context does not say,
    `answer` is "" and `answer_start` is -1.
    """

    context: str
    question: str
    answer: str
    answer_start: int


@dataclass(frozen=True)
class _Subject:
    name: str
    kind: SubjectKind
    # What a question or a later sentence may call it.
    short: str
    pronoun: str


@dataclass(frozen=True)
class _Told:
    """A fact before it is worded."""

    subject: _Subject
    relation: Relation
    slots: Mapping[str, str]
    statement: str


class _Draw:
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

    def person(self) -> _Subject:
        woman = self.rng.random() < 0.5
        first = self.rng.choice(self._women if woman else self._men)
        name = f"{first} {self.rng.choice(self._last_names)}"
        return _Subject(name, "person", first, self.grammar.pronouns["woman" if woman else "man"])

    def subject(self, kind: SubjectKind) -> _Subject:
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
        return _Subject(name, kind, name, self.grammar.pronouns["thing"])

    def told(self, relation: Relation, subject: _Subject | None = None) -> _Told:
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
            if (
                self.split is None
                or decided
                or reserved == (self.split == "held_out")
            ):
                return _Told(about, relation, slots, self.rng.choice(relation.statements))

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


def _seeded(seed: int, purpose: str, split: Split) -> random.Random:
    # A text seed is hashed by its bytes: equal in every process and Python version.
    return random.Random(f"{purpose}/{split}/{seed}")


def _check_split(split: str) -> None:
    if split not in ("train", "held_out"):
        raise ValueError(f"unknown split {split!r}: 'train' or 'held_out'")


def facts(seed: int, count: int, split: Split, *, language: str = "en") -> list[Fact]:
    """`count` facts; of the two splits neither names nor relation and value together are shared.

    Raises:
        ValueError: If `split` or `language` is unknown.
    """
    _check_split(split)
    draw = _Draw(_seeded(seed, "facts", split), split, language)
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


def questions(
    seed: int, count: int, split: Split, unanswerable: float = 0.2, *, language: str = "en"
) -> list[QuestionExample]:
    """`count` questions, each about a paragraph of 2 to 12 facts.

    Usually several subjects of a paragraph share the asked relation, so that only the question
    tells which answer is meant; a pronoun may stand for a subject just named, and a question may
    call a person by the first name.

    Args:
        seed: Of the draws.
        count: How many.
        split: People's names, and relations with their values, are those of this split only.
        unanswerable: The share of questions that their paragraph does not answer, 0 to 1.
        language: The language of the texts.

    Raises:
        ValueError: If `split` or `language` is unknown, or `unanswerable` is outside 0 to 1.
    """
    _check_split(split)
    if not 0 <= unanswerable <= 1:
        raise ValueError(f"unanswerable is {unanswerable}: a share from 0 to 1")
    draw = _Draw(_seeded(seed, "questions", split), split, language)
    return [_question(draw, draw.rng.random() >= unanswerable) for _ in range(count)]


def _question(draw: _Draw, answerable: bool) -> QuestionExample:
    rng = draw.rng
    asked = rng.choice(draw.grammar.relations)
    subjects: list[_Subject] = []
    while len(subjects) < rng.randint(2, 4):
        subject = draw.subject(asked.subject)
        # Distinct first names: a question may use the first name alone.
        if all(subject.short != other.short for other in subjects):
            subjects.append(subject)
    missing = draw.told(asked, subjects[0])
    told = [] if not answerable else [missing]
    told += [draw.told(asked, other) for other in subjects[1:] if rng.random() < 0.8]
    others = [r for r in draw.grammar.relations if r is not asked and r.subject == asked.subject]
    size = rng.randint(2, _MOST_FACTS)
    pairs = [(relation, subject) for relation in others for subject in subjects]
    rng.shuffle(pairs)
    for relation, subject in pairs[: max(0, size - len(told))]:
        told.append(draw.told(relation, subject))
    while len(told) < size:
        stranger = rng.choice(draw.grammar.relations)
        subject = draw.subject(stranger.subject)
        if stranger is not asked and all(subject.short != fact.subject.short for fact in told):
            told.append(draw.told(stranger, subject))
    context, starts = _paragraph(draw, told, missing)
    choices = [q for q in asked.questions if answerable or _asks_one(q)]
    question = rng.choice(choices)
    subject = subjects[0]
    name = subject.short if rng.random() < 0.35 else subject.name
    text = draw.render(question.template, name, missing.slots)
    if not answerable:
        return QuestionExample(context, text, "", -1)
    return QuestionExample(context, text, missing.slots[question.answer], starts[question.answer])


def _asks_one(question: Question) -> bool:
    return "{subject}" in question.template


def _paragraph(draw: _Draw, told: list[_Told], asked: _Told) -> tuple[str, dict[str, int]]:
    """The facts as a text, and where in it each slot of `asked` starts."""
    rng = draw.rng
    order = list(told)
    rng.shuffle(order)
    if rng.random() < 0.6:
        # Person by person; otherwise the subjects alternate.
        first_seen = list(dict.fromkeys(fact.subject.name for fact in order))
        order.sort(key=lambda fact: first_seen.index(fact.subject.name))
    text = ""
    starts: dict[str, int] = {}
    previous: _Told | None = None
    known: set[str] = set()
    for fact in order:
        subject = fact.subject
        name = subject.name
        if previous is not None and previous.subject == subject:
            if (
                fact.relation.pronoun
                # "She" after "Anna met Clara" would be either.
                and "person" not in previous.relation.slots
                and rng.random() < 0.6
            ):
                name = subject.pronoun
            elif rng.random() < 0.3:
                name = subject.short
        elif name in known and rng.random() < 0.3:
            name = subject.short
        for slot in fact.slots:
            sentence, start = draw.render_marked(fact.statement, name, fact.slots, slot)
            if fact is asked:
                starts[slot] = len(text) + start
        text += sentence + " "
        known.add(subject.name)
        previous = fact
    return text.rstrip(), starts


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
    _check_split(split)
    draw = _Draw(_seeded(seed, "sentences", split), None, language)
    return _take(count, split, lambda: _sentence(draw), lambda sentence: sentence)


def _sentence(draw: _Draw) -> str:
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


def reviews(
    seed: int, count: int, split: Split, *, language: str = "en"
) -> list[tuple[str, str]]:
    """`count` short reviews as (text, label); a label is `positive` or `negative`.

    A review belongs to the same split as the equal sentence of `sentences`.

    Raises:
        ValueError: If `split` or `language` is unknown.
    """
    _check_split(split)
    draw = _Draw(_seeded(seed, "reviews", split), None, language)
    return _take(count, split, lambda: _review(draw), lambda review: review[0])


def _review(draw: _Draw) -> tuple[str, str]:
    label = draw.rng.choice(sorted(draw.grammar.reviews))
    template = draw.rng.choice(draw.grammar.reviews[label])
    slots = {category: draw.rng.choice(words) for category, words in draw.lexicon.words.items()}
    return draw.render(template, "", slots), label


def _take(
    count: int, split: Split, draw: Callable[[], _Drawn], text: Callable[[_Drawn], str]
) -> list[_Drawn]:
    taken: list[_Drawn] = []
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
    draw = _Draw(random.Random(0), None, language)
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
