"""`Drawing`: what every picture of a pipeline shows, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..declaration import ModelDeclaration
from .plan import PIPELINE_INPUTS, Consumer, Join, Plan, Source


@dataclass(frozen=True, slots=True)
class Node:
    """A box.

    Attributes:
        kind: What it stands for.
        title: The step's name, or ``inputs`` or ``output``.
        notes: How several sources are joined, and the like; one short line each.
    """

    kind: Literal["inputs", "step", "output"]
    title: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrow:
    """An edge between two nodes, given by their positions.

    Attributes:
        source: Where the tensors come from.
        target: Who takes them.
        tensors: What each is called; ``a → b`` when it is renamed, ``a?`` when it is there only
            sometimes. Empty when all of the source's tensors are taken and nobody knows which.
        is_trigger: Whether the tensors only have to be there, and are not passed on.
        feeds_back: Whether it closes an allowed cycle.
    """

    source: int
    target: int
    tensors: tuple[str, ...]
    is_trigger: bool = False
    feeds_back: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """The words of the label, which may stand on lines of their own."""
        if not self.is_trigger:
            return self.tensors
        first, *rest = self.tensors or ("done",)
        return (f"when {first}", *rest)

    @property
    def label(self) -> str:
        return ", ".join(self.parts)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A pipeline as nodes and arrows.

    Attributes:
        title: The pipeline's name.
        notes: What holds for all of it.
        nodes: The inputs, the steps in file order, and the output when there is one.
        arrows: By target; those of data before those of triggers.
        order: The steps' nodes in an order in which they can run.
    """

    title: str
    notes: tuple[str, ...]
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]
    order: tuple[int, ...]


def draw(plan: Plan, catalog: Mapping[str, ModelDeclaration] | None = None) -> Drawing:
    """Makes a drawing; a catalog tells the tensors that no edge names, and the conditional ones."""
    consumers = plan.steps if plan.output is None else (*plan.steps, plan.output)
    nodes = [Node("inputs", "inputs")]
    arrows: list[Arrow] = []
    fed_back = {(edge.consumer.index, edge.join, edge.position) for edge in plan.feedback}
    conditions = _conditions(plan)
    for consumer in consumers:
        kind: Literal["step", "output"] = "output" if consumer is plan.output else "step"
        nodes.append(Node(kind, consumer.name, _notes(consumer)))
        for number, join in enumerate((consumer.data, consumer.triggers)):
            for position, source in enumerate(join.sources):
                arrows.append(
                    Arrow(
                        0 if source.slot == PIPELINE_INPUTS else (source.slot + 1) // 2,
                        consumer.index + 1,
                        _tensors(plan, source, conditions, catalog or {}),
                        is_trigger=number == 1,
                        feeds_back=(consumer.index, number, position) in fed_back,
                    )
                )
    return Drawing(
        plan.name,
        ("per item",) if plan.per_item else (),
        tuple(nodes),
        tuple(arrows),
        tuple(index + 1 for index in plan.order),
    )


def _notes(consumer: Consumer) -> tuple[str, ...]:
    notes = [
        f"{join.kind} of {len(join.sources)} {what}"
        for join, what in ((consumer.data, "sources"), (consumer.triggers, "triggers"))
        if len(join.sources) > 1 and join.kind != "inner"
    ]
    if consumer.batch_size > 1:
        notes.append(f"gathers {consumer.batch_size} items")
    return tuple(notes)


def _conditions(plan: Plan) -> frozenset[tuple[int, str]]:
    """Tensors that some trigger waits for, by slot and name: their absence must be foreseen."""
    joins: list[Join] = [step.triggers for step in plan.steps]
    return frozenset(
        (source.slot, tensor)
        for join in joins
        for source in join.sources
        for tensor in source.tensors
    )


def _tensors(
    plan: Plan,
    source: Source,
    conditions: frozenset[tuple[int, str]],
    catalog: Mapping[str, ModelDeclaration],
) -> tuple[str, ...]:
    is_output = source.port == "outputs"
    declaration = catalog.get(source.name)
    optional: dict[str, bool] = {}
    if declaration is not None:
        declared = declaration.outputs if is_output else declaration.inputs
        optional = {spec.name: spec.optional for spec in declared}
    names = source.tensors or tuple(optional)
    # What a step was sent is told apart from what it answered.
    prefix = "inputs." if not is_output and source.slot != PIPELINE_INPUTS else ""
    shown = []
    for name in names:
        conditional = optional.get(name, (source.slot, name) in conditions)
        new = (source.renames or {}).get(name)
        mark = "?" if conditional else ""
        shown.append(f"{prefix}{name}{mark}" + (f" → {new}" if new else ""))
    if not shown and prefix:
        shown.append("inputs")
    return tuple(shown)
