"""Rules on what flows: outputs, joins, triggers, batches and renames."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

from .document import Path, Report
from .edges import Arrival, Edges
from .finding import did_you_mean, listed
from .order import arrange
from .reference import (
    ExternalReference,
    Reference,
    ReferenceSyntaxError,
    SourceReference,
    parse_tensor_key,
)
from .wiring import Consumer, Wire, Wiring


def check_flow(wiring: Wiring, edges: Edges, report: Report) -> None:
    """All rules of this module."""
    if wiring.output is None:
        report(
            "no-output",
            ("spec",),
            "the pipeline has no output, so its callers get an empty answer",
            "add spec.output.steps",
        )
    fed_back = _fed_back(wiring)
    for consumer in wiring.consumers:
        _check_shadowed(consumer, report)
        _check_triggers(consumer, wiring.pipeline.name, report)
        _check_any(consumer, wiring.pipeline.name, consumer.name in fed_back, edges, report)
        _check_map(consumer, edges, report)
        _check_collisions(consumer, edges, report)
    _check_batches(wiring, report)
    _check_external_map(wiring, report)


def _check_shadowed(consumer: Consumer, report: Report) -> None:
    for wires, sources in (
        (consumer.data, consumer.sources),
        (consumer.triggers, consumer.trigger_sources),
    ):
        named = {(s.source, s.port): s.tensors for s in sources if s.tensors}
        for wire in wires:
            reference = wire.reference
            tensors = named.get((reference.source, reference.port))
            if reference.tensor is None and tensors is not None:
                report(
                    "shadowed-reference",
                    wire.path,
                    f"{reference} adds nothing to {listed(tensors)}, which other references name",
                    "name every tensor that is wanted, or remove the others",
                )


def _check_triggers(consumer: Consumer, pipeline: str, report: Report) -> None:
    data = {(s.source, s.port): s for s in consumer.sources}
    joined = consumer.join == "inner" or len(data) == 1
    for trigger in consumer.trigger_sources:
        same = data.get((trigger.source, trigger.port))
        of_data = joined and same is not None and _covers(trigger, same)
        if of_data or (trigger.source == pipeline and not trigger.tensors):
            wire = next(
                wire
                for wire in consumer.triggers
                if (wire.reference.source, wire.reference.port) == (trigger.source, trigger.port)
            )
            why = "its data come from there" if of_data else "a pipeline always has inputs"
            report(
                "redundant-trigger",
                wire.path,
                f"{consumer.name} cannot fire without {wire.reference} anyway, as {why}",
                "remove the trigger, or name the tensor that is the condition",
            )


def _covers(trigger: SourceReference, data: SourceReference) -> bool:
    """Whether the trigger is there whenever the data of the same source are."""
    return not trigger.tensors or (bool(data.tensors) and set(data.tensors) <= set(trigger.tensors))


def _check_any(
    consumer: Consumer, pipeline: str, fed_back: bool, edges: Edges, report: Report
) -> None:
    for join, sources, wires in (
        (consumer.join, consumer.sources, consumer.data),
        (consumer.triggers_join, consumer.trigger_sources, consumer.triggers),
    ):
        if join != "any" or len(sources) == 1 or fed_back:
            continue
        for source in sources:
            if source.source != pipeline or (source.tensors and edges.specs(source) is None):
                continue
            if edges.always(source):
                first = next(w for w in wires if w.reference.source == pipeline)
                report(
                    "any-of-pipeline-inputs",
                    first.path,
                    f"{consumer.name} always fires with {first.reference}, which is there first; "
                    "its other sources are never used",
                    "join inner or outer, or make the other sources the only ones",
                )


def _check_map(consumer: Consumer, edges: Edges, report: Report) -> None:
    sources = {(source.source, source.port): source for source in consumer.sources}
    for key, name in consumer.tensor_map.items():
        path: Path = (*consumer.map_path, key)
        try:
            reference = parse_tensor_key(key)
        except ReferenceSyntaxError as error:
            report("tensor-map-key", path, str(error), "name one tensor of one source")
            continue
        if not name:
            report("tensor-map-value", path, f"{key} is renamed to ''", "write the new name")
        source = sources.get((reference.source, reference.port))
        if source is None:
            _report_unmatched(consumer, reference, path, report)
            continue
        specs = edges.specs(source)
        known = source.tensors or (None if specs is None else [spec.name for spec in specs])
        if known is not None and reference.tensor not in known:
            report(
                "tensor-map-unmatched",
                path,
                f"{consumer.name} gets no tensor '{reference.tensor}' from "
                f"{source.source}.{source.port}, only {listed(known)}",
                did_you_mean(str(reference.tensor), known),
            )


def _report_unmatched(consumer: Consumer, reference: Reference, path: Path, report: Report) -> None:
    keys = [f"{source.source}.{source.port}" for source in consumer.sources]
    wanted = f"{reference.source}.{reference.port}"
    if any(wire.reference.source == reference.source for wire in consumer.triggers):
        fix = "remove it: a trigger's tensors are not passed on"
    else:
        fix = did_you_mean(wanted, keys)
    report("tensor-map-unmatched", path, f"{consumer.name} gets no data from {wanted}", fix)


def _check_collisions(consumer: Consumer, edges: Edges, report: Report) -> None:
    by_name: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in edges.arrivals(consumer):
        by_name[arrival.name].append(arrival)
    for name, arrivals in by_name.items():
        for one, other in combinations(arrivals, 2):
            if not _together(consumer, one, other, edges):
                continue
            mapped = next((a for a in (other, one) if a.key in consumer.tensor_map), None)
            path = other.wire.path if mapped is None else (*consumer.map_path, mapped.key)
            report(
                "tensor-collision",
                path,
                f"{consumer.name} gets {one.key} and {other.key} both as '{name}'",
                "give them different names by tensorMap, or leave one out",
            )
            break


def _together(consumer: Consumer, one: Arrival, other: Arrival, edges: Edges) -> bool:
    """Whether the consumer can count on both tensors in one message."""
    several = one.source != other.source
    if several and consumer.join == "any":
        return False
    return edges.guaranteed(consumer, one) and edges.guaranteed(consumer, other)


def _check_batches(wiring: Wiring, report: Report) -> None:
    on_path = steps_to_output(wiring)
    for consumer in wiring.steps:
        step = consumer.step
        if step is None or step.batch is None or (step.batch.size or 0) <= 1:
            continue
        path: Path = (*consumer.path, "batch")
        if len(consumer.sources) > 1:
            report(
                "batch-several-sources",
                path,
                f"{consumer.name} batches, and has {len(consumer.sources)} sources",
                "batch a step with a single source",
            )
        if step.name in on_path:
            report(
                "batch-on-output-path",
                path,
                f"{consumer.name} gathers {step.batch.size} items before it fires, and only the "
                "caller of the last one gets an answer",
                "batch only steps off the output path (the models batch by themselves)",
            )


def steps_to_output(wiring: Wiring) -> frozenset[str]:
    """The names of the steps from which data or triggers lead to the output."""
    by_name = {consumer.step.name: consumer for consumer in wiring.steps if consumer.step}
    found: set[str] = set()
    todo: list[Wire] = list(wiring.output.data) if wiring.output is not None else []
    while todo:
        name = todo.pop().reference.source
        if name in by_name and name not in found:
            found.add(name)
            todo += (*by_name[name].data, *by_name[name].triggers)
    return frozenset(found)


def _fed_back(wiring: Wiring) -> frozenset[str]:
    """The consumers that an allowed cycle fires again."""
    allowed = bool(wiring.pipeline.spec.allow_cycles)
    feedback = arrange(wiring.dependencies(), allowed).feedback
    return frozenset(wiring.steps[position].name for position, _ in feedback)


def _check_external_map(wiring: Wiring, report: Report) -> None:
    source = wiring.pipeline.spec.input
    for key in source.tensor_map if source is not None else ():
        try:
            named = ExternalReference.parse(key).tensor is not None
        except ReferenceSyntaxError:
            named = False
        if not named:
            report(
                "tensor-map-key",
                ("spec", "input", "tensorMap", key),
                f"{key!r} names no tensor of another pipeline",
                "write <pipeline>.outputs.<tensor>",
            )
