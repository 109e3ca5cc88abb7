"""Rules on edges against declared tensors; they need a catalog of the models."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..declaration import ModelDeclaration
from ..tensors import TensorSpec
from ..tensors.partial import ITEM_SUFFIX
from .document import Path, Report
from .edges import Arrival, Edges
from .finding import did_you_mean, listed
from .wiring import Consumer, Wiring


def check_tensors(wiring: Wiring, edges: Edges, models: Collection[str], report: Report) -> None:
    """All rules of this module; `models` are the names that a step may have."""
    for consumer in wiring.consumers:
        _check_wires(consumer, edges, report)
    for consumer in wiring.steps:
        name = consumer.step.name if consumer.step is not None else ""
        declaration = edges.declaration(name)
        if declaration is None:
            report(
                "unknown-model",
                (*consumer.path, "name"),
                f"there is no model '{name}'",
                did_you_mean(name, models),
            )
        elif declaration.inputs:
            _check_inputs(consumer, declaration, edges, wiring.pipeline.per_item, report)
    own = edges.declaration(wiring.pipeline.name)
    if own is not None and own.inputs:
        _check_unused(wiring, own, report)
    if wiring.output is not None:
        if own is not None and own.outputs:
            _check_outputs(wiring.output, own, edges, wiring.pipeline.per_item, report)
        _check_possible(wiring.output, edges, report)


def _check_wires(consumer: Consumer, edges: Edges, report: Report) -> None:
    for wires, sources in (
        (consumer.data, consumer.sources),
        (consumer.triggers, consumer.trigger_sources),
    ):
        by_key = {(source.source, source.port): source for source in sources}
        for wire in wires:
            reference = wire.reference
            specs = edges.specs(by_key[reference.source, reference.port])
            if reference.tensor is None or specs is None:
                continue
            names = [spec.name for spec in specs]
            if reference.tensor not in names:
                report(
                    "unknown-tensor",
                    wire.path,
                    f"{reference.source} has no {reference.port[:-1]} tensor '{reference.tensor}'",
                    did_you_mean(reference.tensor, names),
                )


def _check_inputs(
    consumer: Consumer,
    declaration: ModelDeclaration,
    edges: Edges,
    per_item: bool,
    report: Report,
) -> None:
    where: Path = (*consumer.path, "name")
    for arrivals, complete in _messages(consumer, edges):
        names = {arrival.name for arrival in arrivals}
        for spec in declaration.inputs:
            if spec.optional:
                continue
            if spec.name in names:
                _check_condition(consumer, spec, arrivals, edges, report)
            elif complete:
                report(
                    "missing-input",
                    where,
                    f"{consumer.name} needs {spec}, and gets {listed(sorted(names)) or 'nothing'}",
                    f"add a reference that brings '{spec.name}', or rename one to it by tensorMap",
                )
    _check_undeclared(consumer, declaration.inputs, edges, "undeclared-input", report)
    _check_fit(consumer, declaration.inputs, edges, per_item, report)


def _messages(consumer: Consumer, edges: Edges) -> list[tuple[list[Arrival], bool]]:
    """What the consumer may be sent at once: the arrivals, and whether these are all."""
    sources = consumer.sources
    if consumer.join == "any":
        return [(edges.arrivals_of(consumer, s), not edges.is_open(s)) for s in sources]
    return [(edges.arrivals(consumer), not any(map(edges.is_open, sources)))]


def _check_condition(
    consumer: Consumer,
    spec: TensorSpec,
    arrivals: Sequence[Arrival],
    edges: Edges,
    report: Report,
) -> None:
    of_name = [arrival for arrival in arrivals if arrival.name == spec.name]
    # Of several under one name, one may stand in for the other.
    if len(of_name) > 1 or len(of_name) == len(arrivals):
        return
    if not edges.guaranteed(consumer, of_name[0]):
        report(
            "conditional-input",
            of_name[0].wire.path,
            f"{consumer.name} needs '{spec.name}', and also fires when {of_name[0].key} is absent",
            f"add triggers: [{of_name[0].key}]",
        )


def _check_undeclared(
    consumer: Consumer,
    declared: Sequence[TensorSpec],
    edges: Edges,
    rule: str,
    report: Report,
    also: Collection[str] = (),
) -> None:
    names = {spec.name for spec in declared} | set(also)
    for source in consumer.sources:
        arrivals = edges.arrivals_of(consumer, source)
        # A name that the source does not have is reported as such.
        extra = [a for a in arrivals if a.name not in names and a.spec is not None]
        if not extra:
            continue
        taken = [arrival.key for arrival in arrivals if arrival.name in names]
        accepted = ", ".join(str(spec) for spec in declared)
        plain = not source.tensors
        for group in [extra] if plain else [[arrival] for arrival in extra]:
            where = group[0].wire.path
            what = f"all of {source.source}.{source.port}, with" if plain else group[0].key + " as"
            if plain and taken:
                fix = f"name the tensors: {', '.join(taken)}"
            else:
                fix = f"rename it by tensorMap ({group[0].key}: ...), or name other tensors"
            report(
                rule,
                where,
                f"{consumer.name} gets {what} {listed(a.name for a in group)}, "
                f"which it does not declare; declared: {accepted}",
                fix,
            )


def _check_fit(
    consumer: Consumer,
    declared: Sequence[TensorSpec],
    edges: Edges,
    per_item: bool,
    report: Report,
) -> None:
    by_name = {spec.name: spec for spec in declared}
    for arrival in edges.arrivals(consumer):
        wanted, given = by_name.get(arrival.name), arrival.spec
        if wanted is None or given is None:
            continue
        path = arrival.wire.path
        if not wanted.accepts_datatype(given.datatype):
            report(
                "datatype-mismatch",
                path,
                f"{arrival.key} is {given.datatype}, and {consumer.name} declares {wanted}",
                f"name a tensor of datatype {wanted.datatype}, or put a step between that converts",
            )
        if not wanted.accepts_shape(_item_shape(given.shape) if per_item else given.shape):
            report(
                "shape-mismatch",
                path,
                f"{arrival.key} has shape {list(given.shape)}, "
                f"and {consumer.name} declares {wanted}",
                f"name a tensor of shape {list(wanted.shape)}, where -1 is any size",
            )


def _item_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape whose batch dimension the router cuts into single items."""
    return (-1, *shape[1:]) if shape else shape


