"""`Run`: the state of one request in a graph, without any waiting; `executor` does that."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence

from ..errors import InfergraphError, InvalidInput, StageFailure
from ..v2 import Message, Tensor
from .accumulator import Accumulator
from .blame import blame
from .explain import explain
from .join import Arrival, Gate, assemble
from .plan import PIPELINE_INPUTS, Consumer, Edge, Plan

_Todo = list[tuple[int, Message | None]]
"""Slots that are about to be settled."""

WAITING, FIRED, SKIPPED = 0, 1, 2
"""States of a consumer; a step that was skipped did not fire and will not."""


class Run:
    """One request on its way through a plan.

    Attributes:
        ready: Steps that have fired and are not begun, each with its request.
        answer: What arrived at the output, if anything has.
        is_early: Whether something was decided that may make steps superfluous, now or once they
            fire; see `prune`.
    """

    __slots__ = (
        "_accumulators",
        "_firings",
        "_fresh",
        "_gates",
        "_plan",
        "_states",
        "_values",
        "answer",
        "is_early",
        "ready",
    )

    def __init__(self, plan: Plan, accumulators: Mapping[int, Accumulator]) -> None:
        self._plan = plan
        self._accumulators = accumulators
        self._values: dict[int, Message | None] = {}
        self._states = [WAITING] * (len(plan.steps) + 1)
        self._gates: dict[int, Gate] = {}
        self._firings: dict[int, int] = {}
        self._fresh: set[int] = set()
        self.ready: deque[tuple[Consumer, Message]] = deque()
        self.answer: Message | None = None
        self.is_early = False

    def settle(self, slot: int, message: Message | None) -> None:
        """Puts a message into a slot, or (None) marks it absent, and decides all that follows.

        Consumers get its arrays read-only, as several of them may share one.
        """
        self._propagate([(slot, None if message is None else _read_only(message))])

    def _propagate(self, todo: _Todo) -> None:
        # The list grows while it is walked: what fires or is skipped settles its own slots.
        for slot, message in todo:
            self._values[slot] = message
            if self._plan.feedback:
                self._fresh.add(slot)
            for edge in self._plan.edges[slot]:
                if self._states[edge.consumer.index] == WAITING:
                    self._arrive(edge, message, todo)

    def _arrive(self, edge: Edge, message: Message | None, todo: _Todo) -> None:
        consumer = edge.consumer
        tensors = None if message is None else edge.source.take(message)
        arrival = None if message is None or tensors is None else (message, tensors)
        if consumer.alone:
            if arrival is None:
                self._skip(consumer, todo)
            else:
                self._fire(consumer, assemble((arrival,)), todo)
            return
        gate = self._gate(consumer)
        gate.settle(edge, arrival)
        self._decide(consumer, gate, todo)

    def _gate(self, consumer: Consumer) -> Gate:
        gate = self._gates.get(consumer.index)
        if gate is None:
            gate = self._gates[consumer.index] = Gate(consumer)
            # What feeds back can only come in a later round.
            for edge in self._plan.feedback:
                if edge.consumer is consumer:
                    gate.settle(edge, None)
        return gate

    def _decide(self, consumer: Consumer, gate: Gate, todo: _Todo) -> None:
        if gate.is_early:
            self.is_early = True
        opens = gate.opens
        if opens:
            self._fire(consumer, gate.message(), todo)
        elif opens is False:
            self._skip(consumer, todo)

    def _fire(self, consumer: Consumer, message: Message, todo: _Todo) -> None:
        index = consumer.index
        if consumer is self._plan.output:
            self._states[index] = FIRED
            # A list and a mapping of its own: the caller may add to its answer.
            self.answer = Message(list(message.tensors), message.id, dict(message.parameters))
            return
        if consumer.batch_size > 1:
            merged = self._accumulators[index].add(message)
            if merged is None:
                self._skip(consumer, todo)
                return
            message = merged
        self._states[index] = FIRED
        if self._plan.feedback:
            self._count(consumer)
        if self._plan.edges[consumer.inputs_slot] or self._plan.feedback:
            todo.append((consumer.inputs_slot, message))
        self.ready.append((consumer, message))

    def _skip(self, consumer: Consumer, todo: _Todo) -> None:
        self._states[consumer.index] = SKIPPED
        if consumer is self._plan.output:
            # What leads nowhere else is superfluous now. Other steps still run: one of them may
            # fail, and say better why there is no answer.
            self.is_early = True
        if consumer is not self._plan.output:
            todo.append((consumer.inputs_slot, None))
            todo.append((consumer.outputs_slot, None))

    def _count(self, consumer: Consumer) -> None:
        firings = self._firings[consumer.index] = self._firings.get(consumer.index, 0) + 1
        if firings > self._plan.max_revisits + 1:
            raise StageFailure(
                f"step '{consumer.name}' was to fire again after {self._plan.max_revisits} "
                "revisits, the pipeline's maxStepRevisits"
            )

    def prune(self) -> Sequence[bool]:
        """Drops ready steps that nothing needs any more; the answer says which steps are needed.

        A step off the output's path is always needed. One on the path is needed while a step that
        is needed, or the output, still waits for it in a join that is undecided.
        """
        plan, states = self._plan, self._states
        needed = [not feeds for feeds in plan.feeds_output]
        needed.append(states[-1] == WAITING)
        for edge in plan.feedback:
            if self.answer is None and edge.source.slot != PIPELINE_INPUTS:
                needed[(edge.source.slot - 1) // 2] = True
        for index in reversed(plan.order):
            step = plan.steps[index]
            needed[index] = needed[index] or any(
                needed[edge.consumer.index] and self._waits(edge)
                for slot in (step.inputs_slot, step.outputs_slot)
                for edge in plan.edges[slot]
            )
        if self.ready:
            kept = [one for one in self.ready if needed[one[0].index]]
            self.ready.clear()
            self.ready.extend(kept)
        return needed

    def _waits(self, edge: Edge) -> bool:
        if self._states[edge.consumer.index] != WAITING:
            return False
        gate = self._gates.get(edge.consumer.index)
        return gate is None or gate.joins[edge.join].satisfied is None

    def next_round(self) -> bool:
        """Lets what fed back fire its steps once more; False when nothing did.

        Called when nothing runs. The steps behind those that fire again start afresh. What settled
        outside of them counts again in their `inner` and `outer` joins, but does not fire an `any`
        a second time.
        """
        fed: dict[int, list[tuple[Edge, Arrival]]] = {}
        for edge in self._plan.feedback if self.answer is None else ():
            message = (
                self._values.get(edge.source.slot) if edge.source.slot in self._fresh else None
            )
            tensors = None if message is None else edge.source.take(message)
            if message is not None and tensors is not None:
                fed.setdefault(edge.consumer.index, []).append((edge, (message, tensors)))
        self._fresh.clear()
        self.is_early = False
        if not fed:
            return False
        again = self._behind(fed)
        for consumer in again.values():
            self._states[consumer.index] = WAITING
            self._gates.pop(consumer.index, None)
            self._values.pop(consumer.inputs_slot, None)
            self._values.pop(consumer.outputs_slot, None)
        todo: _Todo = []
        for index, arrivals in fed.items():
            gate = self._gates[index] = Gate(self._plan.steps[index])
            by_edge = dict(arrivals)
            for edge in self._plan.feedback:
                if edge.consumer.index == index:
                    gate.settle(edge, by_edge.get(edge))
        for slot, message in list(self._values.items()):
            for edge in self._plan.edges[slot]:
                if edge.consumer.index in again and self._states[edge.consumer.index] == WAITING:
                    spent = self._is_renewed(edge, again, fed)
                    self._arrive(edge, None if spent else message, todo)
        for index in fed:
            if self._states[index] == WAITING:
                self._decide(self._plan.steps[index], self._gates[index], todo)
        self._propagate(todo)
        return True

    def _behind(self, heads: Iterable[int]) -> dict[int, Consumer]:
        """The steps at these positions and all consumers that they lead to, by position."""
        todo = [self._plan.steps[index] for index in heads]
        found = {consumer.index: consumer for consumer in todo}
        for consumer in todo:
            for slot in (consumer.inputs_slot, consumer.outputs_slot):
                for edge in self._plan.edges[slot] if slot >= 0 else ():
                    if edge.consumer.index not in found:
                        found[edge.consumer.index] = edge.consumer
                        todo.append(edge.consumer)
        return found

    @staticmethod
    def _is_renewed(edge: Edge, again: Container[int], fed: Mapping[int, object]) -> bool:
        """Whether an edge's join is an `any` that gets something new in this round."""
        join = (edge.consumer.data, edge.consumer.triggers)[edge.join]
        return join.kind == "any" and (
            edge.consumer.index in fed
            or any((source.slot - 1) // 2 in again for source in join.sources)
        )

    def blamed(self, step: Consumer, request: Message, error: InfergraphError) -> InfergraphError:
        """What a step's error is to the pipeline's caller, see `blame`."""
        return blame(self._plan, self._values, step, request, error)

    def result(self) -> Message:
        """The answer; empty when the pipeline has no output.

        Raises:
            InvalidInput: nothing reached the output; the text says why.
        """
        if self.answer is not None:
            return self.answer
        if self._plan.output is None:
            sent = self._values[PIPELINE_INPUTS]
            return Message([], sent.id if sent is not None else "")
        raise InvalidInput(explain(self._plan, self._values, self._accumulators))


def _read_only(message: Message) -> Message:
    if not any(tensor.data.flags.writeable for tensor in message.tensors):
        return message
    tensors = []
    for tensor in message.tensors:
        data = tensor.data.view()
        data.flags.writeable = False
        tensors.append(Tensor(tensor.name, tensor.datatype, data))
    return Message(tensors, message.id, message.parameters, message.trace)
