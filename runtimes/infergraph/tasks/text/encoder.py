"""`TextEncoder`: from a text to the token ids that a network reads, safely from many threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from ...errors import ConfigurationError, InvalidInput
from .texts import excerpt

Ids = npt.NDArray[np.int64]


class TextEncoder:
    """Tokenizes single texts, and pads them to batches.

    Special tokens are added here, not by the tokenizer. A text cannot hold them: "</s>" in a text
    is read as these characters, or as an unknown token, but never ends it.

    A fast tokenizer's backend is copied: transformers sets truncation and padding on the shared one
    with each call, which fails ("Already borrowed") while another thread uses it.

    Attributes:
        max_length: Most tokens of a text, special tokens included.
    """

    def __init__(
        self, tokenizer: Any, max_length: int, *, truncation: bool, prefix: str = ""
    ) -> None:
        """Prepares the tokenizer; its languages must have been set.

        Args:
            tokenizer: A transformers tokenizer, fast or slow.
            max_length: Most tokens of a text, special tokens included.
            truncation: Whether of a longer text the first part is read, instead of refusing it.
            prefix: Text that is put before each text.

        Raises:
            ConfigurationError: no text fits into `max_length`.
        """
        self.max_length = max_length
        self._truncation = truncation
        self._prefix = prefix
        self._tokenize = _tokenization(tokenizer)
        self._before, self._after = special_tokens(tokenizer)
        self._pad_id: int = tokenizer.pad_token_id or 0
        self._unknown_id: int | None = tokenizer.unk_token_id
        self._special = frozenset(tokenizer.all_special_ids) - {self._unknown_id}
        used = len(self._before) + len(self._after) + len(self._tokenize(prefix)) * bool(prefix)
        self._room = max_length - len(self._before) - len(self._after)
        if used >= max_length:
            raise ConfigurationError(
                f"a length of {max_length} tokens leaves no room for text; accepted: at least "
                f"{used + 1}"
            )

    def __call__(self, text: str, tensor: str, part: str = "") -> Ids:
        """The ids of a text, INT64 [tokens], special tokens included.

        Args:
            text: The text, not blank.
            tensor: The tensor that it came in, for error texts.
            part: What part of the item the text is, for error texts, for example "sentence 2".

        Raises:
            InvalidInput: the text is too long, or the tokenizer has no tokens for it.
        """
        tokens = self._tokenize(self._prefix + text)
        if not self._special.isdisjoint(tokens):
            tokens = self._without_special(tokens)
        where = f"tensor '{tensor}'" + (f", {part} ('{excerpt(text)}')" if part else "")
        if not tokens:
            raise InvalidInput(f"{where}: no text that the model has tokens for")
        if len(tokens) > self._room:
            if not self._truncation:
                raise InvalidInput(
                    f"{where}: {len(tokens) + self.max_length - self._room} tokens; accepted: at "
                    f"most {self.max_length}, unless the setting 'truncation' is true"
                )
            tokens = tokens[: self._room]
        return np.array([*self._before, *tokens, *self._after], np.int64)

    def _without_special(self, tokens: Sequence[int]) -> list[int]:
        unknown = [] if self._unknown_id is None else [self._unknown_id]
        return [
            each for token in tokens for each in (unknown if token in self._special else [token])
        ]

    def examples(self, device: torch.device) -> list[dict[str, torch.Tensor]]:
        """Batches of different shapes, of letters, to try a network with."""
        tokens = self._tokenize(self._prefix + " ".join(ascii_lowercase))[: self._room]
        long, short, other = (
            np.array([*self._before, *tokens[:size], *self._after], np.int64) for size in (12, 7, 9)
        )
        return [self.batch([long, short], device), self.batch([other], device)]

    def batch(self, texts: Sequence[Ids], device: torch.device) -> dict[str, torch.Tensor]:
        """`input_ids` and `attention_mask`, INT64 [texts, longest], padded at the end."""
        return padded_batch(texts, self._pad_id, device)


def padded_batch(
    texts: Sequence[Ids], pad_id: int, device: torch.device
) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask`, INT64 [texts, longest], padded at the end."""
    lengths = np.array([len(ids) for ids in texts])
    size = int(lengths.max())
    padded = np.full((len(texts), size), pad_id, np.int64)
    for row, ids in zip(padded, texts, strict=True):
        row[: len(ids)] = ids
    mask = (np.arange(size) < lengths[:, None]).astype(np.int64)
    return {
        "input_ids": torch.from_numpy(padded).to(device),
        "attention_mask": torch.from_numpy(mask).to(device),
    }


def _tokenization(tokenizer: Any) -> Callable[[str], list[int]]:
    """Text -> ids without special tokens."""
    if not getattr(tokenizer, "is_fast", False):
        return lambda text: list(
            tokenizer(
                text,
                add_special_tokens=False,
                split_special_tokens=True,
                return_attention_mask=False,
                verbose=False,
            )["input_ids"]
        )
    backend: Tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True
    return lambda text: list(backend.encode(text, add_special_tokens=False).ids)


def special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The ids that the tokenizer puts before and after a single text.

    Raises:
        ConfigurationError: it puts some inside of the text.
    """
    plain: list[int] = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole: list[int] = tokenizer("a", add_special_tokens=True)["input_ids"]
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return whole[:start], whole[start + len(plain) :]
    raise ConfigurationError(
        f"{type(tokenizer).__name__} puts special tokens inside of a text, which is not supported"
    )