def _check_outputs(
    output: Consumer, own: ModelDeclaration, edges: Edges, per_item: bool, report: Report
) -> None:
    also: list[str] = []
    for arrivals, complete in _messages(output, edges):
        names = {arrival.name for arrival in arrivals}
        if per_item:
            also += [name + ITEM_SUFFIX for name in names]
        for spec in own.outputs:
            if complete and not spec.optional and spec.name not in names and spec.name not in also:
                report(
                    "missing-output",
                    (*output.path, "steps"),
                    f"{own.name} declares {spec}, and can answer with only {listed(sorted(names))}",
                    f"add a reference that brings '{spec.name}', rename one to it by tensorMap, "
                    "or list it in optional_outputs",
                )
    _check_undeclared(output, own.outputs, edges, "undeclared-output", report, also)
    _check_fit(output, own.outputs, edges, per_item, report)


def _check_unused(wiring: Wiring, own: ModelDeclaration, report: Report) -> None:
    read: set[str] = set()
    for consumer in wiring.consumers:
        for source in (*consumer.sources, *consumer.trigger_sources):
            if source.source == wiring.pipeline.name:
                if not source.tensors:
                    return
                read.update(source.tensors)
    for spec in own.inputs:
        if not spec.optional and spec.name not in read:
            report(
                "unused-pipeline-input",
                ("spec", "steps"),
                f"callers must send {spec}, and no step reads it",
                f"add {wiring.pipeline.name}.inputs.{spec.name} to a step's inputs, or do not "
                "declare it",
            )


def _check_possible(output: Consumer, edges: Edges, report: Report) -> None:
    possible = [edges.possible(source) for source in output.sources]
    if not (all(possible) if output.join == "inner" else any(possible)):
        report(
            "nothing-can-fire",
            (*output.path, "steps"),
            "no answer can ever come about: a tensor that the output waits for never exists",
            "refer to tensors that the models declare",
        )
