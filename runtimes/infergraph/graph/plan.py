"""`Plan`: a pipeline compiled for execution, with positions instead of names.

Messages stand in *slots*: slot 0 holds the pipeline's inputs, and each step has one slot for what
it was sent and one for what it answered. An edge leads from a slot to a consumer, which is a step
or the output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import ConfigurationError
from ..v2 import Message, Tensor
from .order import Dependency, arrange
from .reference import Port, Reference, ReferenceSyntaxError, group
from .resource import JoinType, Pipeline

PIPELINE_INPUTS = 0
"""The slot of the pipeline's inputs."""

DATA, TRIGGERS = 0, 1
"""The two joins of a consumer."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What a consumer takes from one slot.

    Attributes:
        name: The step's or the pipeline's name.
        port: Whether its inputs or its outputs are meant.
        tensors: The wanted tensors, in order of mention; empty means all of them.
        renames: New names by old ones; None when no tensor is renamed.
        slot: Where the message stands.
    """

    name: str
    port: Port
    tensors: tuple[str, ...]
    renames: Mapping[str, str] | None
    slot: int

    def take(self, message: Message) -> list[Tensor] | None:
        """The wanted tensors in the message's order, renamed; None when it has none of them.

        When all are wanted and none is renamed this is the message's own list, not a copy.
        """
        tensors = message.tensors
        if self.tensors:
            tensors = [tensor for tensor in tensors if tensor.name in self.tensors]
            if not tensors:
                return None
        renames = self.renames
        if renames is None:
            return tensors
        return [
            tensor.renamed(renames[tensor.name]) if tensor.name in renames else tensor
            for tensor in tensors
        ]

    def __str__(self) -> str:
        whole = f"{self.name}.{self.port}"
        return ", ".join(f"{whole}.{tensor}" for tensor in self.tensors) or whole


