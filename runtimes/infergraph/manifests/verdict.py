"""`Verdict`: whether a target runs a pipeline as it does here, computed from its graph.

Kubernetes and Compose run our router, which holds every pipeline. Seldon Core executes the graph
itself, and there are graphs that it answers otherwise than the router, late, or never.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from ..declaration import ModelDeclaration
from ..graph import Pipeline
from ..graph.edges import Edges
from ..graph.wiring import Wiring, wire
from .inference_graph import NoGraphError, plan_graph
from .targets import Target

CYCLES_SINCE = (2, 7)
CLEANING_SINCE = (2, 9, 1)
_PER_ITEM = (
    "it holds its conditions per item, which Seldon does not: of a batch, the branch of one item "
    "would answer for all"
)


class How(Enum):
    """What it takes to run a pipeline on a target."""

    UNCHANGED = "unchanged"
    ONE_ITEM = "one item a request"
    ROUTER = "our router"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a target runs a pipeline.

    Attributes:
        how: What it takes.
        reasons: Why it is not `UNCHANGED`; for `UNCHANGED` what executes the graph.
        remarks: What is different all the same, and does not show in answers.
    """

    how: How
    reasons: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def verdict(
    pipeline: Pipeline,
    catalog: Mapping[str, ModelDeclaration],
    target: Target,
    version: tuple[int, ...],
) -> Verdict:
    """How a target runs a pipeline.

    Args:
        pipeline: A pipeline that passes the lint.
        catalog: The models, and the pipeline's own declaration, by name.
        target: The target.
        version: The version of Seldon Core 2, where that is the target.
    """
    wiring = wire(pipeline, lambda *_: None)
    edges = Edges(wiring, catalog)
    if target == "seldon-v2":
        return _seldon_v2(wiring, edges, version)
    if target == "seldon-v1":
        return _seldon_v1(pipeline, catalog)
    return Verdict(How.UNCHANGED, ("our router executes it",))


def _seldon_v2(wiring: Wiring, edges: Edges, version: tuple[int, ...]) -> Verdict:
    remarks = tuple(_remarks(wiring, edges))
    blocking = tuple(_obstacles(wiring, edges, version))
    if blocking:
        return Verdict(How.ROUTER, blocking, remarks)
    if wiring.pipeline.per_item:
        return Verdict(How.ONE_ITEM, (_PER_ITEM,), remarks)
    return Verdict(How.UNCHANGED, ("Seldon's dataflow engine executes it",), remarks)


def _seldon_v1(pipeline: Pipeline, catalog: Mapping[str, ModelDeclaration]) -> Verdict:
    try:
        graph = plan_graph(pipeline, catalog)
    except NoGraphError as error:
        return Verdict(How.ROUTER, error.reasons)
    remarks = ["a time-out counts anew at each node: give callers one"]
    if graph.is_chain:
        remarks.append("over gRPC as typed contents: its executor loses raw ones between nodes")
    else:
        remarks.append("over REST alone: its executor takes only chains over gRPC")
    if pipeline.per_item:
        return Verdict(How.ONE_ITEM, (graph.described(), _PER_ITEM), tuple(remarks))
    return Verdict(How.UNCHANGED, (graph.described(),), tuple(remarks))


def _obstacles(wiring: Wiring, edges: Edges, version: tuple[int, ...]) -> Iterator[str]:
    for consumer in wiring.consumers:
        for kind, sources in (
            (consumer.join, consumer.sources),
            (consumer.triggers_join, consumer.trigger_sources),
        ):
            if len(sources) < 2:
                continue
            sure = [source for source in sources if edges.always(source)]
            if kind == "outer" and len(sure) < len(sources):
                silent = next(each.source for each in sources if each not in sure)
                yield (
                    f"{consumer.name} is an outer join, and '{silent}' may be silent: Seldon "
                    "answers a minute late then, and only once another request comes"
                )
            if kind == "any" and len(sure) > 1:
                yield (
                    f"{consumer.name} takes any of '{sure[0].source}' and '{sure[1].source}', "
                    "which both always come: Seldon fires it for each of them"
                )
    for step in wiring.pipeline.spec.steps:
        declaration = edges.declaration(step.name)
        if declaration is not None and declaration.pipeline is not None:
            yield f"step '{step.name}' is a pipeline, and Seldon's steps are Models"
        if step.batch is not None and (step.batch.size or 0) > 1 and _is_awaited(wiring, step.name):
            yield f"step '{step.name}' gathers a batch, and Seldon answers its last caller only"
    spec = wiring.pipeline.spec
    if (spec.allow_cycles or spec.max_step_revisits is not None) and version < CYCLES_SINCE:
        yield "it has cycles, which Seldon Core holds from 2.7 on"
    if spec.dataflow is not None and version < CLEANING_SINCE:
        yield "its field 'dataflow' exists from Seldon Core 2.9.1 on"


def _is_awaited(wiring: Wiring, step: str) -> bool:
    """Whether the output reads a step, directly or through others."""
    waiting = [] if wiring.output is None else [wiring.output]
    by_name = {each.step.name: each for each in wiring.steps if each.step is not None}
    seen = set()
    for consumer in waiting:
        for source in (*consumer.sources, *consumer.trigger_sources):
            if source.source in by_name and source.source not in seen:
                seen.add(source.source)
                waiting.append(by_name[source.source])
    return step in seen


def _remarks(wiring: Wiring, edges: Edges) -> Iterator[str]:
    output = wiring.output
    if output is not None and not all(edges.always(source) for source in output.sources):
        yield "a request for which no branch answers waits for ever: give callers a time-out"
    if wiring.pipeline.timeout_ms is not None:
        yield "its time-out means nothing to Seldon, which has none: give callers one"
