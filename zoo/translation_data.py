"""Training examples for translation: pairs of ``zoo.world.parallel``'s, and views that train more.

Left as they are, they would teach a model the names of one small world, spelled and written well.
In these views people, companies and cities have invented names, which a translation must copy, and
a source may be in the form of a transcript.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from zoo.lexicon import ENGLISH, Lexicon
from zoo.question_answering_data import invent
from zoo.world import Split, draw_sentence, in_split, normalise_transcript, parallel
from zoo.world_draw import Draw, in_language

Pair = tuple[str, str]
"""A text, and its translation."""

# Shares of the examples that get each view.
INVENTED = 0.5
INVENTED_FIRST_NAMES = 0.5
INVENTED_COMPANIES = 0.5
INVENTED_CITIES = 0.15
TRANSCRIBED = 0.35
TIGHT_MARKS = 0.1

# Sentences told with the same invented names.
_TOLD_TOGETHER = 32


def training_pairs(seed: int, count: int, source: str, target: str) -> list[Pair]:
    """``count`` pairs of the training split, in random views.

    Raises:
        ValueError: If a language is unknown.
    """
    rng = random.Random(f"translation/{seed}")
    invented = sum(rng.random() < INVENTED for _ in range(count))
    pairs = parallel(rng.getrandbits(32), count - invented, "train", source, target)
    while invented:
        drawn = invented_pairs(rng, min(invented, _TOLD_TOGETHER), source, target)
        pairs += drawn
        invented -= len(drawn)
    rng.shuffle(pairs)
    return [(view(text, source, rng), translation) for text, translation in pairs]


def view(text: str, language: str, rng: random.Random) -> str:
    """``text`` as it is, as a transcript, or without the space that French puts before a mark."""
    if rng.random() < TRANSCRIBED:
        return normalise_transcript(text, language)
    return text.replace(" ?", "?") if rng.random() < TIGHT_MARKS else text


def invented_pairs(
    rng: random.Random, count: int, source: str, target: str, split: Split = "train"
) -> list[Pair]:
    """``count`` pairs of ``split`` that tell of one and the same set of invented names.

    An invented first name does not say whether it is a woman's or a man's, so it stands only in
    sentences that are worded alike for both.
    """
    names = _invent_names(rng)
    seed = rng.getrandbits(32)
    languages = ("en", source, target)
    told = _told(names, names.women, seed, languages)
    # Where the names say who is a woman, nothing is to be compared.
    known = names.women == ENGLISH.women
    others = _told(names, names.women if known else names.men, seed, languages)
    pairs: list[Pair] = []
    while len(pairs) < count:
        english, text, translation = next(told)
        if next(others) == [english, text, translation] and in_split(english, split):
            pairs.append((text, translation))
    return pairs


@dataclass(frozen=True)
class _Names:
    """Names in place of the world's; None where they stay."""

    women: tuple[str, ...]
    men: tuple[str, ...]
    last_names: tuple[str, ...]
    companies: tuple[str, ...] | None
    cities: tuple[str, ...] | None
    # Positions of the countries' capitals: any may be said to be any country's. In the world a
    # country says its capital, and a model would not read it.
    capitals: tuple[int, ...]

    def lexicon(self, language: str) -> Lexicon:
        own, _ = in_language(language)
        words = dict(own.words)
        if self.companies:
            words["company"] = self.companies
        if self.cities:
            words["city"] = self.cities
        known = list(own.capitals.values())
        return replace(
            own,
            women=self.women,
            men=self.men,
            last_names=self.last_names,
            capitals=dict(zip(own.capitals, (known[at] for at in self.capitals), strict=True)),
            words=words,
        )


def _invent_names(rng: random.Random) -> _Names:
    def like(words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(invent(word, rng) for word in words)

    invented_first_names = rng.random() < INVENTED_FIRST_NAMES
    return _Names(
        women=like(ENGLISH.women) if invented_first_names else ENGLISH.women,
        men=like(ENGLISH.men) if invented_first_names else ENGLISH.men,
        last_names=like(ENGLISH.last_names),
        companies=like(ENGLISH.words["company"]) if rng.random() < INVENTED_COMPANIES else None,
        cities=like(ENGLISH.words["city"]) if rng.random() < INVENTED_CITIES else None,
        capitals=tuple(rng.sample(range(len(ENGLISH.capitals)), len(ENGLISH.capitals))),
    )


def _told(
    names: _Names, women: tuple[str, ...], seed: int, languages: tuple[str, ...]
) -> Iterator[list[str]]:
    """Sentences without end, each in ``languages``, that take ``women`` to be women."""
    draws = [
        Draw(random.Random(seed), None, language, lexicon=names.lexicon(language))
        for language in languages
    ]
    for draw in draws:
        # What is drawn does not change by it, only what agrees with a name.
        draw.lexicon = replace(draw.lexicon, women=women)
    while True:
        yield [draw_sentence(draw) for draw in draws]
