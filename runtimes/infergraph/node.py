"""`Node`: a model's place in a graph whose nodes hand on whole messages, as Seldon Core 1's do.

Such a graph knows no edges of tensors: what a node answers is all that comes after it gets. So a
node takes of a message what its model reads, and hands on what later nodes read. The tensors of a
graph have names of their own, each one once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace

from pydantic import BaseModel, ConfigDict

from .errors import ConfigurationError, InvalidInput
from .v2 import Message, Tensor
from .v2.request import quoted

ALL, NONE = -1, -2
"""Answers of a node that routes: all of its children, or none, so that its own answer stands."""


class Node(BaseModel):
    """What a model takes of a message, and what it answers.

    A list of names stands for a condition: that the message has one of them. An empty one holds.

    Attributes:
        request: The graph's inputs, and whether a request must have them. Of nodes to which
            requests come as callers send them.
        inputs: Input of the model -> names in the message, of which the first that is there is
            taken. Unless given, all tensors but those of `passes`.
        needs: Conditions, all of which hold when the model computes; else the node only hands on.
        outputs: Output of the model -> its name in the answer; others are left out. Unless given,
            all outputs by their own names.
        passes: Name -> the condition, on the message and the model's outputs, for handing it on.
        branches: Of a node that routes, the condition of each child.
        gives: What goes on from where the children's branches end, of a node whose own model has
            computed before them. Unless given, the model computes of what they answered.
        answers: Conditions, all of which hold of the graph's answer, at the node that gives it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    request: dict[str, bool] = {}
    inputs: dict[str, list[str]] | None = None
    needs: list[list[str]] = []
    outputs: dict[str, str] | None = None
    passes: dict[str, list[str]] = {}
    branches: list[list[str]] = []
    gives: list[str] | None = None
    answers: list[list[str]] = []

    def check(self, inputs: Collection[str], outputs: Collection[str]) -> None:
        """Compares the names with those that a model declares; none declared are any.

        Raises:
            ConfigurationError: the model has no such input or output.
        """
        for field, given, declared in (
            ("inputs", self.inputs, inputs),
            ("outputs", self.outputs, outputs),
        ):
            unknown = [name for name in given or () if declared and name not in declared]
            if unknown:
                raise ConfigurationError(
                    f"setting 'node': {field} names '{unknown[0]}', which the model does not "
                    f"declare; accepted: {', '.join(declared)}"
                )

    async def infer(
        self, message: Message, compute: Callable[[Message], Awaitable[Message]], where: str
    ) -> Message:
        """The node's answer.

        Args:
            compute: Gives the model's own answer.
            where: Names the model in error texts.

        Raises:
            InvalidInput: a request lacks a tensor or has one that the graph does not read; or
                nothing of what the graph answers came.
            InfergraphError: as `compute` raises it.
        """
        self._check_request(message, where)
        answer = Message([], message.id)
        if _hold(self.needs, message.names()):
            answer = await compute(replace(message, tensors=self._taken(message)))
        own = self._given(answer)
        known = {*message.names(), *own}
        handed_on = [
            tensor
            for tensor in message.tensors
            if tensor.name not in own
            and tensor.name in self.passes
            and _holds(self.passes[tensor.name], known)
        ]
        answer = replace(answer, tensors=[*own.values(), *handed_on])
        if self.gives is None:
            self._check_answer(answer, where)
        return answer

    def route(self, message: Message, where: str) -> int:
        """Which child is asked: its position, `ALL`, or `NONE`.

        Where several are to be asked all are, and those whose turn it is not only hand on. Where
        none is, one is asked all the same if what came is not yet what goes on.

        Raises:
            InvalidInput: the node has no branches.
        """
        if not self.branches:
            raise InvalidInput(
                f"{where}: it has no branches to choose from; give it 'branches' in its setting "
                "'node'"
            )
        names = message.names()
        wanted = [index for index, any_of in enumerate(self.branches) if _holds(any_of, names)]
        if len(wanted) > 1:
            return ALL
        if wanted:
            return wanted[0]
        is_whole = self.gives is not None and set(names) <= set(self.gives)
        return NONE if is_whole and _hold(self.answers, names) else 0

    def joined(self, message: Message, where: str) -> Message:
        """What goes on of the joined answers of the children; raises InvalidInput as `infer`."""
        assert self.gives is not None
        answer = replace(message, tensors=message.selected(self.gives))
        self._check_answer(answer, where)
        return answer

    def _check_request(self, message: Message, where: str) -> None:
        if not self.request:
            return
        names = message.names()
        unknown = [name for name in names if name not in self.request]
        missing = [name for name, needed in self.request.items() if needed and name not in names]
        if unknown or missing:
            what = f"no input tensor {quoted(unknown[0])}" if unknown else ""
            raise InvalidInput(
                f"{where}: {what or f'missing input tensor {quoted(missing[0])}'}; the graph "
                f"takes: {', '.join(self.request)}"
            )

    def _taken(self, message: Message) -> list[Tensor]:
        if self.inputs is None:
            return [each for each in message.tensors if each.name not in self.passes]
        taken = []
        for name, candidates in self.inputs.items():
            found = next((each for each in map(message.get, candidates) if each is not None), None)
            if found is not None:
                taken.append(found.renamed(name))
        return taken

    def _given(self, answer: Message) -> dict[str, Tensor]:
        if self.outputs is None:
            return {tensor.name: tensor for tensor in answer.tensors}
        return {
            self.outputs[tensor.name]: tensor.renamed(self.outputs[tensor.name])
            for tensor in answer.tensors
            if tensor.name in self.outputs
        }

    def _check_answer(self, answer: Message, where: str) -> None:
        names = answer.names()
        if not _hold(self.answers, names):
            wanted = " and ".join(" or ".join(each) for each in self.answers)
            raise InvalidInput(
                f"{where}: nothing reached the output of the graph, which is {wanted}; came: "
                f"{', '.join(names) or 'nothing'}"
            )


def join(messages: Sequence[Message]) -> Message:
    """One message of several, by the names of their tensors: of one name, the first is taken.

    Its id and parameters are those of the first.
    """
    tensors: dict[str, Tensor] = {}
    for message in messages:
        for tensor in message.tensors:
            tensors.setdefault(tensor.name, tensor)
    if not messages:
        return Message([])
    return Message(list(tensors.values()), messages[0].id, dict(messages[0].parameters))


def _holds(any_of: Sequence[str], names: Collection[str]) -> bool:
    return not any_of or any(name in names for name in any_of)


def _hold(conditions: Iterable[Sequence[str]], names: Collection[str]) -> bool:
    return all(_holds(any_of, names) for any_of in conditions)
