"""The outputs that a request asks for, of those that an answer holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import InvalidInput
from ..v2 import Message
from ..v2.classification import classify
from ..v2.request import RequestedOutput, quoted
from .partial import ERROR_TENSORS, ITEM_SUFFIX, has_failed_items


def select(
    message: Message, requested: Sequence[RequestedOutput], declared: Sequence[str], where: str
) -> Message:
    """The message with the requested outputs only; all of them where none is named.

    A requested output that is declared but not in this answer (a condition that did not hold) is
    left out. With an output that only some items have goes `<name>_item`, which says which. The
    errors of items that failed are always there. Classifications take their tensors' place.

    Raises:
        InvalidInput: a requested output is neither in the answer nor declared, or has no largest
            values.
    """
    if not requested:
        return message
    known = list(dict.fromkeys([*declared, *message.names()]))
    for each in requested:
        if each.name not in known:
            raise InvalidInput(
                f"{where}: no output tensor {quoted(each.name)}; "
                f"accepted: {', '.join(known) or 'none'}"
            )
    names = [each.name for each in requested]
    errors = ERROR_TENSORS if has_failed_items(message) else ()
    tensors = message.selected([*names, *(name + ITEM_SUFFIX for name in names), *errors])
    classes = {each.name: each.classification for each in requested if each.classification}
    if classes:
        tensors = [
            classify(each, classes[each.name]) if each.name in classes else each for each in tensors
        ]
    return replace(message, tensors=tensors)
