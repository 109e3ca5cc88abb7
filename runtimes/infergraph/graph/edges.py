"""`Edges`: which tensors each edge of a pipeline carries, as far as the models declare them.

What is not known (no catalog, a model that declares nothing) is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from ..declaration import ModelDeclaration
from ..tensors import TensorSpec
from .reference import Port, SourceReference
from .wiring import Consumer, Wire, Wiring

Specs = tuple[TensorSpec, ...]
Tensor = tuple[str, Port, str]
"""A tensor by its source, the source's port, and its name."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A tensor that may arrive at a consumer.

    Attributes:
        name: Its name there, after `tensorMap`.
        tensor: Its name at its source.
        source: Its source.
        wire: The reference that brings it.
        spec: How its source declares it, under its new name; None where that is unknown.
        certain: Whether it is there whenever its source's message passes.
    """

    name: str
    tensor: str
    source: SourceReference
    wire: Wire
    spec: TensorSpec | None
    certain: bool

    @property
    def key(self) -> str:
        """Its key in a `tensorMap`."""
        return f"{self.source.source}.{self.source.port}.{self.tensor}"


class Edges:
    """Answers what arrives where; `catalog` holds the models and the pipeline itself by name."""

    def __init__(self, wiring: Wiring, catalog: Mapping[str, ModelDeclaration] | None) -> None:
        self._wiring = wiring
        self._pipeline = wiring.pipeline.name
        self._catalog = catalog or {}
        self._by_name = {step.step.name: step for step in wiring.steps if step.step is not None}
        # What is still being worked out counts as unknown, so that cycles come to an end.
        self._sent: dict[str, Specs | None] = {}
        self._implied: dict[str, frozenset[Tensor]] = {}

    def declaration(self, name: str) -> ModelDeclaration | None:
        return self._catalog.get(name)

    def specs(self, source: SourceReference) -> Specs | None:
        """Every tensor of a source, wanted or not; None where they are unknown."""
        if source.source in self._by_name and source.port == "inputs":
            return self._sent_to(source.source)
        declaration = self._catalog.get(source.source)
        if declaration is None:
            return None
        declared = declaration.inputs if source.port == "inputs" else declaration.outputs
        return declared or None

    def spec(self, source: SourceReference, tensor: str) -> TensorSpec | None:
        return next((spec for spec in self.specs(source) or () if spec.name == tensor), None)

    def arrivals(self, consumer: Consumer) -> list[Arrival]:
        """The tensors that are known to be able to arrive, in order."""
        return [one for source in consumer.sources for one in self.arrivals_of(consumer, source)]

    def arrivals_of(self, consumer: Consumer, source: SourceReference) -> list[Arrival]:
        """The tensors that one source is known to be able to bring, in order."""
        names = source.tensors or tuple(spec.name for spec in self.specs(source) or ())
        found = []
        for tensor in names:
            spec = self.spec(source, tensor)
            key = f"{source.source}.{source.port}.{tensor}"
            name = consumer.tensor_map.get(key, tensor)
            found.append(
                Arrival(
                    name,
                    tensor,
                    source,
                    consumer.wire_of(source, tensor),
                    None if spec is None else replace(spec, name=name),
                    len(source.tensors) == 1 or spec is None or not spec.optional,
                )
            )
        return found

    def is_open(self, source: SourceReference) -> bool:
        """Whether tensors that nobody knows of may come from a source."""
        return not source.tensors and self.specs(source) is None

    def guaranteed(self, consumer: Consumer, arrival: Arrival) -> bool:
        """Whether a tensor is there each time that the consumer fires with the tensor's source."""
        source = arrival.source
        implied = (source.source, source.port, arrival.tensor) in self.implied(consumer)
        if consumer.join == "outer" and len(consumer.sources) > 1:
            return implied or (arrival.certain and self.always(source))
        return implied or arrival.certain

    def implied(self, consumer: Consumer) -> frozenset[Tensor]:
        """Tensors that must have been there for a consumer to fire."""
        if consumer.name not in self._implied:
            self._implied[consumer.name] = frozenset()
            self._implied[consumer.name] = frozenset(self._implications(consumer))
        return self._implied[consumer.name]

    def _implications(self, consumer: Consumer) -> Iterator[Tensor]:
        for join, sources in (
            (consumer.join, consumer.sources),
            (consumer.triggers_join, consumer.trigger_sources),
        ):
            if join != "inner" and len(sources) > 1:
                continue
            for source in sources:
                if len(source.tensors) == 1:
                    yield source.source, source.port, source.tensors[0]
                if source.source in self._by_name:
                    yield from self.implied(self._by_name[source.source])

    def always(self, source: SourceReference) -> bool:
        """Whether a source's message passes in every request; unknown tensors count as there."""
        return self._holds(source, lambda spec: spec is None or not spec.optional, set())

    def possible(self, source: SourceReference) -> bool:
        """Whether a source's message can ever pass; unknown tensors count as there."""

        def declared(spec: TensorSpec | None) -> bool:
            return spec is not None

        return self._holds(source, declared, set(), batch_fires=True)

    def _holds(
        self,
        source: SourceReference,
        is_there: Callable[[TensorSpec | None], bool],
        visiting: set[str],
        batch_fires: bool = False,
    ) -> bool:
        step = self._by_name.get(source.source)
        if step is not None:
            if step.name in visiting:
                return False
            inside = visiting | {step.name}
            batch = step.step.batch if step.step is not None else None
            if batch is not None and (batch.size or 0) > 1 and not batch_fires:
                return False
            for join, sources in (
                (step.join, step.sources),
                (step.triggers_join, step.trigger_sources),
            ):
                held = [self._holds(one, is_there, inside, batch_fires) for one in sources]
                if held and not (all(held) if join == "inner" else any(held)):
                    return False
        if not source.tensors or self.specs(source) is None:
            return True
        return any(is_there(self.spec(source, tensor)) for tensor in source.tensors)

    def _sent_to(self, name: str) -> Specs | None:
        if name not in self._sent:
            self._sent[name] = None
            step = self._by_name[name]
            arrivals = self.arrivals(step)
            specs = tuple(one.spec for one in arrivals if one.spec is not None)
            known = len(specs) == len(arrivals) and not any(map(self.is_open, step.sources))
            self._sent[name] = specs if known else None
        return self._sent[name]
