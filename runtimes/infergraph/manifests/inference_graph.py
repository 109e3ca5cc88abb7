"""`plan_graph`: a pipeline as the tree of nodes that Seldon Core 1 executes.

Its executor hands each node the whole answer of the node before. So each node takes what its model
reads and hands on what later nodes read, as its setting `node` says, in which tensors have names of
the graph: those of the request, those of the pipeline's outputs, and of what is between a tensor's
own name or, where that is taken, `step.tensor`.

A step that all others wait for is a MODEL above them. One that waits for all others joins them as a
COMBINER, or is an OUTPUT_TRANSFORMER above the one branch that they are. What is between becomes
branches where nothing connects it, and is asked in turn else. Before branches that need not fire,
the node above routes; where several branches end without a step that joins them, it joins them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..declaration import ModelDeclaration
from ..graph import Pipeline
from ..node import Node
from .graph_tensors import GraphTensors, unique

Kind = Literal["MODEL", "OUTPUT_TRANSFORMER", "COMBINER"]
Method = Literal["ROUTE", "AGGREGATE"]


@dataclass(frozen=True)
class GraphNode:
    """A node, and the tree below it.

    Attributes:
        name: The step.
        kind: When its model computes: before its children, or of what they answered.
        methods: What it does beside that.
        node: What it takes and hands on.
        children: The nodes below it.
    """

    name: str
    kind: Kind
    methods: tuple[Method, ...]
    node: Node
    children: tuple[GraphNode, ...]

    def walk(self) -> Iterator[GraphNode]:
        """This node and all below it, each before its children."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def is_chain(self) -> bool:
        """Whether only models are asked, one after the other, as gRPC allows."""
        return all(
            each.kind == "MODEL" and not each.methods and len(each.children) < 2
            for each in self.walk()
        )

    def described(self) -> str:
        """What the tree is, in words."""
        nodes = list(self.walk())
        if self.is_chain:
            return "one node" if len(nodes) == 1 else f"a chain of {len(nodes)} nodes"
        roles = []
        for each in nodes:
            does = ["routes"] if "ROUTE" in each.methods else []
            does += ["joins"] if each.joins else []
            roles += [f"{each.name} {' and '.join(does)}"] if does else []
        return f"a graph of {len(nodes)} nodes{': ' if roles else ''}{', '.join(roles)}"

    @property
    def joins(self) -> bool:
        """Whether it makes one answer of those of its children."""
        return self.kind == "COMBINER" or "AGGREGATE" in self.methods


