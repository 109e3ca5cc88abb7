"""`Tagging`: from the probabilities of tags, token by token, to entities, where they are in a text.

Tags are those of any of the usual schemes: B- and I- (IOB, IOB2), with E- or L- for the last word
and S- or U- for a lone one (IOBES, BILOU), or labels alone. What a scheme does not allow is read as
it is likeliest meant: an entity begins wherever no other goes on.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from .windows import EncodedText

Probabilities = npt.NDArray[np.float32]
Aggregation = Literal["first", "average", "max"]

OUTSIDE = "O"
_BEGIN, _INSIDE, _END, _LONE = "B", "IM", "EL", "SU"
_PREFIXES = frozenset(_BEGIN + _INSIDE + _END + _LONE)


@dataclass(frozen=True, slots=True)
class Entity:
    """A named part of a text.

    Attributes:
        start: Its first character, in code points.
        end: The one past its last.
        label: What it is.
        score: From 0 to 1.
    """

    start: int
    end: int
    label: str
    score: float


class Tagging:
    """What a checkpoint's tags mean.

    Attributes:
        labels: The labels that entities may have, in order.
    """

    def __init__(self, tags: Sequence[str], names: Mapping[str, str], how: Aggregation) -> None:
        """Reads the tags.

        Args:
            tags: The network's tags, in order.
            names: A tag, or a label without its prefix -> its name in answers.
            how: What of the tokens of a word decides on its tag: the first of them, the mean of
                their probabilities, or the one that is surest.
        """
        self._how = how
        renamed = [names.get(tag, tag) for tag in tags]
        prefixed = [_divided(tag) for tag in renamed]
        if any(prefix for prefix, _ in prefixed):
            parts = [(prefix or _INSIDE[0], label) for prefix, label in prefixed]
        else:
            # Without "O" each word has a label of its own: parts of speech.
            prefix = _INSIDE[0] if OUTSIDE in renamed else _LONE[0]
            parts = [(prefix, tag) for tag in renamed]
        self._prefixes = [prefix for prefix, _ in parts]
        of_tags = [OUTSIDE if label == OUTSIDE else names.get(label, label) for _, label in parts]
        self.labels = [each for each in dict.fromkeys(of_tags) if each != OUTSIDE]
        self._labels = of_tags
        self._same = np.array([[a == b for b in of_tags] for a in of_tags], np.float32)

    def entities(self, encoded: EncodedText, probabilities: Probabilities) -> list[Entity]:
        """The entities of a text, in its order.

        The score is the mean, over an entity's words, of how probably the word has its label.

        Args:
            encoded: The text.
            probabilities: Of each tag for each token, FP32 [tokens, tags].
        """
        if not len(encoded.words):
            return []
        words = self._words(encoded.words, probabilities)
        best = words.argmax(axis=-1)
        of_label = np.take_along_axis(words @ self._same, best[:, None], axis=-1)[:, 0]
        bounds = [*encoded.words.tolist(), len(encoded.offsets)]
        found: list[Entity] = []
        for first, last in self._runs(best.tolist()):
            start, end = _place(encoded, bounds, first, last)
            score = float(of_label[first:last].mean())
            found.append(Entity(start, end, self._labels[best[first]], min(score, 1.0)))
        return found

    def _runs(self, tags: Sequence[int]) -> list[tuple[int, int]]:
        """The first word of each entity, and the one past its last."""
        runs: list[tuple[int, int]] = []
        goes_on = False
        for word, tag in enumerate(tags):
            prefix, label = self._prefixes[tag], self._labels[tag]
            same = word > 0 and label == self._labels[tags[word - 1]]
            if label == OUTSIDE:
                goes_on = False
                continue
            if goes_on and same and prefix not in _BEGIN + _LONE:
                runs[-1] = runs[-1][0], word + 1
            else:
                runs.append((word, word + 1))
            goes_on = prefix not in _END + _LONE
        return runs

    def _words(self, firsts: npt.NDArray[np.int64], tokens: Probabilities) -> Probabilities:
        """The probabilities of each word, FP32 [words, tags]."""
        if self._how == "first" or not len(firsts):
            return tokens[firsts]
        if self._how == "average":
            sizes = np.diff([*firsts, len(tokens)])[:, None]
            mean = np.add.reduceat(tokens, firsts, axis=0) / sizes
            return mean.astype(np.float32, copy=False)
        surest = [
            first + int(tokens[first:last].max(axis=-1).argmax())
            for first, last in zip(firsts, [*firsts[1:], len(tokens)], strict=True)
        ]
        return tokens[surest]


def _divided(tag: str) -> tuple[str, str]:
    """A tag's prefix, which is empty if it has none, and its label."""
    if len(tag) > 2 and tag[0] in _PREFIXES and tag[1] in "-_":
        return tag[0], tag[2:]
    return "", tag


def _place(encoded: EncodedText, bounds: Sequence[int], first: int, last: int) -> tuple[int, int]:
    """Where the words from `first` to before `last` start and end in the text.

    A tokenizer that divides words at white space alone has punctuation in them: of a word's other
    tokens, it is not the entity's at its edges.

    Args:
        encoded: The text.
        bounds: The first token of each word, and the number of tokens.
        first: The first word.
        last: The one past the last.
    """
    spoken, named = [], []
    for token in range(bounds[first], bounds[last]):
        start, end = encoded.offsets[token].tolist()
        text = encoded.text[start:end].strip()
        if text:
            spoken.append(token)
        if not all(unicodedata.category(each)[0] == "P" for each in text):
            named.append(token)
    left = next((each for each in named if each < bounds[first + 1]), spoken[0])
    right = next((each for each in named[::-1] if each >= bounds[last - 1]), spoken[-1])
    start, end = encoded.offsets[[left, right], [0, 1]].tolist()
    text = encoded.text[start:end]
    start += len(text) - len(text.lstrip())
    return start, start + len(text.strip())
