"""Operations that keep some rows of tensors: by a score, by words, or at random."""

from __future__ import annotations

import functools
import hashlib
import operator
import re
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ...errors import InvalidInput
from ...tensors import TensorSpec
from .base import Known, Operation, Values, Working, padding, real_rows, texts_of

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "<=": operator.le,
    "<": operator.lt,
}


class Filter(Operation):
    """Divides rows into those that are kept and the rest.

    A group of rows has the names of the tensors behind a prefix. With `count`, rows move up,
    padding follows them, and the group has a count of its own; without, a tensor is one row,
    [-1, 1], and a group that it is not in lacks it. A counted group of no rows is left out where
    its outputs are declared as optional, so that the next steps of a pipeline do not fire.

    Attributes:
        tensors: The tensors whose rows stand beside each other.
        count: The tensor that says how many rows are real.
        kept: Prefix of the group of kept rows; the empty one puts it in the place of the tensors.
        rest: Prefix of the group of the other rows; they are dropped unless it is given.
    """

    tensors: list[str] = Field(min_length=1)
    count: str | None = None
    kept: str = "kept_"
    rest: str | None = None

    def decides(self) -> list[str]:
        """The tensors that decide which rows are kept."""
        raise NotImplementedError

    def mask(self, item: Working, rows: int) -> npt.NDArray[np.bool_]:
        """Which of an item's first so many rows are kept.

        Raises:
            InvalidInput: a tensor that decides has an unacceptable value.
        """
        raise NotImplementedError

    def reads(self) -> list[str]:
        counts = [] if self.count is None else [self.count]
        return list(dict.fromkeys([*self.decides(), *self.tensors, *counts]))

    def given(self, known: Known) -> list[TensorSpec]:
        if self.kept == self.rest:
            raise self.wrong(f"'kept' and 'rest' are both {self.kept!r}; accepted: two prefixes")
        specs = [self.found(known, name, None) for name in dict.fromkeys((*self.tensors,))]
        for spec in specs:
            if len(spec.shape) < 2 or (self.count is None and spec.shape[1:] != (1,)):
                raise self.wrong(
                    f"tensor {spec}; accepted: "
                    + ("[-1, 1], unless 'count' is given" if self.count is None else "[-1, rows]")
                )
        if self.count is not None:
            specs.append(self.found(known, self.count, "INT64", 1))
        absent = self.count is None or any(known[name].optional for name in self.reads())
        return [
            TensorSpec(prefix + spec.name, spec.datatype, spec.shape, optional=absent)
            for prefix in self._prefixes()
            for spec in specs
        ]

    def apply(self, item: Working) -> None:
        first = item.values[self.tensors[0]]
        for name in [*self.decides(), *self.tensors]:
            if len(item.values[name]) != len(first):
                raise InvalidInput(
                    f"tensor '{name}': {len(item.values[name])} rows; accepted: {len(first)}, as "
                    f"tensor '{self.tensors[0]}' has"
                )
        rows = real_rows(item, self.count, len(first), self.tensors[0])
        mask = self.mask(item, rows)
        found = {name: item.values[name] for name in self.tensors}
        for prefix, chosen in zip(self._prefixes(), (mask, ~mask), strict=False):
            self._give(item, prefix, found, np.flatnonzero(chosen))

    def _prefixes(self) -> list[str]:
        return [self.kept] if self.rest is None else [self.kept, self.rest]

    def _give(
        self, item: Working, prefix: str, found: dict[str, Values], rows: npt.NDArray[np.intp]
    ) -> None:
        names = [prefix + name for name in found]
        if self.count is None:
            for name, values in zip(names, found.values(), strict=True):
                item.values.pop(name, None)
                if len(rows):
                    item.values[name] = values
            return
        counted = prefix + self.count
        item.values[counted] = np.array([len(rows)], np.int64)
        for name, values in zip(names, found.values(), strict=True):
            rest = padding(values, len(values) - len(rows))
            item.values[name] = np.concatenate([values[rows], rest])
        (item.empty.difference_update if len(rows) else item.empty.update)([*names, counted])


