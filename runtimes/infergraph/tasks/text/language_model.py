"""Language models of recognizers: how likely a word is after those before it.

A CTC checkpoint has one in the folder `language_model`, as `Wav2Vec2ProcessorWithLM` of
transformers keeps it: the known words in `unigrams.txt`, one to a line, n-grams in a file of the
ARPA format, and in `attrs.json` the weights `alpha`, `beta` and `unk_score_offset`. N-grams of
KenLM's binary format are not read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import ConfigurationError

FOLDER = "language_model"
_WORDS, _WEIGHTS = "unigrams.txt", "attrs.json"
_USUAL_LETTERS = 6
_LN_10 = math.log(10)
_BEGIN, _UNKNOWN = "<s>", "<unk>"

Ngram = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """Back-off n-grams over words.

    Attributes:
        words: The known ones.
        probabilities: log10 of the last word's after those before it, by n-gram.
        backoffs: log10 of the weight of shorter n-grams after these words; 0 unless they are there.
        alpha: Weight of the n-grams beside the sound.
        beta: What every word adds, in natural logarithms.
        unk_score_offset: What a word that is not known adds to its log10.
    """

    words: frozenset[str]
    probabilities: Mapping[Ngram, float]
    backoffs: Mapping[Ngram, float]
    alpha: float = 0.5
    beta: float = 1.5
    unk_score_offset: float = -10.0

    @property
    def start(self) -> Ngram:
        """The words before the first one."""
        return (_BEGIN,) if (_BEGIN,) in self.probabilities else ()

    def unknown(self, word: str) -> float:
        """What a word that is not known adds, in natural logarithms; long ones may be several."""
        longer = max(1.0, len(word) / _USUAL_LETTERS)
        return self.alpha * _LN_10 * self.unk_score_offset * longer

    def score(self, before: Ngram, word: str) -> tuple[float, Ngram]:
        """A word's natural logarithm of likelihood, weighted; and what is before the next word."""
        known = word in self.words
        spelled = word if known else _UNKNOWN
        score = self.alpha * _LN_10 * self._log10(before, spelled) + self.beta
        after = (*before, spelled)
        while after and after not in self.backoffs:
            after = after[1:]
        return score + (0.0 if known else self.unknown(word)), after

    def _log10(self, before: Ngram, word: str) -> float:
        backoff = 0.0
        while True:
            found = self.probabilities.get((*before, word))
            if found is not None:
                return backoff + found
            if not before:
                return backoff
            backoff += self.backoffs.get(before, 0.0)
            before = before[1:]


def read_language_model(checkpoint: Path) -> LanguageModel | None:
    """The language model of a checkpoint's folder; None if it has none.

    Raises:
        ConfigurationError: a file is missing or damaged; names it.
    """
    folder = checkpoint / FOLDER
    if not folder.is_dir():
        return None
    found = sorted(folder.glob("*.arpa"))
    if len(found) != 1:
        raise ConfigurationError(
            f"{folder}: {len(found)} files of n-grams in the ARPA format; accepted: one, *.arpa"
        )
    file = found[0]
    try:
        words = frozenset(_text(folder / _WORDS).split())
        if not words:
            raise ValueError(f"{_WORDS} has no words")
        weights = json.loads(_text(folder / _WEIGHTS))
        chosen = {name: float(weights[name]) for name in ("alpha", "beta", "unk_score_offset")}
        probabilities, backoffs = _read_arpa(file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{folder} is no language model: {error!r}") from None
    return LanguageModel(words, probabilities, backoffs, **chosen)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        # Its own representation holds the whole file.
        raise ValueError(f"{file.name} is not UTF-8 ({error})") from None


def _read_arpa(file: Path) -> tuple[dict[Ngram, float], dict[Ngram, float]]:
    probabilities: dict[Ngram, float] = {}
    backoffs: dict[Ngram, float] = {}
    order = 0
    for line in _text(file).splitlines():
        if line.startswith("\\"):
            # "\2-grams:" begins those of two words.
            order = int(line[1 : line.index("-")]) if line.endswith("-grams:") else 0
        elif order and line.strip():
            probability, *rest = line.split()
            ngram = tuple(rest[:order])
            if len(ngram) != order:
                raise ValueError(f"{file.name}: {line!r} is no n-gram of {order} words")
            probabilities[ngram] = float(probability)
            if len(rest) > order:
                backoffs[ngram] = float(rest[order])
    if not probabilities:
        raise ValueError(f"{file.name} has no n-grams")
    return probabilities, backoffs
