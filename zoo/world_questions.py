"""Paragraphs of the miniature world, and questions about them."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.world_draw import Draw, Split, Subject, Told, check_split, seeded

_MOST_FACTS = 12


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
    check_split(split)
    if not 0 <= unanswerable <= 1:
        raise ValueError(f"unanswerable is {unanswerable}: a share from 0 to 1")
    draw = Draw(seeded(seed, "questions", split), split, language)
    return [_question(draw, draw.rng.random() >= unanswerable) for _ in range(count)]


def _question(draw: Draw, answerable: bool) -> QuestionExample:
    rng = draw.rng
    asked = rng.choice(draw.grammar.relations)
    subjects: list[Subject] = []
    while len(subjects) < rng.randint(2, 4):
        subject = draw.subject(asked.subject)
        # Distinct first names: a question may use the first name alone.
        if all(subject.short != other.short for other in subjects):
            subjects.append(subject)
    target = draw.told(asked, subjects[0])
    told = [target] if answerable else []
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
    context, places = _paragraph(draw, told, target)
    question = rng.choice(asked.questions)
    subject = subjects[0]
    name = subject.short if rng.random() < 0.35 else subject.name
    text = draw.render(question.template, name, target.slots)
    if not answerable:
        return QuestionExample(context, text, "", -1)
    start, end = places[question.answer]
    # As the context words it: an adjective there may agree with its noun.
    return QuestionExample(context, text, context[start:end], start)


def _paragraph(draw: Draw, told: list[Told], asked: Told) -> tuple[str, dict[str, tuple[int, int]]]:
    """The facts as a text, and where in it each slot of `asked` starts and ends."""
    rng = draw.rng
    order = list(told)
    rng.shuffle(order)
    if rng.random() < 0.6:
        # Person by person; otherwise the subjects alternate.
        first_seen = list(dict.fromkeys(fact.subject.name for fact in order))
        order.sort(key=lambda fact: first_seen.index(fact.subject.name))
    text = ""
    places: dict[str, tuple[int, int]] = {}
    previous: Told | None = None
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
            sentence, start, end = draw.render_marked(fact.statement, name, fact.slots, slot)
            if fact is asked:
                places[slot] = len(text) + start, len(text) + end
        text += sentence + " "
        known.add(subject.name)
        previous = fact
    return text.rstrip(), places
