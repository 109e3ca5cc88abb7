"""Question and context as token windows that fit a network, overlapping where there are several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from ...errors import ConfigurationError, InvalidInput

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
    """Tokenizes pairs and cuts them into windows. Safe to call from threads.

    It works on a copy of the fast tokenizer's backend that is never changed: transformers sets
    truncation and padding on the shared one with each call, which fails ("Already borrowed") while
    another thread uses it.
    """

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
        if not getattr(tokenizer, "is_fast", False):
            raise ConfigurationError(
                f"{type(tokenizer).__name__} is a slow tokenizer, which does not say where its "
                "tokens are in the text; accepted: a fast tokenizer (tokenizer.json)"
            )
        self._backend: Tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._backend.no_truncation()
        self._backend.no_padding()
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
        step = max(room - self._overlap, room // 2)
        windows: list[Window] = []
        for start in range(0, max(count - room, 0) + step, step):
            part = slice(first + start, min(first + start + room, after))
            window_ids = np.concatenate((ids[:first], ids[part], ids[after:]))
            windows.append(
                Window(
                    ids=window_ids,
                    type_ids=np.concatenate((type_ids[:first], type_ids[part], type_ids[after:])),
                    first=first,
                    start=start,
                    count=part.stop - part.start,
                    null=self._null_position(window_ids),
                )
            )
            if part.stop == after:
                break
        return windows

    def _null_position(self, ids: Integers) -> int:
        # Where there is no such token, `argmax` of nothing true is the first position.
        return int((ids == self._null_id).argmax()) if self._null_id is not None else 0


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