@dataclass(frozen=True, slots=True, eq=False)
class Join:
    """Sources and how they are joined; a join without sources is always satisfied."""

    kind: JoinType
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Consumer:
    """A step, or the output.

    Attributes:
        name: The step's name; for the output, ``output``.
        index: The step's position in the file; the number of steps for the output.
        data: What is passed on.
        triggers: What must be there as well.
        batch_size: Items to gather over requests before firing; 0 or 1 when it does not batch.
        inputs_slot: Where a step's assembled request stands; -1 for the output.
        outputs_slot: Where a step's answer stands; -1 for the output.
        alone: Whether a single source decides whether it fires.
    """

    name: str
    index: int
    data: Join
    triggers: Join
    batch_size: int
    inputs_slot: int
    outputs_slot: int
    alone: bool


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """One source of one consumer: `position` in the join number `join`."""

    consumer: Consumer
    join: int
    position: int
    source: Source


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A compiled pipeline.

    Attributes:
        name: The pipeline's name.
        steps: In file order.
        output: None when the pipeline has no output.
        edges: By slot, the edges that lead away from it, without those that feed back.
        feedback: The edges of allowed cycles that fire a step once more.
        order: The steps' positions in an order in which they can run.
        feeds_output: By step, whether its answer can matter to the output.
        max_revisits: How often an allowed cycle may fire a step again in one request.
        per_item: Whether a batch is scattered into items.
    """

    name: str
    steps: tuple[Consumer, ...]
    output: Consumer | None
    edges: tuple[tuple[Edge, ...], ...]
    feedback: tuple[Edge, ...]
    order: tuple[int, ...]
    feeds_output: tuple[bool, ...]
    max_revisits: int
    per_item: bool

    @property
    def tail(self) -> Source | None:
        """What the output takes, when the answer is one step's alone and can be told in parts.

        Nothing else may read that step's answer, as other steps are sent whole ones.
        """
        if self.output is None or self.per_item or self.feedback:
            return None
        source, *others = self.output.data.sources
        step = self.steps[(source.slot - 1) // 2]
        readers = self.edges[step.outputs_slot]
        if others or step.batch_size > 1 or source.port != "outputs" or len(readers) > 1:
            return None
        return source


def compile_plan(pipeline: Pipeline) -> Plan:
    """Compiles a pipeline; ConfigurationError if it was not linted and is no executable graph."""
    spec = pipeline.spec
    positions = {step.name: position for position, step in enumerate(spec.steps)}

    def join(kind: JoinType, texts: Sequence[str], tensor_map: Mapping[str, str]) -> Join:
        sources = []
        for one in group(_parse(text, pipeline.name) for text in texts):
            prefix = f"{one.source}.{one.port}."
            renames = {
                key.removeprefix(prefix): name
                for key, name in tensor_map.items()
                if key.startswith(prefix)
            }
            slot = _slot(pipeline.name, positions, one.source, one.port)
            sources.append(Source(one.source, one.port, one.tensors, renames or None, slot))
        return Join(kind, tuple(sources))

    def consumer(index: int, name: str, data: Join, triggers: Join, batch_size: int) -> Consumer:
        is_step = index < len(spec.steps)
        return Consumer(
            name,
            index,
            data,
            triggers,
            batch_size,
            inputs_slot=2 * index + 1 if is_step else -1,
            outputs_slot=2 * index + 2 if is_step else -1,
            alone=len(data.sources) == 1 and not triggers.sources,
        )

    steps = tuple(
        consumer(
            index,
            step.name,
            join(step.inputs_join_type, step.inputs or (pipeline.name,), step.tensor_map),
            join(step.triggers_join_type, step.triggers, {}),
            (step.batch.size or 0) if step.batch is not None else 0,
        )
        for index, step in enumerate(spec.steps)
    )
    output = None
    if spec.output is not None and spec.output.steps:
        data = join(spec.output.steps_join, spec.output.steps, spec.output.tensor_map)
        output = consumer(len(steps), "output", data, Join("inner", ()), 0)
    return _connect(pipeline, steps, output)


def _connect(pipeline: Pipeline, steps: tuple[Consumer, ...], output: Consumer | None) -> Plan:
    dependencies = [
        [
            Dependency((source.slot - 1) // 2, number, join.kind == "any")
            for number, join in enumerate((step.data, step.triggers))
            for source in join.sources
        ]
        for step in steps
    ]
    arrangement = arrange(dependencies, bool(pipeline.spec.allow_cycles))
    if arrangement.cycles:
        walk = " -> ".join(steps[position].name for position in arrangement.cycles[0])
        raise ConfigurationError(f"pipeline '{pipeline.name}': steps wait for each other: {walk}")
    edges: list[list[Edge]] = [[] for _ in range(2 * len(steps) + 1)]
    feedback: list[Edge] = []
    for consumer in steps if output is None else (*steps, output):
        for number, join in enumerate((consumer.data, consumer.triggers)):
            for position, source in enumerate(join.sources):
                edge = Edge(consumer, number, position, source)
                dependency = Dependency((source.slot - 1) // 2, number, join.kind == "any")
                fed_back = (consumer.index, dependency) in arrangement.feedback
                (feedback if fed_back else edges[source.slot]).append(edge)
    return Plan(
        pipeline.name,
        steps,
        output,
        tuple(map(tuple, edges)),
        tuple(feedback),
        arrangement.order,
        _feeds_output(steps, output),
        pipeline.spec.max_step_revisits or 0,
        pipeline.per_item,
    )


def _feeds_output(steps: Sequence[Consumer], output: Consumer | None) -> tuple[bool, ...]:
    feeds = [False] * len(steps)
    todo = [] if output is None else [output]
    for consumer in todo:
        for source in (*consumer.data.sources, *consumer.triggers.sources):
            if source.slot != PIPELINE_INPUTS and not feeds[index := (source.slot - 1) // 2]:
                feeds[index] = True
                todo.append(steps[index])
    return tuple(feeds)


def _slot(pipeline: str, positions: Mapping[str, int], source: str, port: Port) -> int:
    if source == pipeline and port == "inputs":
        return PIPELINE_INPUTS
    if source not in positions:
        raise ConfigurationError(f"pipeline '{pipeline}' has no source '{source}.{port}'")
    return 2 * positions[source] + (1 if port == "inputs" else 2)


def _parse(text: str, pipeline: str) -> Reference:
    try:
        return Reference.parse(text, pipeline)
    except ReferenceSyntaxError as error:
        raise ConfigurationError(f"pipeline '{pipeline}': {error}") from None
