"""`Gate`: whether a consumer fires, decided from the sources as they settle, and with what."""

from __future__ import annotations

from collections.abc import Sequence

from ..v2 import Message, Tensor
from .plan import Consumer, Edge, Join

Arrival = tuple[Message, list[Tensor]]
"""A source's message, and those of its tensors that are passed on."""


class JoinState:
    """One join in one request.

    ==========  ==================================  ================================
    kind        satisfied                           failed
    ==========  ==================================  ================================
    ``inner``   when every source has arrived       when one source is absent
    ``any``     when the first source arrives       when every source is absent
    ``outer``   when every source is decided and    when every source is absent
                at least one of them has arrived
    ==========  ==================================  ================================

    Attributes:
        satisfied: None while undecided.
        waiting: The number of sources that are neither arrived nor absent.
        arrivals: By position; for `any` only the first to arrive.
    """

    __slots__ = ("_kind", "arrivals", "satisfied", "waiting")

    def __init__(self, join: Join) -> None:
        self._kind = join.kind
        self.waiting = len(join.sources)
        self.arrivals: list[Arrival | None] = [None] * self.waiting
        self.satisfied: bool | None = None if join.sources else True

    def settle(self, position: int, arrival: Arrival | None) -> None:
        """Takes note that a source has arrived, or (None) that it is absent."""
        self.waiting -= 1
        if self.satisfied is not None:
            return
        if arrival is not None:
            self.arrivals[position] = arrival
            if self._kind == "any" or not self.waiting:
                self.satisfied = True
        elif self._kind == "inner":
            self.satisfied = False
        elif not self.waiting:
            self.satisfied = any(one is not None for one in self.arrivals)


class Gate:
    """A consumer with several sources: its data are joined, its triggers too, and it needs both."""

    __slots__ = ("joins",)

    def __init__(self, consumer: Consumer) -> None:
        self.joins = (JoinState(consumer.data), JoinState(consumer.triggers))

    def settle(self, edge: Edge, arrival: Arrival | None) -> None:
        self.joins[edge.join].settle(edge.position, arrival)

    @property
    def opens(self) -> bool | None:
        """Whether the consumer fires; None while undecided."""
        data, triggers = self.joins
        if data.satisfied is False or triggers.satisfied is False:
            return False
        return True if data.satisfied and triggers.satisfied else None

    @property
    def is_early(self) -> bool:
        """Whether some join is decided although sources of the gate are not."""
        data, triggers = self.joins
        if self.opens is not None:
            return data.waiting > 0 or triggers.waiting > 0
        return any(one.satisfied is not None and one.waiting > 0 for one in self.joins)

    def message(self) -> Message:
        """The joined data, in the order in which their sources are mentioned."""
        return assemble([one for one in self.joins[0].arrivals if one is not None])


def assemble(arrivals: Sequence[Arrival]) -> Message:
    """Concatenates arrivals; the first one's id and parameters win, and clashing names stay."""
    message, tensors = arrivals[0]
    if len(arrivals) > 1:
        tensors = [tensor for _, some in arrivals for tensor in some]
    elif tensors is message.tensors and message.trace is None:
        return message
    return Message(tensors, message.id, message.parameters)