class Threshold(Filter):
    """Keeps rows whose score compares with a value.

    Attributes:
        scores: FP32 [-1, rows].
        comparison: How a kept row's score stands to the value.
        value: What scores are compared with.
        labels: BYTES [-1, rows]; needed for `values`.
        values: Label -> what the scores of its rows are compared with instead.
    """

    kind: Literal["threshold"]
    scores: str = "scores"
    comparison: Literal[">", ">=", "=", "<=", "<"] = ">="
    value: float = Field(allow_inf_nan=False)
    labels: str | None = None
    values: dict[str, float] = Field(default_factory=dict)

    def decides(self) -> list[str]:
        return [self.scores] if self.labels is None else [self.scores, self.labels]

    def given(self, known: Known) -> list[TensorSpec]:
        self.found(known, self.scores, "FP32", -1)
        if (self.labels is None) != (not self.values):
            raise self.wrong("'labels' and 'values' go together; accepted: both or neither")
        if self.labels is not None:
            self.found(known, self.labels, "BYTES", -1)
        return super().given(known)

    def mask(self, item: Working, rows: int) -> npt.NDArray[np.bool_]:
        scores = item.values[self.scores][:rows]
        if np.isnan(scores).any():
            row = int(np.isnan(scores).argmax())
            raise InvalidInput(f"tensor '{self.scores}', row {row}: nan; accepted: a number")
        limits = np.full(rows, self.value, np.float32)
        if self.labels is not None:
            texts = texts_of(item.values[self.labels][:rows], self.labels)
            limits[:] = [self.values.get(text, self.value) for text in texts]
        mask: npt.NDArray[np.bool_] = _COMPARISONS[self.comparison](scores, limits)
        return mask


class Keyword(Filter):
    """Keeps rows whose text has one of the given words or phrases.

    Attributes:
        texts: BYTES [-1, rows].
        words: The words and phrases.
        ignore_case: Whether capitals and small letters are the same.
        whole_words: Whether what stands beside a word must be no letter or digit.
    """

    kind: Literal["keyword"]
    texts: str = "text"
    words: list[str] = Field(min_length=1)
    ignore_case: bool = True
    whole_words: bool = True

    def decides(self) -> list[str]:
        return [self.texts]

    def given(self, known: Known) -> list[TensorSpec]:
        self.found(known, self.texts, "BYTES", -1)
        if not all(word.strip() for word in self.words):
            raise self.wrong(f"'words' = {self.words}; accepted: words that are not empty")
        return super().given(known)

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        words = "|".join(map(re.escape, self.words))
        pattern = rf"(?<!\w)(?:{words})(?!\w)" if self.whole_words else words
        return re.compile(pattern, re.IGNORECASE if self.ignore_case else 0)

    def mask(self, item: Working, rows: int) -> npt.NDArray[np.bool_]:
        texts = texts_of(item.values[self.texts][:rows], self.texts)
        return np.array([self._pattern.search(text) is not None for text in texts], np.bool_)


class NotBlank(Filter):
    """Keeps rows whose text has anything but white space.

    Attributes:
        texts: BYTES [-1, rows].
    """

    kind: Literal["not-blank"]
    texts: str = "text"

    def decides(self) -> list[str]:
        return [self.texts]

    def given(self, known: Known) -> list[TensorSpec]:
        self.found(known, self.texts, "BYTES", -1)
        return super().given(known)

    def mask(self, item: Working, rows: int) -> npt.NDArray[np.bool_]:
        texts = texts_of(item.values[self.texts][:rows], self.texts)
        return np.array([bool(text.strip()) for text in texts], np.bool_)


class Sample(Filter):
    """Keeps a share of all rows, chosen by a hash of what they hold.

    The same row is chosen or not wherever and whenever it comes, whatever else is in its batch;
    rows that differ are chosen independently of each other.

    Attributes:
        share: How much is kept, from 0 to 1.
        seed: Another seed chooses other rows.
    """

    kind: Literal["sample"]
    share: float = Field(ge=0, le=1)
    seed: int = 0

    def decides(self) -> list[str]:
        return []

    def mask(self, item: Working, rows: int) -> npt.NDArray[np.bool_]:
        return np.array([self._draw(item, row) < self.share for row in range(rows)], np.bool_)

    def _draw(self, item: Working, row: int) -> float:
        digest = hashlib.blake2b(str(self.seed).encode(), digest_size=8)
        for name in self.tensors:
            values = item.values[name][row]
            parts = np.ravel(values) if isinstance(values, np.ndarray) else [values]
            for part in parts:
                held = part if isinstance(part, bytes) else part.tobytes()
                digest.update(len(held).to_bytes(8, "big") + held)
        return int.from_bytes(digest.digest(), "big") / 2**64
