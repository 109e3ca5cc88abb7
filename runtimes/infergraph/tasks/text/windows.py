"""Texts as token windows that fit a network, overlapping where there are several.

`WindowEncoder` makes those of a question and its context, `TextWindowEncoder` those of one text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from ...errors import ConfigurationError, InvalidInput
from .encoder import special_tokens

Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

_MIN_QUESTION_TOKENS = 8
# Tokenizers without a limit of their own report a length of this order.
_UNLIMITED = 1_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """One network input of a question and a part of its context.

    Attributes:
        ids: INT64 [tokens].
        type_ids: INT64 [tokens]; segment numbers.
        first: Position in `ids` of the first token of the context.
        start: Index, in the whole context, of that token.
        count: Context tokens in this window.
        null: Position of the token that stands for "no answer" ([CLS]).
    """

    ids: Integers
    type_ids: Integers
    first: int
    start: int
    count: int
    null: int


@dataclass(frozen=True, slots=True)
class Encoded:
    """A question with its context.

    Attributes:
        context: The text that the offsets point into.
        offsets: INT64 [context tokens, 2]; each token's characters, first and past the last.
        spoken: BOOL [context tokens]; whether a token holds more than white space.
        windows: The windows, in order; every context token is in at least one.
    """

    context: str
    offsets: Integers
    spoken: Booleans
    windows: Sequence[Window]


class WindowEncoder:
    """Tokenizes pairs and cuts them into windows. Safe to call from threads."""

    def __init__(
        self, tokenizer: Any, max_length: int, overlap: int, max_answer_tokens: int
    ) -> None:
        """Prepares the tokenizer.

        Args:
            tokenizer: A fast transformers tokenizer.
            max_length: Most tokens of one window.
            overlap: Context tokens that neighbouring windows share; widened to `max_answer_tokens`
                so that every possible answer lies in one window as a whole.
            max_answer_tokens: The longest answer.

        Raises:
            ConfigurationError: the tokenizer is slow, or the window too short for such answers.
        """
        self._backend = _locating_backend(tokenizer)
        self._null_id: int | None = tokenizer.cls_token_id
        self._max_length = max_length
        self._overlap = max(overlap, max_answer_tokens)
        special = self._backend.num_special_tokens_to_add(is_pair=True)
        # Half of a window that holds twice the longest answer may be shared with its neighbour.
        self.max_question_tokens = max_length - special - 2 * max_answer_tokens
        if self.max_question_tokens < _MIN_QUESTION_TOKENS:
            raise ConfigurationError(
                f"setting 'max_answer_tokens' = {max_answer_tokens}: too long for windows of "
                f"{max_length} tokens; accepted: 1 to "
                f"{max(1, (max_length - special - _MIN_QUESTION_TOKENS) // 2)}"
            )

    def __call__(self, question: str, context: str) -> Encoded:
        """The windows of a pair.

        Raises:
            InvalidInput: the question is too long, or one of the two has no tokens.
        """
        encoding = self._backend.encode(question, context)
        sequences = np.array([-1 if part is None else part for part in encoding.sequence_ids])
        self._check_question(int((sequences == 0).sum()))
        positions = np.flatnonzero(sequences == 1)
        if not len(positions):
            raise InvalidInput("tensor 'context': no text that the model has tokens for")
        offsets = np.array(encoding.offsets, np.int64)[positions]
        return Encoded(
            context,
            offsets,
            np.array([not context[start:end].isspace() and end > start for start, end in offsets]),
            self._windows(
                np.array(encoding.ids, np.int64),
                np.array(encoding.type_ids, np.int64),
                int(positions[0]),
                len(positions),
            ),
        )

    def _check_question(self, tokens: int) -> None:
        if not tokens:
            raise InvalidInput("tensor 'question': no text that the model has tokens for")
        if tokens > self.max_question_tokens:
            raise InvalidInput(
                f"tensor 'question': {tokens} tokens; accepted: at most "
                f"{self.max_question_tokens}, so that context fits beside it in a window of "
                f"{self._max_length}"
            )

    def _windows(self, ids: Integers, type_ids: Integers, first: int, count: int) -> list[Window]:
        after = first + count
        room = self._max_length - (len(ids) - count)
        windows: list[Window] = []
        for start, stop in _overlapping(count, room, self._overlap):
            part = slice(first + start, first + stop)
            window_ids = np.concatenate((ids[:first], ids[part], ids[after:]))
            windows.append(
                Window(
                    ids=window_ids,
                    type_ids=np.concatenate((type_ids[:first], type_ids[part], type_ids[after:])),
                    first=first,
                    start=start,
                    count=stop - start,
                    null=self._null_position(window_ids),
                )
            )
        return windows

    def _null_position(self, ids: Integers) -> int:
        # Where there is no such token, `argmax` of nothing true is the first position.
        return int((ids == self._null_id).argmax()) if self._null_id is not None else 0


@dataclass(frozen=True, slots=True)
class TextWindow:
    """One network input of a part of a text.

    Attributes:
        ids: INT64 [tokens], special tokens included.
        first: Position in `ids` of the first token of the text.
        start: Index, in the whole text, of that token.
        count: Tokens of the text in this window.
    """

    ids: Integers
    first: int
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class EncodedText:
    """A text.

    Attributes:
        text: What the offsets point into.
        offsets: INT64 [tokens, 2]; each token's characters, first and past the last.
        words: INT64 [words]; the first token of each word, in order.
        windows: The windows, in order; every token is in at least one.
    """

    text: str
    offsets: Integers
    words: Integers
    windows: Sequence[TextWindow]

    def joined(self, rows: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """What a network says of each token, FP32 [tokens, n], given what it says in each window.

        Of a token that is in several windows, that in which most of its neighbours are counts.

        Args:
            rows: For each window, FP32 [tokens of `ids` or more, n].
        """
        tokens = len(self.offsets)
        joined = np.zeros((tokens, rows[0].shape[-1] if rows else 0), np.float32)
        depths = np.full(tokens, -1)
        for window, values in zip(self.windows, rows, strict=True):
            own = np.arange(window.count)
            before, after = own.copy(), own[::-1].copy()
            # Beyond the ends of the text nothing is missing.
            if window.start == 0:
                before[:] = tokens
            if window.start + window.count == tokens:
                after[:] = tokens
            depth = np.minimum(before, after)
            better = depth > depths[window.start : window.start + window.count]
            places = window.start + own[better]
            depths[places] = depth[better]
            joined[places] = values[window.first : window.first + window.count][better]
        return joined


class TextWindowEncoder:
    """Tokenizes texts and cuts them into windows. Safe to call from threads.

    Special tokens are added here, not by the tokenizer, and a text cannot hold them.
    """

    def __init__(self, tokenizer: Any, max_length: int, overlap: int) -> None:
        """Prepares the tokenizer.

        Args:
            tokenizer: A fast transformers tokenizer.
            max_length: Most tokens of one window, special tokens included.
            overlap: Tokens that neighbouring windows share, at most half of them.

        Raises:
            ConfigurationError: the tokenizer is slow, or no text fits into `max_length`.
        """
        self._backend = _locating_backend(tokenizer)
        self._backend.encode_special_tokens = True
        self._before, self._after = special_tokens(tokenizer)
        self._overlap = overlap
        special = len(self._before) + len(self._after)
        self._room = max_length - special
        if self._room < 2:
            raise ConfigurationError(
                f"setting 'max_length' = {max_length}: leaves no room for text; accepted: at least "
                f"{special + 2}"
            )

    def __call__(self, text: str) -> EncodedText:
        """The windows of a text; none if the tokenizer has no tokens for it."""
        encoding = self._backend.encode(text, add_special_tokens=False)
        offsets = np.array(encoding.offsets, np.int64).reshape(-1, 2)
        ids = encoding.ids
        windows = [
            TextWindow(
                np.array([*self._before, *ids[start:stop], *self._after], np.int64),
                len(self._before),
                start,
                stop - start,
            )
            for start, stop in _overlapping(len(ids), self._room, self._overlap)
        ]
        return EncodedText(text, offsets, _first_tokens(encoding.word_ids, offsets, text), windows)


def _first_tokens(words: Sequence[int | None], offsets: Integers, text: str) -> Integers:
    """The first token of each word.

    Words are those of the tokenizer, and those that white space divides: some tokenizers take a
    text for one word.
    """
    firsts: list[int] = []
    previous: int | None = None
    end = 0
    for token, (word, (start, stop)) in enumerate(zip(words, offsets.tolist(), strict=True)):
        if stop <= start or text[start:stop].isspace():
            continue
        # Some tokens hold the white space before them.
        divided = text[min(end, start) : stop][:1].isspace()
        if word != previous or divided or not firsts:
            firsts.append(token)
        previous, end = word, stop
    return np.array(firsts, np.int64)


def _locating_backend(tokenizer: Any) -> Tokenizer:
    """A copy of a fast tokenizer's backend, which nobody changes.

    transformers sets truncation and padding on the shared one with each call, which fails
    ("Already borrowed") while another thread uses it.

    Raises:
        ConfigurationError: the tokenizer is slow.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ConfigurationError(
            f"{type(tokenizer).__name__} is a slow tokenizer, which does not say where its "
            "tokens are in the text; accepted: a fast tokenizer (tokenizer.json)"
        )
    backend: Tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    return backend


def _overlapping(count: int, room: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Where the windows of so many tokens start and stop; neighbours share half of one at most."""
    step = max(room - overlap, room // 2)
    for start in range(0, max(count, 1), step):
        stop = min(start + room, count)
        if stop > start:
            yield start, stop
        if stop == count:
            return


def window_limit(tokenizer: Any, network: Any) -> int:
    """Most tokens that both the tokenizer and the network's positions admit."""
    limits = [512]
    positions = getattr(network.config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        limits = [positions]
    for name, module in network.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            # RoBERTa counts positions from just after its padding index.
            unused = 0 if module.padding_idx is None else module.padding_idx + 1
            limits.append(module.num_embeddings - unused)
    if 0 < tokenizer.model_max_length < _UNLIMITED:
        limits.append(tokenizer.model_max_length)
    return min(limits)
