"""`GraphTensors`: who reads which tensors of a pipeline, by their names in a graph of nodes.

A request's tensors and the pipeline's outputs have their own names, what is between a tensor's own
name too, or where that is taken `step.tensor`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..declaration import ModelDeclaration
from ..graph import Pipeline
from ..graph.edges import Edges
from ..graph.order import arrange
from ..graph.reference import SourceReference
from ..graph.wiring import Consumer, wire

_Key = tuple[str, str]
"""A tensor by the step, or the pipeline for a request's, and its own name there."""


class GraphTensors:
    """What a tree of nodes follows from.

    Attributes:
        order: The steps, each after those that it waits for.
        direct: Step -> the steps that it reads or that trigger it.
        above: Step -> all steps that it waits for.
    """

    def __init__(self, pipeline: Pipeline, catalog: Mapping[str, ModelDeclaration]) -> None:
        self._pipeline = pipeline
        self._catalog = catalog
        self._wiring = wire(pipeline, lambda *_: None)
        self._edges = Edges(self._wiring, catalog)
        self._arranged = arrange(self._wiring.dependencies(), bool(pipeline.spec.allow_cycles))
        steps = [step.name for step in pipeline.spec.steps]
        self._consumers = dict(zip(steps, self._wiring.steps, strict=True))
        self.order = [steps[position] for position in self._arranged.order]
        self.direct = {
            name: {
                source.source
                for source in (*consumer.sources, *consumer.trigger_sources)
                if source.source != pipeline.name
            }
            for name, consumer in self._consumers.items()
        }
        self.above: dict[str, set[str]] = {}
        for name in self.order:
            direct = self.direct[name] & self.above.keys()
            self.above[name] = direct.union(*(self.above[each] for each in direct))
        self._readers = self._read()
        self._names = self._named()

    @property
    def answered(self) -> list[str]:
        """The names of the pipeline's outputs."""
        output = self._wiring.output
        return [] if output is None else unique(a.name for a in self._edges.arrivals(output))

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
        if self._arranged.feedback or len(self.order) < len(self._consumers):
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
        done = self.above[step] | {step}
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

    def produced(self, step: str) -> dict[str, str]:
        """Output of a step's model -> its name, of those that anybody reads."""
        return {tensor: name for (source, tensor), name in self._names.items() if source == step}

    def inputs(self, step: str) -> dict[str, list[str]]:
        """Input of a step's model -> the names that it may be."""
        found: dict[str, list[str]] = {}
        for arrival in self._edges.arrivals(self._consumers[step]):
            name = self._name(arrival.source, arrival.tensor)
            found.setdefault(arrival.name, []).append(name)
        return found

    def needs(self, step: str) -> list[list[str]]:
        """The conditions for a step to fire that do not hold in each request."""
        return self._conditions(self._consumers[step])

    def _conditions(self, consumer: Consumer) -> list[list[str]]:
        needs = []
        for kind, sources in (
            (consumer.join, consumer.sources),
            (consumer.triggers_join, consumer.trigger_sources),
        ):
            together = [sources] if kind != "inner" else [(source,) for source in sources]
            for group in together:
                if group and not any(self._edges.always(source) for source in group):
                    names = (self._name(s, tensor) for s in group for tensor in self._tensors(s))
                    needs.append(unique(names))
        return needs

    def reads(self, step: str) -> list[str]:
        """All names that a step reads, its triggers' too."""
        data = [name for names in self.inputs(step).values() for name in names]
        return unique([*data, *(name for any_of in self.needs(step) for name in any_of)])

    def request(self) -> dict[str, bool]:
        """The pipeline's inputs, and whether a request must have them."""
        declared = self._catalog.get(self._pipeline.name)
        specs = () if declared is None else declared.inputs
        if not specs:
            return dict.fromkeys(self.read_names(), True)
        return {spec.name: not spec.optional for spec in specs}

    def answers(self) -> list[list[str]]:
        """The conditions of the pipeline's answer."""
        output = self._wiring.output
        assert output is not None
        return self._conditions(output)

    def is_ours(self, step: str) -> bool:
        """Whether a step's model has our setting `node`."""
        declaration = self._catalog.get(step)
        return declaration is not None and declaration.is_ours


def unique(names: Iterable[str]) -> list[str]:
    """Names, each once, in the order in which they come first."""
    return list(dict.fromkeys(names))
