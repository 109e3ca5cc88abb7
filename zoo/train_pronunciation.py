"""Learns how words are said, for text to speech: a dictionary, and rules for other words.

    python -m zoo.train_pronunciation --output model-settings/text-to-speech/embedded

Needs espeak-ng, which is the teacher, and PyPI's pyspellchecker, whose lists have the words.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import random
import string
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from infergraph.tasks.speech.pronunciation import PRONUNCIATION, Pronunciation, contexts
from infergraph.tasks.speech.spoken_text import READINGS
from zoo.espeak import Espeak
from zoo.text_to_speech_data import VOICES, pronunciations
from zoo.world import sentences

logger = logging.getLogger(__name__)

_PASSES = 4
_MOST_PHONEMES = 2
_UNSEEN = 1e-6

Phonemes = tuple[str, ...]


def frequent_words(language: str, count: int) -> list[str]:
    """The most frequent words of a language, of letters alone.

    Raises:
        RuntimeError: pyspellchecker is missing.
    """
    try:
        from spellchecker import SpellChecker  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise RuntimeError("install PyPI's pyspellchecker: it has the words") from error
    counted: Mapping[str, int] = SpellChecker(language=language).word_frequency.dictionary
    words = sorted((word for word in counted if word.isalpha() and len(word) > 1), key=counted.get)  # type: ignore[arg-type]
    return words[::-1][:count]


def align(words: Mapping[str, Phonemes], passes: int = _PASSES) -> dict[str, tuple[Phonemes, ...]]:
    """The phonemes of each letter of each word, none to two, by how often they go together.

    Words that cannot be divided so are left out.
    """
    counts: defaultdict[str, Counter[Phonemes]] = defaultdict(Counter)
    for word, phonemes in words.items():
        # To begin with, what is about as far into the word.
        for place, letter in enumerate(word):
            start, end = (len(phonemes) * each // len(word) for each in (place, place + 1))
            for first in range(max(start - 1, 0), min(end + 1, len(phonemes))):
                counts[letter][phonemes[first : first + 1]] += 1
            counts[letter][()] += 1
    aligned: dict[str, tuple[Phonemes, ...]] = {}
    for _ in range(passes):
        costs = {
            letter: {chunk: -math.log(n / counted.total()) for chunk, n in counted.items()}
            for letter, counted in counts.items()
        }
        aligned = {
            word: found
            for word, phonemes in words.items()
            if (found := _best(word, phonemes, costs)) is not None
        }
        counts = defaultdict(Counter)
        for word, chunks in aligned.items():
            for letter, chunk in zip(word, chunks, strict=True):
                counts[letter][chunk] += 1
    return aligned


def _best(
    word: str, phonemes: Phonemes, costs: Mapping[str, Mapping[Phonemes, float]]
) -> tuple[Phonemes, ...] | None:
    unseen = -math.log(_UNSEEN)
    # By how many phonemes the letters so far have: what it costs, and how.
    states: dict[int, tuple[float, tuple[Phonemes, ...]]] = {0: (0.0, ())}
    for letter in word:
        known = costs.get(letter, {})
        following: dict[int, tuple[float, tuple[Phonemes, ...]]] = {}
        for used, (cost, chunks) in states.items():
            for size in range(_MOST_PHONEMES + 1):
                if used + size > len(phonemes):
                    break
                chunk = phonemes[used : used + size]
                total = cost + known.get(chunk, unseen + 3 * size)
                if used + size not in following or total < following[used + size][0]:
                    following[used + size] = (total, (*chunks, chunk))
        states = following
    found = states.get(len(phonemes))
    return None if found is None else found[1]


def rules_of(aligned: Mapping[str, Sequence[Phonemes]]) -> dict[str, str]:
    """Rules that say what letters sound like, see `Pronunciation`.

    A longer rule is there only where its words want another answer than a shorter one's.
    """
    counts: defaultdict[str, Counter[Phonemes]] = defaultdict(Counter)
    for word, chunks in aligned.items():
        for place, chunk in enumerate(chunks):
            for context in contexts(word, place):
                counts[context][chunk] += 1
    rules: dict[str, str] = {}
    for context in sorted(counts, key=len):
        counted = counts[context]
        said = " ".join(counted.most_common(1)[0][0])
        shorter = next(
            (
                rules[context[:end]]
                for end in range(len(context) - 1, 0, -1)
                if context[:end] in rules
            ),
            None,
        )
        if said != shorter:
            rules[context] = said
    return rules


def learn(language: str, count: int, told: int, seed: int) -> tuple[Pronunciation, float]:
    """How words are said; and the share of words that it says as the teacher, of a tenth of the
    frequent ones that it has not learned from.

    Args:
        language: One of `VOICES`.
        count: How many frequent words there are.
        told: Of how many of the world's sentences the words are in the dictionary.
        seed: Chooses sentences, and the words that are held out.
    """
    voice = VOICES[language]
    espeak = Espeak(voice.name)
    letters = string.ascii_lowercase + READINGS[language].letters
    # Letters that stand alone are called by their names, but for those that are words.
    world = {letter: tuple(espeak.phonemes(letter)[0]) for letter in letters}
    world |= pronunciations(sentences(seed, told, "train", language=language), voice)
    said: dict[str, Phonemes] = {}
    for word in frequent_words(language, count):
        spoken = espeak.phonemes(word)
        if len(spoken) == 1:
            said[word] = tuple(spoken[0])
    held_out = set(random.Random(seed).sample(sorted(said), len(said) // 10)) - set(world)
    learned = {word: said[word] for word in said if word not in held_out}
    learned |= {word: phonemes for word, phonemes in world.items() if word.isalpha()}
    rules = rules_of(align(learned))
    found = Pronunciation(language, {}, rules)
    right = sum(tuple(found.by_rules(word)) == said[word] for word in held_out)
    alike = sum(
        [each.lstrip("\u02c8\u02cc") for each in found.by_rules(word)]
        == [each.lstrip("\u02c8\u02cc") for each in said[word]]
        for word in held_out
    )
    logger.info("without stress: %.1f%%", 100 * alike / len(held_out))
    # What the rules say otherwise; of the world's words also those that they say right.
    words = {w: learned[w] for w in learned if tuple(found.by_rules(w)) != learned[w]} | world
    dictionary = {word: " ".join(phonemes) for word, phonemes in sorted(words.items())}
    return Pronunciation(language, dictionary, rules), right / max(len(held_out), 1)


def save(pronunciation: Pronunciation, folder: Path) -> None:
    """Writes the file that `Pronunciation.load` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    said = {
        "language": pronunciation.language,
        "words": pronunciation.words,
        "rules": pronunciation.rules,
    }
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    (folder / PRONUNCIATION).write_text(f"{text}\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--language", choices=sorted(VOICES), default="en")
    parser.add_argument("--words", type=int, default=40_000, help="frequent words to learn from")
    parser.add_argument("--sentences", type=int, default=1500, help="of the world, for its words")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pronunciation, right = learn(
        arguments.language, arguments.words, arguments.sentences, arguments.seed
    )
    save(pronunciation, arguments.output)
    logger.info(
        "%d words, %d rules; of held-out words %.1f%% are said as the teacher says them",
        *(len(pronunciation.words), len(pronunciation.rules), 100 * right),
    )


if __name__ == "__main__":
    main()
