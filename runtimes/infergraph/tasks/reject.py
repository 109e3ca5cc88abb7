"""Reject: a model that refuses every item, for the branch of a pipeline that leads nowhere."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigurationError, InfergraphError, Rejected
from ..runtime import Item, Runtime
from ..settings import RuntimeOptions
from .text.texts import excerpt

_SHOWN_CHARACTERS = 80


class RejectOptions(RuntimeOptions):
    """Settings of the refusal.

    Attributes:
        message: The error's text. `{name}` stands for the item's value of the input of that name,
            `{{` and `}}` for braces.
    """

    message: str


Parts = list[tuple[str, str | None]]
"""Of a message: what stands between its fields, each with the field after it."""


class Reject(Runtime[Item, None, Parts]):
    """Answers each item with status 400 and the text of the setting `message`."""

    settings_class = RejectOptions
    placed = False
    options: RejectOptions

    def setup(self) -> Parts:
        """Checks the message, and divides it.

        Raises:
            ConfigurationError: it is malformed, or a field of it is not a declared input.
        """
        inputs = [spec.name for spec in self._input_specs if not spec.optional]
        try:
            parts = list(string.Formatter().parse(self.options.message))
        except ValueError as error:
            raise ConfigurationError(
                f"setting 'message' = {self.options.message!r}: {error}"
            ) from None
        for _, field, form, conversion in parts:
            if field is not None and (field not in inputs or form or conversion):
                raise ConfigurationError(
                    f"setting 'message' = {self.options.message!r}: no input '{field}' to fill in; "
                    f"accepted: {', '.join(f'{{{name}}}' for name in inputs) or 'no fields'}"
                )
        return [(literal, field) for literal, field, _, _ in parts]

    @property
    def blocking(self) -> bool:
        return False

    def predict_batch(self, items: Sequence[Item], parameters: None) -> list[InfergraphError]:
        """The refusal of each item."""
        return [Rejected(self._message(item)) for item in items]

    def _message(self, item: Item) -> str:
        return "".join(
            literal + ("" if field is None else _shown(item[field]))
            for literal, field in self.model
        )


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return excerpt(value.decode(errors="replace"), _SHOWN_CHARACTERS)
    return excerpt(str(value.tolist() if hasattr(value, "tolist") else value), _SHOWN_CHARACTERS)
