"""Training examples for sentiment: views of `zoo.world.reviews` that train more.

The reviews themselves come from a few templates, which a model could learn by heart. These views
have invented nouns, words left out, opinions put otherwise or denied, several reviews of one
label in a text, the form of a transcript, and misheard letters. Texts that give no opinion, and
texts that are not of the world, have the label `unknown`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from zoo.lexicon import ENGLISH
from zoo.outside_texts import UNKNOWN, outside_texts
from zoo.question_answering_data import invent, mishear
from zoo.world import Split, facts, normalise_transcript, questions, reviews

OPINIONS = ("negative", "positive")
LABELS = (*OPINIONS, UNKNOWN)

# Share of the examples that give no opinion of the world's.
OUTSIDE = 0.3

# Shares of the examples that get each view.
RESTATED = 0.35
DISGUISED = 0.4
SHORTENED = 0.3
JOINED = 0.25
TRANSCRIBED = 0.5
MISHEARD = 0.4

_NOUNS = tuple(
    word
    for category in ("food", "object", "building", "city", "colour", "month")
    for word in ENGLISH.words[category]
)
_NOUN = re.compile(rf"\b({'|'.join(_NOUNS)})\b")
# Without one of these a review may say the opposite.
_DENIALS = ("not", "never", "no", "isn't", "wasn't", "doesn't", "don't", "too", "still")

_THINGS = ("food", "object", "building")
_TOPICS = ("film", "hotel", "room", "waiter", "service", "music", "story", "evening", "restaurant")
_CLAIMS = (
    "{thing} is {opinion}.",
    "{thing} was {opinion}.",
    "{thing} was really {opinion}.",
    "I think that {thing} is {opinion}.",
    "I find {thing} very {opinion}.",
    "{opinion}, just {opinion}.",
    "We thought {thing} was {opinion}.",
    "{thing} in {city} is {opinion}.",
    "My {word} is {opinion}.",
    "What a {opinion} {word}!",
)
_DENIED_CLAIMS = (
    "{thing} is not {opinion}.",
    "{thing} wasn't {opinion}.",
    "I don't think that {thing} is {opinion}.",
    "{thing} isn't {opinion} at all.",
)
_VERDICTS = {
    "positive": (
        "I like {thing}.",
        "I really love {thing}.",
        "We enjoyed {thing} very much.",
        "I would recommend {thing} to everybody.",
        "I am happy with {thing}.",
        "{thing} made me laugh.",
        "{thing} works very well.",
        "We will come back soon.",
        "You should try {thing}.",
    ),
    "negative": (
        "I dislike {thing}.",
        "I really hate {thing}.",
        "We did not enjoy {thing}.",
        "I would not recommend {thing} to anybody.",
        "I am unhappy with {thing}.",
        "{thing} made me fall asleep.",
        "{thing} doesn't work.",
        "We will never come back.",
        "Don't try {thing}.",
    ),
}


def restate(label: str, rng: random.Random) -> str:
    """A short opinion of `label` in words other than the world's templates."""
    word = rng.choice((*_TOPICS, *ENGLISH.words[rng.choice(_THINGS)]))
    slots = {"word": word, "thing": f"the {word}", "city": rng.choice(ENGLISH.words["city"])}
    kind = rng.random()
    if kind < 0.4:
        template = rng.choice(_VERDICTS[label])
    else:
        denied = kind < 0.6
        template = rng.choice(_DENIED_CLAIMS if denied else _CLAIMS)
        good = (label == "positive") != denied
        pools = ("good", "tasty") if good else ("bad", "foul")
        slots["opinion"] = rng.choice(ENGLISH.words[rng.choice(pools)])
    text = template.format(**slots)
    return text[0].upper() + text[1:]


def disguise(text: str, rng: random.Random) -> str:
    """`text` with some of the nouns, cities and colours replaced by invented words."""
    return _NOUN.sub(lambda match: invent(match[0], rng) if rng.random() < 0.5 else match[0], text)


def shorten(text: str, rng: random.Random) -> str:
    """`text` without one or two words, none of which denies anything or gives the opinion."""
    words = text.split()
    opinions = {word for pool in ("good", "bad", "tasty", "foul") for word in ENGLISH.words[pool]}
    for _ in range(rng.choice((1, 2))):
        spots = [
            at
            for at, word in enumerate(words)
            if len(word) <= 4 and normalise_transcript(word) not in (*_DENIALS, *opinions)
        ]
        if len(words) > 4 and spots:
            del words[rng.choice(spots)]
    return " ".join(words)


def augment(text: str, label: str, others: Sequence[str], rng: random.Random) -> str:
    """One random view of a review of `label`; `others` are reviews of the same label."""
    if rng.random() < RESTATED:
        text = restate(label, rng)
    if rng.random() < JOINED:
        more = [rng.choice(others) for _ in range(rng.choice((1, 1, 2, 3)))]
        text = " ".join((text, *more))
    if rng.random() < DISGUISED:
        text = disguise(text, rng)
    if rng.random() < SHORTENED:
        text = shorten(text, rng)
    if rng.random() < TRANSCRIBED:
        text = normalise_transcript(text)
        if rng.random() < MISHEARD:
            text = mishear(text, rng)
    return text


def examples(seed: int, count: int, split: Split = "train") -> list[tuple[str, str]]:
    """`count` views of reviews and other texts of `split` as (text, label).

    Raises:
        ValueError: If `split` is unknown.
    """
    rng = random.Random(f"sentiment/{split}/{seed}")
    drawn = reviews(seed, count - int(OUTSIDE * count), split)
    texts = {label: [text for text, other in drawn if other == label] for label in OPINIONS}
    made = [(augment(text, label, texts[label], rng), label) for text, label in drawn]
    made += [(text, UNKNOWN) for text in no_opinions(seed, count - len(made), split)]
    rng.shuffle(made)
    return made


def no_opinions(seed: int, count: int, split: Split) -> list[str]:
    """`count` texts that are no review: some of the world's statements and questions, the rest
    from outside of it.

    Raises:
        ValueError: If `split` is unknown.
    """
    rng = random.Random(f"no opinions/{split}/{seed}")
    told = count // 3
    texts = [fact.statement for fact in facts(seed, told // 2, split)]
    texts += [example.question for example in questions(seed, told - len(texts), split)]
    texts = [normalise_transcript(text) if rng.random() < TRANSCRIBED else text for text in texts]
    return texts + outside_texts(seed, count - told, split)
