"""`Wiring`: who reads what in a pipeline, as written, for the lint.

The executor's own view, with positions instead of names, is `infergraph.graph.plan`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .document import Path, Report
from .finding import did_you_mean
from .order import Dependency
from .reference import Reference, ReferenceSyntaxError, SourceReference, group
from .resource import JoinType, Pipeline, Step


@dataclass(frozen=True, slots=True)
class Wire:
    """One reference, and where it stands."""

    reference: Reference
    path: Path


@dataclass(frozen=True, slots=True)
class Consumer:
    """A step or the output, with what it reads.

    Attributes:
        name: How messages call it: ``step 'x'`` or ``the output``.
        step: The step, or None for the output.
        path: Where it stands.
        data: What is passed on to it. A step without `inputs` reads the pipeline's inputs.
        triggers: What must be there as well.
        join: How several sources of data are joined.
        triggers_join: How several sources of triggers are joined.
        tensor_map: Renames, by reference.
        implicit: Whether the data are the pipeline's inputs for want of `inputs`.
    """

    name: str
    step: Step | None
    path: Path
    data: tuple[Wire, ...]
    triggers: tuple[Wire, ...]
    join: JoinType
    triggers_join: JoinType
    tensor_map: Mapping[str, str]
    implicit: bool = False

    @property
    def sources(self) -> tuple[SourceReference, ...]:
        return group(wire.reference for wire in self.data)

    @property
    def trigger_sources(self) -> tuple[SourceReference, ...]:
        return group(wire.reference for wire in self.triggers)

    @property
    def map_path(self) -> Path:
        return (*self.path, "tensorMap")

    def wire_of(self, source: SourceReference, tensor: str | None = None) -> Wire:
        """The wire that brings a source's tensor; the source's first wire where none names it."""
        of_source = [
            wire
            for wire in (*self.data, *self.triggers)
            if (wire.reference.source, wire.reference.port) == (source.source, source.port)
        ]
        return next((wire for wire in of_source if wire.reference.tensor == tensor), of_source[0])


@dataclass(frozen=True, slots=True)
class Wiring:
    """All consumers of a pipeline: its steps in file order, and its output when it has one."""

    pipeline: Pipeline
    steps: tuple[Consumer, ...]
    output: Consumer | None

    @property
    def consumers(self) -> tuple[Consumer, ...]:
        return self.steps if self.output is None else (*self.steps, self.output)

    def position(self, name: str) -> int:
        """A step's position, or -1 for the pipeline itself."""
        return next((i for i, one in enumerate(self.pipeline.spec.steps) if one.name == name), -1)

    def dependencies(self) -> list[list[Dependency]]:
        """Each step's dependencies."""
        return [
            [
                Dependency(self.position(source.source), join, kind == "any")
                for join, kind, sources in (
                    (0, step.join, step.sources),
                    (1, step.triggers_join, step.trigger_sources),
                )
                for source in sources
            ]
            for step in self.steps
        ]


def wire(pipeline: Pipeline, report: Report) -> Wiring:
    """Parses every reference of a pipeline; those that name nothing are reported and left out."""
    spec = pipeline.spec
    known = {step.name for step in spec.steps} | {pipeline.name}

    def wires(texts: Iterable[str], path: Path, is_trigger: bool = False) -> tuple[Wire, ...]:
        found: list[Wire] = []
        for position, text in enumerate(texts):
            at = (*path, position)
            try:
                reference = Reference.parse(text, pipeline.name)
            except ReferenceSyntaxError as error:
                rule = "empty-reference" if error.empty else "malformed-reference"
                report(rule, at, str(error), "name a step, or one of its tensors")
                continue
            if reference.source not in known:
                report(
                    "unknown-trigger-step" if is_trigger else "unknown-step",
                    at,
                    f"{text}: this pipeline has no step '{reference.source}'",
                    did_you_mean(reference.source, sorted(known)),
                )
                continue
            if any(wire.reference == reference for wire in found):
                report("duplicate-reference", at, f"{reference} stands twice", "remove one")
            found.append(Wire(reference, at))
        return tuple(found)

    steps = []
    for position, step in enumerate(spec.steps):
        path: Path = ("spec", "steps", position)
        whole = Wire(Reference(pipeline.name, "inputs"), (*path, "name"))
        steps.append(
            Consumer(
                f"step '{step.name}'",
                step,
                path,
                wires(step.inputs, (*path, "inputs")) if step.inputs else (whole,),
                wires(step.triggers, (*path, "triggers"), is_trigger=True),
                step.inputs_join_type,
                step.triggers_join_type,
                step.tensor_map,
                implicit=not step.inputs,
            )
        )
    output = None
    if spec.output is not None:
        path = ("spec", "output")
        output = Consumer(
            "the output",
            None,
            path,
            wires(spec.output.steps, (*path, "steps")),
            (),
            spec.output.steps_join,
            "inner",
            spec.output.tensor_map,
        )
    return Wiring(pipeline, tuple(steps), output)