class NoGraphError(Exception):
    """A pipeline cannot be such a tree; `reasons` say why."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(dict.fromkeys(reasons))
        super().__init__("; ".join(self.reasons))


@dataclass(frozen=True)
class _Shape:
    """A tree before it is known what its nodes hand on."""

    step: str
    kind: Kind
    children: tuple[_Shape, ...] = ()

    def steps(self) -> Iterator[str]:
        yield self.step
        for child in self.children:
            yield from child.steps()

    def below(self) -> list[str]:
        return [step for child in self.children for step in child.steps()]


def plan_graph(pipeline: Pipeline, catalog: Mapping[str, ModelDeclaration]) -> GraphNode:
    """The tree of a pipeline.

    Args:
        pipeline: A pipeline that passes the lint.
        catalog: Its models, and its own declaration, by name.

    Raises:
        NoGraphError: it cannot be one.
    """
    tensors = GraphTensors(pipeline, catalog)
    reasons = list(tensors.obstacles())
    if reasons:
        raise NoGraphError(reasons)
    plan = _Plan(tensors)
    names = frozenset(tensors.read_names())
    root = plan.settle(plan.shape(), names, tensors.answered, entry=True, final=True)
    foreign = list(plan.foreign(root))
    if foreign:
        raise NoGraphError(foreign)
    return root


class _Plan:
    """The tree, and what its nodes hand on."""

    def __init__(self, tensors: GraphTensors) -> None:
        self._of = tensors

    def shape(self) -> _Shape:
        """The tree of all steps."""
        return self._tree(self._of.order)

    def _tree(self, steps: Sequence[str]) -> _Shape:
        first, rest = steps[0], steps[1:]
        if not rest:
            return _Shape(first, "MODEL")
        last, before = steps[-1], steps[:-1]
        opens = all(first in self._of.above[step] for step in rest)
        if not opens and all(step in self._of.above[last] for step in before):
            branches = self._forest(before)
            return _Shape(last, "COMBINER" if len(branches) > 1 else "OUTPUT_TRANSFORMER", branches)
        return _Shape(first, "MODEL", self._forest(rest))

    def _forest(self, steps: Sequence[str]) -> tuple[_Shape, ...]:
        """A tree for each part of some steps that nothing connects with the others."""
        parts: list[list[str]] = []
        for step in steps:
            linked = [part for part in parts if self._of.direct[step] & set(part)]
            merged = [each for part in linked for each in part]
            parts = [part for part in parts if part not in linked]
            parts.append([*merged, step])
        parts = [[step for step in steps if step in part] for part in parts]
        parts.sort(key=lambda part: steps.index(part[0]))
        return tuple(self._tree(part) for part in parts)

    def settle(
        self, shape: _Shape, before: frozenset[str], after: list[str], entry: bool, final: bool
    ) -> GraphNode:
        """A tree with what its nodes hand on.

        Args:
            before: What may be in the message that arrives.
            after: What is read of its answer.
            entry: Whether requests arrive here.
            final: Whether its answer is the graph's.
        """
        if shape.kind == "MODEL":
            return self._model(shape, before, after, entry, final)
        return self._joining(shape, before, after, entry, final)

    def _model(
        self, shape: _Shape, before: frozenset[str], after: list[str], entry: bool, final: bool
    ) -> GraphNode:
        """A node whose model computes before its children are asked."""
        own = self._of.produced(shape.step)
        below = shape.below()
        there = before | set(own.values())
        live = [
            name
            for name in unique([*(n for step in below for n in self._of.reads(step)), *after])
            if name in there
        ]
        passes = {name: self._passing(name, below, after, there) for name in live if name in before}
        branches = self._branches(shape, there)
        merges = len(shape.children) > 1
        ends = not shape.children or merges or bool(branches)
        children = tuple(
            self.settle(child, frozenset(live), after, entry=False, final=final and not merges)
            for child in shape.children
        )
        methods: list[Method] = ["ROUTE"] if branches else []
        node = Node(
            request=self._of.request() if entry else {},
            inputs=self._of.inputs(shape.step),
            needs=self._of.needs(shape.step),
            outputs={tensor: name for tensor, name in own.items() if name in live},
            passes=passes,
            branches=branches,
            gives=after if merges or branches else None,
            answers=self._of.answers() if final and ends else [],
        )
        methods += ["AGGREGATE"] if merges else []
        return GraphNode(shape.step, shape.kind, tuple(methods), node, children)

    def _joining(
        self, shape: _Shape, before: frozenset[str], after: list[str], entry: bool, final: bool
    ) -> GraphNode:
        """A node whose model computes of what its children answered."""
        produced = {name for step in shape.below() for name in self._of.produced(step).values()}
        there = before | produced
        wanted = [name for name in unique([*self._of.reads(shape.step), *after]) if name in there]
        children = tuple(
            self.settle(child, before, wanted, entry, final=False) for child in shape.children
        )
        branches = self._branches(shape, before) if shape.kind == "COMBINER" else []
        own = self._of.produced(shape.step)
        node = Node(
            inputs=self._of.inputs(shape.step),
            needs=self._of.needs(shape.step),
            outputs=own,
            passes={name: [] for name in after if name in there},
            branches=branches,
            answers=self._of.answers() if final else [],
        )
        methods: tuple[Method, ...] = ("ROUTE",) if branches else ()
        return GraphNode(shape.step, shape.kind, methods, node, children)

    def _passing(
        self, name: str, below: Sequence[str], after: Sequence[str], there: frozenset[str]
    ) -> list[str]:
        """The condition for handing a tensor on: that one of those that read it may fire."""
        if name in after:
            return []
        found: list[str] = []
        for step in below:
            if name in self._of.reads(step):
                condition = self._condition(step, below, there)
                if not condition or name in condition:
                    return []
                found += condition
        return unique(found)

    def _branches(self, shape: _Shape, there: frozenset[str]) -> list[list[str]]:
        """The condition of each child that it has anything to do; empty if all always have."""
        branches = []
        for child in shape.children:
            steps = list(child.steps())
            conditions = [self._condition(step, steps, there) for step in steps]
            always = any(not each for each in conditions)
            branches.append([] if always else unique(n for each in conditions for n in each))
        return branches if any(branches) else []

    def _condition(self, step: str, inside: Sequence[str], there: frozenset[str]) -> list[str]:
        """Names of which one is there whenever a step fires; empty if there are no such.

        Args:
            inside: Steps that have not been asked yet; what they make is not there.
            there: What may be there.
        """
        for any_of in self._of.needs(step):
            found: list[str] = []
            for name in any_of:
                makers = [each for each in inside if name in self._of.produced(each).values()]
                conditions = [self._condition(each, inside, there) for each in makers]
                if not all(conditions):
                    found = []
                    break
                found += [name] if name in there else []
                found += [each for condition in conditions for each in condition]
            if found:
                return unique(found)
        return []

    def foreign(self, root: GraphNode) -> Iterator[str]:
        """Nodes of other runtimes that would have to rename, route, join or hand on."""
        for each in root.walk():
            if self._of.is_ours(each.name):
                continue
            node = each.node
            renamed = [name for name, [*found] in (node.inputs or {}).items() if found != [name]]
            renamed += [name for name, out in (node.outputs or {}).items() if name != out]
            if renamed:
                yield f"step '{each.name}' is of another runtime, which renames nothing"
            if each.methods or each.kind != "MODEL" or node.passes or node.needs or node.answers:
                yield f"step '{each.name}' is of another runtime, which hands nothing on"
        for each in root.walk():
            others = [child for child in each.children if not self._of.is_ours(child.name)]
            if len(each.children) > 1 and others:
                yield (
                    f"step '{others[0].name}' is of another runtime, and is sent what other "
                    "branches read as well"
                )
