"""Operations on labels and other texts: count, map, match, and put together."""

from __future__ import annotations

import functools
import re
from collections import Counter
from typing import Literal

import numpy as np
from pydantic import Field, PositiveInt

from ...errors import InvalidInput
from ...tensors import TensorSpec
from .base import Known, Operation, Working, real_rows, text_array, texts_of

_NUMBERS = (
    *("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve"),
)


class _OfTexts(Operation):
    """Reads the rows of a BYTES tensor.

    Attributes:
        texts: BYTES [-1, rows].
        count: The tensor that says how many rows are real.
    """

    texts: str
    count: str | None = None

    def reads(self) -> list[str]:
        return [self.texts] if self.count is None else [self.texts, self.count]

    def checked(self, known: Known) -> TensorSpec:
        """The tensor `texts`; raises ConfigurationError as `found`."""
        if self.count is not None:
            self.found(known, self.count, "INT64", 1)
        spec = self.found(known, self.texts, "BYTES", -1)
        optional = any(known[name].optional for name in self.reads())
        return TensorSpec(spec.name, spec.datatype, spec.shape, optional)

    def real_texts(self, item: Working) -> list[str]:
        """The texts of the rows that are real."""
        values = item.values[self.texts]
        return texts_of(values[: real_rows(item, self.count, len(values), self.texts)], self.texts)

    def give(self, item: Working, into: str, texts: list[str]) -> None:
        """Makes a tensor of so many texts and the padding after them."""
        rows = len(item.values[self.texts])
        item.values[into] = text_array([*texts, *[""] * (rows - len(texts))])
        if self.texts in item.empty:
            item.empty.add(into)


class Count(_OfTexts):
    """Counts rows, by their label if `of` is given: INT64 [-1, labels], else [-1, 1].

    Attributes:
        of: The labels to count, in the order of the output's columns.
        into: The output.
    """

    kind: Literal["count"]
    texts: str = "labels"
    of: list[str] = Field(default_factory=list)
    into: str = "counts"

    def given(self, known: Known) -> list[TensorSpec]:
        spec = self.checked(known)
        return [TensorSpec(self.into, "INT64", (-1, len(self.of) or 1), spec.optional)]

    def apply(self, item: Working) -> None:
        texts = self.real_texts(item)
        found = Counter(texts)
        counts = [found[label] for label in self.of] if self.of else [len(texts)]
        item.values[self.into] = np.array(counts, np.int64)


class Map(_OfTexts):
    """Replaces labels by others.

    Attributes:
        values: Label -> its replacement.
        other: What replaces labels that `values` does not have; they stay unless it is given.
        into: The output; in the place of `texts` unless given.
    """

    kind: Literal["map"]
    texts: str = "label"
    values: dict[str, str]
    other: str | None = None
    into: str | None = None

    def given(self, known: Known) -> list[TensorSpec]:
        spec = self.checked(known)
        return [TensorSpec(self.into or self.texts, "BYTES", spec.shape, spec.optional)]

    def apply(self, item: Working) -> None:
        texts = self.real_texts(item)
        mapped = [
            self.values.get(text, text if self.other is None else self.other) for text in texts
        ]
        self.give(item, self.into or self.texts, mapped)


class Regex(_OfTexts):
    """Labels texts by the first regular expression that occurs in them.

    Patterns are Python's; one that backtracks without end holds the model up.

    Attributes:
        labels: Label -> its pattern; the first that matches counts.
        other: The label of a text that none matches. Without it the output of a text [-1, 1] is
            left out then, and rows get an empty label.
        ignore_case: Whether capitals and small letters are the same.
        max_characters: The longest text accepted.
        into: The output, BYTES, of the shape of `texts`.
    """

    kind: Literal["regex"]
    texts: str = "text"
    labels: dict[str, str] = Field(min_length=1)
    other: str | None = None
    ignore_case: bool = False
    max_characters: PositiveInt = 20_000
    into: str = "label"

    @property
    def blocking(self) -> bool:
        return True

    def given(self, known: Known) -> list[TensorSpec]:
        spec = self.checked(known)
        for label, pattern in self.labels.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise self.wrong(
                    f"the pattern {pattern!r} of label '{label}': {error}; accepted: a regular "
                    "expression of Python's"
                ) from None
        absent = self.other is None and self.count is None and spec.shape[1:] == (1,)
        return [TensorSpec(self.into, "BYTES", spec.shape, spec.optional or absent)]

    def apply(self, item: Working) -> None:
        found = [self._label(text) for text in self.real_texts(item)]
        item.values.pop(self.into, None)
        if self.count is None and found == [None]:
            return
        self.give(item, self.into, [label or "" for label in found])

    @functools.cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        flags = re.IGNORECASE if self.ignore_case else 0
        return {label: re.compile(pattern, flags) for label, pattern in self.labels.items()}

    def _label(self, text: str) -> str | None:
        if len(text) > self.max_characters:
            raise InvalidInput(
                f"tensor '{self.texts}': a text of {len(text)} characters; accepted: at most "
                f"{self.max_characters} ('max_characters' of operation 'regex')"
            )
        matching = (label for label, pattern in self._patterns.items() if pattern.search(text))
        return next(matching, self.other)


class Concatenate(_OfTexts):
    """Puts the texts of all rows together: BYTES [-1, 1].

    Attributes:
        separator: What stands between them.
        into: The output.
    """

    kind: Literal["concatenate"]
    texts: str = "labels"
    separator: str = ""
    into: str = "text"

    def given(self, known: Known) -> list[TensorSpec]:
        return [TensorSpec(self.into, "BYTES", (-1, 1), self.checked(known).optional)]

    def apply(self, item: Working) -> None:
        item.values[self.into] = text_array([self.separator.join(self.real_texts(item))])


class Sentence(_OfTexts):
    """Makes an English sentence of descriptions: `I see two red cars and a dog.`, BYTES [-1, 1].

    What occurs several times is counted, in the place where it occurs first. `a red car` becomes
    `two red cars` by `plurals`; of what ends with none of these it is said how often it occurs.

    Attributes:
        begin: What the sentence begins with.
        nothing: The sentence where there is nothing to say.
        plurals: Noun -> its plural.
        skip: Descriptions that say nothing.
        into: The output.
    """

    kind: Literal["sentence"]
    texts: str = "text"
    begin: str = "I see "
    nothing: str = Field(default="I see nothing.", min_length=1)
    plurals: dict[str, str] = Field(default_factory=dict)
    skip: list[str] = Field(default_factory=list)
    into: str = "sentence"

    def given(self, known: Known) -> list[TensorSpec]:
        return [TensorSpec(self.into, "BYTES", (-1, 1), self.checked(known).optional)]

    def apply(self, item: Working) -> None:
        said = Counter(text for text in self.real_texts(item) if text and text not in self.skip)
        groups = [self._counted(text, count) for text, count in said.items()]
        listed = " and ".join([", ".join(groups[:-1]), *groups[-1:]] if groups[1:] else groups)
        sentence = f"{self.begin}{listed}." if groups else self.nothing
        item.values[self.into] = text_array([sentence])

    def _counted(self, text: str, count: int) -> str:
        if count == 1:
            return text
        number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
        article, _, described = text.partition(" ")
        nouns = [noun for noun in self.plurals if f" {described}".endswith(f" {noun}")]
        if article not in ("a", "an") or not nouns:
            return f"{text}, {'twice' if count == 2 else f'{number} times'}"
        noun = max(nouns, key=len)
        return f"{number} {described.removesuffix(noun)}{self.plurals[noun]}"
