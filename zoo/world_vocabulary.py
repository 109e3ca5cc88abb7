"""`vocabulary_texts`: texts of one language's world that have, together, each of its words."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from itertools import product

from zoo.world_draw import Draw
from zoo.world_grammar import Relation

# The slots that a field names, in its name or after the colon.
_FIELD = re.compile(r"\{(?:(?:a|the|by|number)_)?(\w+)(?::([^}|]*)\})?")


def vocabulary_texts(language: str) -> Iterator[str]:
    """Every template with every combination of its words, and with every name once.

    Raises:
        ValueError: If `language` is unknown.
    """
    draw = Draw(random.Random(0), None, language)
    lexicon, grammar = draw.lexicon, draw.grammar
    words: dict[str, Sequence[str]] = dict(lexicon.words)
    words["capital"] = list(lexicon.capitals.values())
    people = _people(draw)
    words["person"] = people
    places = [
        draw.phrase(grammar.place, {"building": building, "city": city})
        for building, city in product(words["building"], words["city"])
    ]
    products = [
        draw.phrase(grammar.product, {"object": thing, "colour": colour})
        for thing, colour in product(words["object"], words["colour"])
    ]
    subjects: dict[str, Sequence[str]] = {
        "person": [*people, *lexicon.women, *lexicon.men],
        "country": list(lexicon.capitals),
        "company": words["company"],
        "place": places,
        "product": products,
    }
    for relation in grammar.relations:
        about = subjects[relation.subject]
        pronouns = _pronouns(draw, relation) if relation.pronoun else ()
        for template in relation.statements:
            yield from _filled(draw, template, words, (*about, *pronouns))
        for question in relation.questions:
            yield from _filled(draw, question.template, words, about)
    for texts in grammar.reviews.values():
        for template in texts:
            yield from _filled(draw, template, words, [""])


def _people(draw: Draw) -> list[str]:
    """Full names, with every first and every last name."""
    lexicon = draw.lexicon
    firsts = [*lexicon.women, *lexicon.men]
    lasts = [*lexicon.last_names]
    size = max(len(firsts), len(lasts))
    return [f"{firsts[i % len(firsts)]} {lasts[i % len(lasts)]}" for i in range(size)]


def _pronouns(draw: Draw, relation: Relation) -> tuple[str, ...]:
    pronouns = draw.grammar.pronouns
    if relation.subject == "person":
        return (pronouns["woman"], pronouns["man"])
    return (pronouns.get(relation.subject, pronouns["thing"]),)


def _filled(
    draw: Draw, template: str, words: dict[str, Sequence[str]], subjects: Sequence[str]
) -> Iterator[str]:
    named = {name for match in _FIELD.finditer(template) for name in match.groups() if name}
    slots = sorted(slot for name in named for slot in name.split() if slot in words)
    # Words agree with each other and with the subject's gender: the first person is a woman, the
    # last a man. No subject agrees with a word.
    for chosen in product(*(words[slot] for slot in slots if slot != "person")):
        filled = dict(zip((slot for slot in slots if slot != "person"), chosen, strict=True))
        filled["person"] = words["person"][0]
        for subject in (subjects[0], subjects[-1]):
            yield draw.render(template, subject, filled)
    first = {slot: words[slot][0] for slot in slots}
    for subject in subjects:
        yield draw.render(template, subject, first)
    if "person" in slots:
        for person in words["person"]:
            yield draw.render(template, subjects[0], first | {"person": person})
