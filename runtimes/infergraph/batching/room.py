"""The bounded room of a model's queue, and the place that a request takes in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import InvalidInput, Overloaded


@dataclass(slots=True)
class _Held:
    """What one caller holds: items that wait, bytes, and requests that have not ended."""

    items: int = 0
    size: int = 0
    requests: int = 0


class Room:
    """Bounds the items that wait for a model, and the bytes of their tensors.

    One request, and all requests of one caller together, hold at most half of either, so that
    nobody alone fills a queue for all others. Requests whose caller is not known (an empty name)
    are each taken for a caller of its own.

    Args:
        model: Names the model in error texts.
        max_items: Most items that wait, those being prepared included.
        max_bytes: Most bytes of tensors, from admission until the request has ended and none of its
            items is being computed.
        changed: Told by how much the number of waiting items has changed.
    """

    def __init__(
        self,
        model: str,
        max_items: int,
        max_bytes: int,
        changed: Callable[[int], None] | None = None,
    ) -> None:
        self._model = model
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._item_share = (max_items + 1) // 2
        self._byte_share = (max_bytes + 1) // 2
        self._changed = changed
        self._callers: dict[str, _Held] = {}
        self.waiting = 0
        self._size = 0

    def admit(self, items: int, size: int, caller: str) -> Place:
        """Takes a place for a request of so many items and bytes.

        Raises:
            InvalidInput: more items or bytes than one request may ever hold.
            Overloaded: no room now, or the caller holds its share.
        """
        if items > self._item_share:
            raise InvalidInput(
                f"model '{self._model}': the request holds {items} items; accepted: at most "
                f"{self._item_share} (half of the setting 'max_queue_size' = {self._max_items})",
                cause="too_large",
            )
        if size > self._byte_share:
            raise InvalidInput(
                f"model '{self._model}': the request's tensors hold {size} bytes; accepted: at "
                f"most {self._byte_share} (half of the setting 'max_queue_bytes' = "
                f"{self._max_bytes})",
                cause="too_large",
            )
        if self.waiting + items > self._max_items:
            raise Overloaded(
                f"model '{self._model}': its queue is full ({self.waiting} of {self._max_items} "
                "items wait); try again later",
                cause="queue_full",
            )
        if self._size + size > self._max_bytes:
            raise Overloaded(
                f"model '{self._model}': its queue is full (requests hold {self._size} of "
                f"{self._max_bytes} bytes, setting 'max_queue_bytes'); try again later",
                cause="queue_bytes",
            )
        held = self._callers.get(caller) if caller else None
        if held is None:
            held = _Held()
        elif held.items + items > self._item_share:
            raise Overloaded(
                f"model '{self._model}': {held.items} items of this caller wait; accepted: at most "
                f"{self._item_share} of one caller (half of the setting 'max_queue_size' = "
                f"{self._max_items}); try again later",
                cause="caller_share",
            )
        elif held.size + size > self._byte_share:
            raise Overloaded(
                f"model '{self._model}': requests of this caller hold {held.size} bytes; accepted: "
                f"at most {self._byte_share} of one caller (half of the setting 'max_queue_bytes' "
                f"= {self._max_bytes}); try again later",
                cause="caller_share",
            )
        if caller:
            self._callers[caller] = held
        held.requests += 1
        place = Place(self, held, caller, items, size)
        self._change(held, items, size)
        return place

    def _change(self, held: _Held, items: int, size: int) -> None:
        held.items += items
        held.size += size
        self.waiting += items
        self._size += size
        if items and self._changed is not None:
            self._changed(items)

    def _forget(self, held: _Held, caller: str) -> None:
        held.requests -= 1
        if caller and held.requests == 0:
            del self._callers[caller]


class Place:
    """What one request holds of a model's room, until it is released.

    Attributes:
        rank: How many requests of its caller there were when it came, itself included.
    """

    __slots__ = ("_caller", "_held", "_items", "_released", "_room", "_size", "rank")

    def __init__(self, room: Room, held: _Held, caller: str, items: int, size: int) -> None:
        self._room = room
        self._held = held
        self._caller = caller
        self._items = items
        self._size = size
        self._released = False
        self.rank = held.requests

    def begin(self, items: int) -> None:
        """Gives the places of items back that wait no longer, since they are being computed."""
        self._items -= items
        self._room._change(self._held, -items, 0)

    def release(self) -> None:
        """Gives back all that it still holds; calls after the first do nothing."""
        if self._released:
            return
        self._released = True
        self._room._change(self._held, -self._items, -self._size)
        self._room._forget(self._held, self._caller)
