"""`WordSearch`: the likeliest words of a CTC network's letters, heard or seen, by a language model.

It is a beam search over prefixes, as of Hannun et al., "First-Pass Large Vocabulary Continuous
Speech Recognition using Bi-Directional Recurrent DNNs" (2014): paths of letters that collapse to
the same text are one hypothesis, and the language model scores each word when it ends.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from .language_model import LanguageModel, Ngram

_NEVER = -math.inf
# Letters less likely than this, in natural logarithms, are not followed, nor more than so many.
_UNLIKELY = -7.0
_LETTERS = 8
_HYPOTHESES = 16

Letters = npt.NDArray[np.float32]


class _Text:
    """A hypothesis. Each text is one object, so that all paths to it meet.

    Attributes:
        token: Its last.
        parent: The text before that; None of the empty one.
        word: The letters since the last delimiter.
        before: The words before that, as the language model has them.
        score: Of those words.
    """

    __slots__ = ("before", "longer", "parent", "score", "token", "word")

    def __init__(
        self, parent: _Text | None, token: int, word: str, before: Ngram, score: float
    ) -> None:
        self.parent = parent
        self.token = token
        self.word = word
        self.before = before
        self.score = score
        self.longer: dict[int, _Text] = {}


_Paths = dict[_Text, tuple[float, float]]
"""By text the logarithms of probability of the paths to it that end with a blank, and a letter."""


class WordSearch:
    """Finds the words of a clip, or of a line of text.

    Args:
        model: Of the language.
        letters: What each token of the network stands for, as the model's words are written; ""
            for those that are no letters.
        blank: CTC's token for nothing.
        delimiter: The token between words.
        marks: Tokens that end a word and are of none, as digits and full stops. The model says
            nothing of them.
    """

    def __init__(
        self,
        model: LanguageModel,
        letters: Sequence[str],
        blank: int,
        delimiter: int,
        marks: Collection[int] = (),
    ) -> None:
        self._model = model
        self._letters = letters
        self._blank = blank
        self._delimiter = delimiter
        self._ends = frozenset([delimiter, *marks])
        self._beginnings = {word[:end] for word in model.words for end in range(len(word) + 1)}

    def knows(self, tokens: Sequence[int]) -> bool:
        """Whether a text is made of known words only."""
        spelled = "".join(" " if token in self._ends else self._letters[token] for token in tokens)
        return self._model.words.issuperset(spelled.split())

    def __call__(self, likely: Letters) -> tuple[list[int], float]:
        """The tokens of the likeliest text, and the logarithm of its probability by sound alone.

        Args:
            likely: FP32 [frames, tokens], natural logarithms of probability.
        """
        paths: _Paths = {_Text(None, self._delimiter, "", self._model.start, 0.0): (0.0, _NEVER)}
        for frame in likely:
            paths = self._next(paths, frame)
        ended: dict[_Text, float] = {}
        for text, path in paths.items():
            # A delimiter at the end is none.
            whole = text.parent if text.token == self._delimiter and text.parent else text
            ended[whole] = _sum(ended.get(whole, _NEVER), _sum(*path))
        best = max(ended, key=lambda each: self._whole(each) + ended[each])
        tokens = []
        each = best
        while each.parent is not None:
            tokens.append(each.token)
            each = each.parent
        return tokens[::-1], ended[best]

    def _next(self, paths: _Paths, frame: Letters) -> _Paths:
        """The paths of one frame more; of the likeliest texts."""
        silent = float(frame[self._blank])
        likeliest = np.argsort(-frame)[:_LETTERS].tolist()
        heard = [
            (token, likely)
            for token in likeliest
            if (likely := float(frame[token])) > _UNLIKELY
            and (self._letters[token] or token in self._ends)
        ]
        grown: _Paths = {}

        def add(text: _Text, in_blank: float, in_letter: float) -> None:
            known = grown.get(text)
            if known is not None:
                in_blank, in_letter = _sum(known[0], in_blank), _sum(known[1], in_letter)
            grown[text] = (in_blank, in_letter)

        for text, (in_blank, in_letter) in paths.items():
            either = _sum(in_blank, in_letter)
            add(text, either + silent, _NEVER)
            for token, likely in heard:
                if token != text.token:
                    add(self._longer(text, token), _NEVER, either + likely)
                elif token == self._delimiter:
                    # Several are one.
                    add(text, _NEVER, either + likely)
                else:
                    # The same letter goes on; only after a blank it may be another.
                    add(text, _NEVER, in_letter + likely)
                    if in_blank > _NEVER:
                        add(self._longer(text, token), _NEVER, in_blank + likely)
        if len(grown) <= _HYPOTHESES:
            return grown
        best = sorted(grown, key=lambda each: self._so_far(each) + _sum(*grown[each]), reverse=True)
        return {text: grown[text] for text in best[:_HYPOTHESES]}

    def _longer(self, text: _Text, token: int) -> _Text:
        longer = text.longer.get(token)
        if longer is None:
            if token in self._ends:
                score, before = 0.0, text.before
                if text.word:
                    score, before = self._model.score(before, text.word)
                longer = _Text(text, token, "", before, text.score + score)
            else:
                word = text.word + self._letters[token]
                longer = _Text(text, token, word, text.before, text.score)
            text.longer[token] = longer
        return longer

    def _so_far(self, text: _Text) -> float:
        """The score of a text whose last word may go on."""
        if text.word in self._beginnings:
            return text.score
        return text.score + self._model.unknown(text.word)

    def _whole(self, text: _Text) -> float:
        """The score of a text that ends here."""
        return text.score + (self._model.score(text.before, text.word)[0] if text.word else 0.0)


def _sum(one: float, other: float) -> float:
    """The logarithm of the sum of two numbers that are given as logarithms."""
    if one < other:
        one, other = other, one
    return one if other == _NEVER else one + math.log1p(math.exp(other - one))
