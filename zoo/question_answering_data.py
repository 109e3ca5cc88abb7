"""Training examples for question answering: views of ``zoo.world``'s that train more.

Left as they are, they would teach a model the names and facts of one small world, spelled well.
These views have invented names and values, questions in the form of a transcript, misheard
letters, and contexts that are shorter or longer, or whose answer was cut out.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Iterable
from dataclasses import replace

from zoo.lexicon import ENGLISH
from zoo.world import QuestionExample, normalise_transcript

PEOPLE = (*ENGLISH.women, *ENGLISH.men, *ENGLISH.last_names)
PLACES = (*ENGLISH.words["city"], *ENGLISH.capitals)
VALUES = tuple(
    words for category, words in ENGLISH.words.items() if category not in ("city", "good", "bad")
)

# Shares of the examples that get each augmentation.
DISGUISED = 0.7
LENGTHENED = 0.4
CUT_OUT = 0.1
TRANSCRIBED = 0.5
MISHEARD = 0.3
TRANSCRIBED_CONTEXT = 0.15


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Common ones come twice.
_ONSETS = _split(
    "b bl br c ch cl d dr f fl fr g gl gr h j k l l m m n n p pl pr qu r r s s sh st t t th tr v w"
)
_VOWELS = _split("a a a e e e i i i o o o u u y ai au ea ei ia ie io oa ou")
_CODAS = _split("ck d l ll m n n nd ng nn nt r r rd rk rn s ss st t th tt x")


def invent(like: str, rng: random.Random) -> str:
    """Pronounceable words, such as "Brenou Tilask", that are no person of the world.

    Starts with a capital if ``like`` does. Two words are made only for a ``like`` of several.
    """
    several = len(re.split("[ -]", like)) > 1 and rng.random() < 0.7
    text = " ".join(_invent_word(rng) for _ in range(1 + several))
    return text if like[0].isupper() else text.lower()


def _invent_word(rng: random.Random) -> str:
    while True:
        syllables = [
            rng.choice(_ONSETS) + rng.choice(_VOWELS) + (rng.choice(_CODAS) if coda else "")
            for coda in rng.choices((True, False), weights=(1, 2), k=rng.choice((1, 2, 2, 2, 3)))
        ]
        if rng.random() < 0.2:
            syllables[0] = rng.choice("aeiou") + syllables[0]
        word = "".join(syllables).capitalize()
        # By chance it may be one that is kept from training.
        if word not in PEOPLE:
            return word


def rewrite(example: QuestionExample, transform: Callable[[str], str]) -> QuestionExample:
    """Apply ``transform`` to every text of an example, and find its answer's new place."""
    question = transform(example.question)
    if not example.answer:
        return replace(example, question=question, context=transform(example.context))
    end = example.answer_start + len(example.answer)
    before = transform(example.context[: example.answer_start])
    answer = transform(example.context[example.answer_start : end])
    return replace(
        example,
        context=before + answer + transform(example.context[end:]),
        question=question,
        answer=answer,
        answer_start=len(before),
    )


def rename(example: QuestionExample, names: Iterable[str], rng: random.Random) -> QuestionExample:
    """The same example in invented words: each of ``names``, where it is a whole word, becomes
    one fresh name throughout context, question and answer."""
    text = f"{example.context} {example.question}"
    # Longest first: "two hundred" before "two". Sorted, so that a seed means one outcome.
    present = sorted({name for name in names if name in text}, key=lambda name: (-len(name), name))
    if not present:
        return example
    fresh = {name: invent(name, rng) for name in present}
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, present))})\b")
    return rewrite(example, lambda text: pattern.sub(lambda match: fresh[match[0]], text))


def disguise(example: QuestionExample, rng: random.Random) -> QuestionExample:
    """An example whose people, and some of whose places and values, have invented names.

    So an answer is known by where it stands, and not because training saw it there.
    """
    names = list(PEOPLE)
    if rng.random() < 0.4:
        names += PLACES
    for words in VALUES:
        if rng.random() < 0.3:
            names += words
    return rename(example, names, rng)


def mishear(text: str, rng: random.Random) -> str:
    """Drop, double or change one or two letters, as a speech recogniser might."""
    letters = list(text)
    for _ in range(rng.choice((1, 1, 2))):
        spots = [at for at, letter in enumerate(letters) if len(letter) == 1 and letter.isalpha()]
        if len(spots) < 4:
            break
        at = rng.choice(spots)
        letter = rng.choice(string.ascii_lowercase)
        letters[at] = rng.choice(("", letters[at] * 2, letter, letter))
    return "".join(letters)


def crop(
    example: QuestionExample, most: int | None, keep: bool, rng: random.Random
) -> QuestionExample:
    """A random run of at most ``most`` sentences of the context, or of any length if None.

    The run holds the answer if ``keep``; otherwise it does not, and the example becomes
    unanswerable, as it is in most windows of a long context. Where there is no such run, the
    example comes back unchanged.
    """
    text, start = example.context, example.answer_start
    cuts = [0, *(match.end() for match in re.finditer(r"\. ", text)), len(text)]
    runs = [
        (left, right)
        for i, left in enumerate(cuts[:-1])
        # A pronoun needs the sentence before it.
        if not text[left:].startswith(("He ", "She ", "It "))
        for right in cuts[i + 1 : None if most is None else i + 1 + most]
    ]
    if example.answer:
        end = start + len(example.answer)
        runs = [
            (left, right)
            for left, right in runs
            if (left <= start and end <= right if keep else example.answer not in text[left:right])
        ]
    if not runs:
        return example
    # Of two, the longer: a context is usually read whole.
    left, right = max(rng.choices(runs, k=2), key=lambda run: run[1] - run[0])
    context = text[left:right].rstrip()
    if example.answer and keep:
        return replace(example, context=context, answer_start=start - left)
    return replace(example, context=context, answer="", answer_start=-1)


def lengthen(
    example: QuestionExample, other: str, names: Iterable[str], rng: random.Random
) -> QuestionExample:
    """The context with a text about other people before or after it.

    Unchanged if the question names nobody, or somebody whom ``other`` names too: then ``other``
    might answer it.
    """
    asked = [name for name in names if name in example.question]
    if not asked or any(name in other for name in asked):
        return example
    if rng.random() < 0.5:
        return replace(example, context=f"{example.context} {other}")
    start = example.answer_start + len(other) + 1 if example.answer else -1
    return replace(example, context=f"{other} {example.context}", answer_start=start)


def transcribe(text: str) -> str:
    """``text`` as a speech recogniser writes it; a space at either end stays, for joining."""
    before = " " if re.match(r"\W*\s", text) else ""
    after = " " if re.search(r"\s\W*$", text) else ""
    return before + normalise_transcript(text) + after


def augment(
    example: QuestionExample, other: QuestionExample, most: int | None, rng: random.Random
) -> QuestionExample:
    """One random view of an example: of ``most`` sentences, or of any length if None."""
    if rng.random() < DISGUISED:
        example = disguise(example, rng)
    elif most is None and rng.random() < LENGTHENED:
        example = lengthen(example, other.context, PEOPLE, rng)
    cut_out = rng.random() < CUT_OUT
    if cut_out or most is not None:
        example = crop(example, most, keep=not cut_out, rng=rng)
    if rng.random() < TRANSCRIBED_CONTEXT:
        example = rewrite(example, transcribe)
    if rng.random() < TRANSCRIBED:
        question = normalise_transcript(example.question)
        if rng.random() < MISHEARD:
            question = mishear(question, rng)
        example = replace(example, question=question)
    return example
