"""`Pronunciation`: the phonemes of words, by a dictionary and, for other words, by rules."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from ...errors import ConfigurationError
from ...weights import loading
from .spoken_text import MARKS, READINGS, spoken_parts

PRONUNCIATION = "pronunciation.json"
"""Of a checkpoint: the language, the dictionary and the rules."""
BETWEEN_WORDS = " "
STRESS = "\u02c8"
WEAK_STRESS = "\u02cc"
_EDGE = "#"
# In which order a rule looks at the letters around one: before it if negative.
_AROUND = (1, -1, 2, -2, 3, -3, 4)
_VOWELS = frozenset(
    "aeiou\u0251\u0250\u0252\u00e6\u0259\u025a\u025b\u025c\u026a\u028a\u028c\u0254\u00f8\u0153y\u028f"
)
# Weak vowels, that carry no stress where another one can.
_WEAK = frozenset("\u0259\u025a\u0250")


def contexts(word: str, place: int) -> list[str]:
    """What rules for the letter at `place` look at, the least first: a letter more each time.

    A rule is a string: the letter, then those around it, `#` where the word ends.
    """
    context = word[place]
    found = [context]
    for distance in _AROUND:
        around = place + distance
        context += word[around] if 0 <= around < len(word) else _EDGE
        found.append(context)
    return found


class Pronunciation:
    """How a language's words are said.

    Attributes:
        language: Its ISO 639-1 code.
        words: Word, in lower case, to its phonemes with spaces between them.
        rules: What `contexts` gives to the phonemes of the letter, likewise; of several that fit,
            the longest is the one. Every letter of the language has one of its own.
    """

    def __init__(self, language: str, words: Mapping[str, str], rules: Mapping[str, str]) -> None:
        self.language = language
        self.words = words
        self.rules = rules
        # The same words come again and again.
        self.word = lru_cache(maxsize=4096)(self._word)

    @classmethod
    def load(cls, folder: str) -> Pronunciation:
        """That of a checkpoint's folder.

        Raises:
            ConfigurationError: the folder has none, or of a language whose numbers are not known.
        """
        with loading("pronunciation", folder):
            said = json.loads(Path(folder, PRONUNCIATION).read_text(encoding="utf-8"))
            language, words, rules = said["language"], said["words"], said["rules"]
        if language not in READINGS:
            raise ConfigurationError(
                f"the pronunciation in '{folder}' is of the language '{language}'; accepted: "
                f"{', '.join(READINGS)}"
            )
        return cls(language, words, rules)

    def phonemes(self, text: str) -> list[str]:
        """The phonemes of a text, `BETWEEN_WORDS` and marks.

        A mark is heard once, and only after a word.

        Raises:
            InvalidInput: a letter or symbol cannot be said.
        """
        found: list[str] = []
        for part in spoken_parts(text, self.language):
            if part in MARKS:
                if found and found[-1] not in MARKS:
                    found.append(part)
                continue
            if found and found[-1] not in MARKS:
                found.append(BETWEEN_WORDS)
            found += self.word(part)
        return found

    def _word(self, word: str) -> tuple[str, ...]:
        known = self.words.get(word)
        if known is None and word.endswith("'"):
            known = self.words.get(word[:-1])
        return tuple(known.split()) if known is not None else tuple(self.by_rules(word))

    def by_rules(self, word: str) -> list[str]:
        """The phonemes of a word that the dictionary need not have."""
        found: list[str] = []
        for place in range(len(word)):
            for context in reversed(contexts(word, place)):
                if (rule := self.rules.get(context)) is not None:
                    found += rule.split()
                    break
        return _stressed(found)


def _stressed(phonemes: Sequence[str]) -> list[str]:
    """The phonemes with one main stress: rules that see a few letters may give none, or two."""
    found = list(phonemes)
    main = [place for place, each in enumerate(found) if each[0] == STRESS]
    for place in main[1:]:
        found[place] = WEAK_STRESS + found[place][1:]
    vowels = [
        place for place, each in enumerate(found) if each.strip(STRESS + WEAK_STRESS)[0] in _VOWELS
    ]
    if main or not vowels:
        return found
    strong = [place for place in vowels if found[place][0] not in _WEAK] or vowels
    weak = [place for place in strong if found[place][0] == WEAK_STRESS]
    place = (weak or strong)[0]
    found[place] = STRESS + found[place].removeprefix(WEAK_STRESS)
    return found
