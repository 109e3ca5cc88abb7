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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..declaration import ModelDeclaration
from ..graph import Pipeline
from ..graph.edges import Edges
from ..graph.order import arrange
from ..graph.reference import SourceReference
from ..graph.wiring import Consumer, wire
from ..node import Node

Kind = Literal["MODEL", "OUTPUT_TRANSFORMER", "COMBINER"]
Method = Literal["ROUTE", "AGGREGATE"]
_Key = tuple[str, str]
"""A tensor by the step, or the pipeline for a request's, and its own name there."""


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
            return f"a chain of {len(nodes)} nodes"
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
    plan = _Plan(pipeline, catalog)
    reasons = list(plan.obstacles())
    if reasons:
        raise NoGraphError(reasons)
    names = plan.read_names()
    root = plan.settle(plan.shape(), frozenset(names), plan.answered, entry=True, final=True)
    foreign = list(plan.foreign(root))
    if foreign:
        raise NoGraphError(foreign)
    return root


class _Plan:
    """What the tree follows from: who reads which tensors, by their names in the graph."""

    def __init__(self, pipeline: Pipeline, catalog: Mapping[str, ModelDeclaration]) -> None:
        self._pipeline = pipeline
        self._catalog = catalog
        self._wiring = wire(pipeline, lambda *_: None)
        self._edges = Edges(self._wiring, catalog)
        self._arranged = arrange(self._wiring.dependencies(), bool(pipeline.spec.allow_cycles))
        steps = [step.name for step in pipeline.spec.steps]
        self._consumers = dict(zip(steps, self._wiring.steps, strict=True))
        self._order = [steps[position] for position in self._arranged.order]
        self._direct = {
            name: {
                source.source
                for source in (*consumer.sources, *consumer.trigger_sources)
                if source.source != pipeline.name
            }
            for name, consumer in self._consumers.items()
        }
        self._above: dict[str, set[str]] = {}
        for name in self._order:
            direct = self._direct[name] & self._above.keys()
            self._above[name] = direct.union(*(self._above[each] for each in direct))
        self._readers = self._read()
        self._names = self._named()

    @property
    def answered(self) -> list[str]:
        """The names of the pipeline's outputs."""
        output = self._wiring.output
        return [] if output is None else _unique(a.name for a in self._edges.arrivals(output))

    def obstacles(self) -> Iterator[str]:
        """Why the pipeline cannot be a tree, before there is one."""
        pipeline = self._pipeline
        given = pipeline.spec.input
        if given is not None and (given.external_inputs or given.external_triggers):
            yield "it reads other pipelines"
        for step in pipeline.spec.steps:
            declaration = self._catalog.get(step.name)
            if declaration is not None and declaration.pipeline is not None:
                yield f"step '{step.name}' is a pipeline"
            if step.batch is not None and (step.batch.size or 0) > 1:
                yield f"step '{step.name}' gathers a batch"
        if self._arranged.feedback or len(self._order) < len(self._consumers):
            yield "it has a cycle"
        if self._wiring.output is None:
            yield "it has no output"
            return
        for consumer in self._wiring.consumers:
            for source in (*consumer.sources, *consumer.trigger_sources):
                if source.port == "inputs" and source.source != pipeline.name:
                    yield f"{consumer.name} reads what step '{source.source}' was sent"
                elif self._edges.is_open(source):
                    yield f"'{source.source}' does not declare what {consumer.name} reads"
            yield from self._odd_any(consumer)
        yield from self._clashes()

    def _odd_any(self, consumer: Consumer) -> Iterator[str]:
        if consumer.join != "any" or len(consumer.sources) < 2:
            return
        brought = {
            frozenset(arrival.name for arrival in self._edges.arrivals_of(consumer, source))
            for source in consumer.sources
        }
        if len(brought) > 1:
            yield f"{consumer.name} takes any of sources that bring different tensors"

    def _clashes(self) -> Iterator[str]:
        """Tensors that would have one name in the graph."""
        output = self._wiring.output
        assert output is not None
        producers: dict[str, list[_Key]] = {}
        for arrival in self._edges.arrivals(output):
            key = (arrival.source.source, arrival.tensor)
            producers.setdefault(arrival.name, []).append(key)
        for name, keys in producers.items():
            if len(keys) > 1 and any(
                reader is not None for key in keys for reader in self._readers[key]
            ):
                yield f"a step reads what may be another's output '{name}'"
            if any(self._outlives(name, step) for step, _ in keys):
                yield f"the output '{name}' has the name of an input that is still read"

    def _outlives(self, name: str, step: str) -> bool:
        """Whether others than a step and those above it read a tensor of the request."""
        done = self._above[step] | {step}
        readers = self._readers.get((self._pipeline.name, name), [])
        return any(reader not in done for reader in readers)

    def _read(self) -> dict[_Key, list[str | None]]:
        """The steps that read each tensor; None is the output."""
        found: dict[_Key, list[str | None]] = {}
        for consumer in self._wiring.consumers:
            reader = None if consumer.step is None else consumer.step.name
            for source in (*consumer.sources, *consumer.trigger_sources):
                for tensor in self._tensors(source):
                    found.setdefault((source.source, tensor), []).append(reader)
        return found

    def _tensors(self, source: SourceReference) -> tuple[str, ...]:
        return source.tensors or tuple(spec.name for spec in self._edges.specs(source) or ())

    def _named(self) -> dict[_Key, str]:
        output = self._wiring.output
        arrivals = [] if output is None else self._edges.arrivals(output)
        named = {(each.source.source, each.tensor): each.name for each in arrivals}
        keys = list(self._readers)
        request = {key: key[1] for key in keys if key[0] == self._pipeline.name}
        between = [key for key in keys if key not in named and key not in request]
        taken = [*named.values(), *request.values(), *(tensor for _, tensor in between)]
        for step, tensor in between:
            named[step, tensor] = tensor if taken.count(tensor) == 1 else f"{step}.{tensor}"
        return {**named, **request}

    def _name(self, source: SourceReference, tensor: str) -> str:
        return self._names[source.source, tensor]

    def read_names(self) -> list[str]:
        """The request's tensors that anybody reads."""
        return [name for (source, _), name in self._names.items() if source == self._pipeline.name]

    def _produced(self, step: str) -> dict[str, str]:
        """Output of a step's model -> its name, of those that anybody reads."""
        return {tensor: name for (source, tensor), name in self._names.items() if source == step}

    def _inputs(self, consumer: Consumer) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for arrival in self._edges.arrivals(consumer):
            name = self._name(arrival.source, arrival.tensor)
            found.setdefault(arrival.name, []).append(name)
        return found

    def _needs(self, consumer: Consumer) -> list[list[str]]:
        """The conditions of a consumer that do not hold in each request."""
        needs = []
        for kind, sources in (
            (consumer.join, consumer.sources),
            (consumer.triggers_join, consumer.trigger_sources),
        ):
            together = [sources] if kind != "inner" else [(source,) for source in sources]
            for group in together:
                if group and not any(self._edges.always(source) for source in group):
                    names = (self._name(s, tensor) for s in group for tensor in self._tensors(s))
                    needs.append(_unique(names))
        return needs

    def _reads(self, step: str) -> list[str]:
        consumer = self._consumers[step]
        data = [name for names in self._inputs(consumer).values() for name in names]
        return _unique([*data, *(name for any_of in self._needs(consumer) for name in any_of)])

    def shape(self) -> _Shape:
        """The tree of all steps."""
        return self._tree(self._order)

    def _tree(self, steps: Sequence[str]) -> _Shape:
        first, rest = steps[0], steps[1:]
        if not rest:
            return _Shape(first, "MODEL")
        last, before = steps[-1], steps[:-1]
        opens = all(first in self._above[step] for step in rest)
        if not opens and all(step in self._above[last] for step in before):
            branches = self._forest(before)
            return _Shape(last, "COMBINER" if len(branches) > 1 else "OUTPUT_TRANSFORMER", branches)
        return _Shape(first, "MODEL", self._forest(rest))

    def _forest(self, steps: Sequence[str]) -> tuple[_Shape, ...]:
        """A tree for each part of some steps that nothing connects with the others."""
        parts: list[list[str]] = []
        for step in steps:
            linked = [part for part in parts if self._direct[step] & set(part)]
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
        own = self._produced(shape.step)
        below = shape.below()
        there = before | set(own.values())
        live = [
            name
            for name in _unique([*(n for step in below for n in self._reads(step)), *after])
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
            request=self._request() if entry else {},
            inputs=self._inputs(self._consumers[shape.step]),
            needs=self._needs(self._consumers[shape.step]),
            outputs={tensor: name for tensor, name in own.items() if name in live},
            passes=passes,
            branches=branches,
            gives=after if merges or branches else None,
            answers=self._answers() if final and ends else [],
        )
        methods += ["AGGREGATE"] if merges else []
        return GraphNode(shape.step, shape.kind, tuple(methods), node, children)

    def _joining(
        self, shape: _Shape, before: frozenset[str], after: list[str], entry: bool, final: bool
    ) -> GraphNode:
        """A node whose model computes of what its children answered."""
        produced = {name for step in shape.below() for name in self._produced(step).values()}
        there = before | produced
        wanted = [name for name in _unique([*self._reads(shape.step), *after]) if name in there]
        children = tuple(
            self.settle(child, before, wanted, entry, final=False) for child in shape.children
        )
        branches = self._branches(shape, before) if shape.kind == "COMBINER" else []
        own = self._produced(shape.step)
        node = Node(
            inputs=self._inputs(self._consumers[shape.step]),
            needs=self._needs(self._consumers[shape.step]),
            outputs=own,
            passes={name: [] for name in after if name in there},
            branches=branches,
            answers=self._answers() if final else [],
        )
        methods: tuple[Method, ...] = ("ROUTE",) if branches else ()
        return GraphNode(shape.step, shape.kind, methods, node, children)

    def _request(self) -> dict[str, bool]:
        declared = self._catalog.get(self._pipeline.name)
        specs = () if declared is None else declared.inputs
        if not specs:
            return dict.fromkeys(self.read_names(), True)
        return {spec.name: not spec.optional for spec in specs}

    def _answers(self) -> list[list[str]]:
        output = self._wiring.output
        assert output is not None
        return self._needs(output)

    def _passing(
        self, name: str, below: Sequence[str], after: Sequence[str], there: frozenset[str]
    ) -> list[str]:
        """The condition for handing a tensor on: that one of those that read it may fire."""
        if name in after:
            return []
        found: list[str] = []
        for step in below:
            if name in self._reads(step):
                condition = self._condition(step, below, there)
                if not condition or name in condition:
                    return []
                found += condition
        return _unique(found)

    def _branches(self, shape: _Shape, there: frozenset[str]) -> list[list[str]]:
        """The condition of each child that it has anything to do; empty if all always have."""
        branches = []
        for child in shape.children:
            steps = list(child.steps())
            conditions = [self._condition(step, steps, there) for step in steps]
            always = any(not each for each in conditions)
            branches.append([] if always else _unique(n for each in conditions for n in each))
        return branches if any(branches) else []

    def _condition(self, step: str, inside: Sequence[str], there: frozenset[str]) -> list[str]:
        """Names of which one is there whenever a step fires; empty if there are no such.

        Args:
            inside: Steps that have not been asked yet; what they make is not there.
            there: What may be there.
        """
        for any_of in self._needs(self._consumers[step]):
            found: list[str] = []
            for name in any_of:
                makers = [each for each in inside if name in self._produced(each).values()]
                conditions = [self._condition(each, inside, there) for each in makers]
                if not all(conditions):
                    found = []
                    break
                found += [name] if name in there else []
                found += [each for condition in conditions for each in condition]
            if found:
                return _unique(found)
        return []

    def foreign(self, root: GraphNode) -> Iterator[str]:
        """Nodes of other runtimes that would have to rename, route, join or hand on."""
        for each in root.walk():
            if self.is_ours(each.name):
                continue
            node = each.node
            renamed = [name for name, [*found] in (node.inputs or {}).items() if found != [name]]
            renamed += [name for name, out in (node.outputs or {}).items() if name != out]
            if renamed:
                yield f"step '{each.name}' is of another runtime, which renames nothing"
            if each.methods or each.kind != "MODEL" or node.passes or node.needs or node.answers:
                yield f"step '{each.name}' is of another runtime, which hands nothing on"
        for each in root.walk():
            others = [child for child in each.children if not self.is_ours(child.name)]
            if len(each.children) > 1 and others:
                yield (
                    f"step '{others[0].name}' is of another runtime, and is sent what other "
                    "branches read as well"
                )

    def is_ours(self, step: str) -> bool:
        """Whether a step's model has our setting `node`."""
        declaration = self._catalog.get(step)
        return declaration is not None and declaration.is_ours


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
