"""`Accumulator`: a step's `batch.size`, which gathers items over several requests."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

from ..errors import InvalidInput
from ..v2 import Message, Tensor

_MAX_KINDS = 64

_Kind = tuple[tuple[str, str, tuple[int, ...]], ...]


class Accumulator:
    """Gathers messages until the first tensor has `size` items.

    Only messages of one kind are merged, those with the same tensor names, datatypes and shapes
    (but for the batch dimension). Messages of different kinds are gathered side by side, so
    nothing is lost when kinds alternate; of more than 64 kinds the one longest untouched is
    dropped, as a caller must not be able to fill the memory.
    """

    def __init__(self, step: str, size: int) -> None:
        self._step = step
        self._size = size
        self._pending: OrderedDict[_Kind, list[Message]] = OrderedDict()

    @property
    def size(self) -> int:
        return self._size

    def gathered(self) -> int:
        """The number of items gathered last, of the kind of the latest message."""
        latest = next(reversed(self._pending.values()), [])
        return sum(message.tensors[0].shape[0] for message in latest)

    def add(self, message: Message) -> Message | None:
        """The merged message, with this one's id and parameters, or None while it is too few.

        Raises:
            InvalidInput: a tensor has no batch dimension, or there is no tensor.
        """
        for tensor in message.tensors:
            if not tensor.shape:
                raise InvalidInput(
                    f"step '{self._step}' batches: tensor '{tensor.name}' has shape []; "
                    "accepted: a shape whose first dimension is the batch"
                )
        if not message.tensors:
            raise InvalidInput(f"step '{self._step}' batches: there are no tensors to gather")
        kind = tuple(sorted((t.name, t.datatype, t.shape[1:]) for t in message.tensors))
        pending = self._pending.setdefault(kind, [])
        self._pending.move_to_end(kind)
        pending.append(message)
        if self.gathered() < self._size:
            if len(self._pending) > _MAX_KINDS:
                self._pending.popitem(last=False)
            return None
        del self._pending[kind]
        if len(pending) == 1:
            return message
        return Message(_merged(pending), message.id, message.parameters)


def _merged(messages: list[Message]) -> list[Tensor]:
    rows = [dict(_numbered(message)) for message in messages]
    merged = []
    for key, tensor in _numbered(messages[0]):
        data = np.concatenate([row[key].data for row in rows], axis=0)
        # Other steps may read what this one was sent.
        data.flags.writeable = False
        merged.append(Tensor(tensor.name, tensor.datatype, data))
    return merged


def _numbered(message: Message) -> Iterator[tuple[tuple[str, int], Tensor]]:
    """The tensors by name and, as names may repeat, by how many of that name came before."""
    seen: dict[str, int] = {}
    for tensor in message.tensors:
        number = seen.get(tensor.name, 0)
        seen[tensor.name] = number + 1
        yield (tensor.name, number), tensor
