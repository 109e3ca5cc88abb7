"""A second, naive reading of the semantics, to compare the executor with.

It knows no tasks and cancels nothing: every step gets the time at which it would answer, and joins
are decided by comparing times. It shares no code with the package but the data types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Tensors = list[tuple[str, float]]
"""A message as names and values."""

Model = Callable[[Tensors], Tensors]


@dataclass
class Node:
    """A step, or the output: references as (source, port, tensor or None)."""

    inputs: list[tuple[str, str, str | None]]
    join: str = "inner"
    triggers: list[tuple[str, str, str | None]] = field(default_factory=list)
    triggers_join: str = "inner"
    renames: dict[tuple[str, str, str], str] = field(default_factory=dict)


@dataclass
class Outcome:
    """The answer, or None; and what each step that fires was sent."""

    answer: Tensors | None
    sent: dict[str, Tensors]


class Ambiguous(Exception):
    """Two sources of an `any` arrive at the same time, so either may win."""


Settled = tuple[int, Tensors | None]
"""When it is known what a source brings, and what; None if it is absent."""


def interpret(
    steps: Mapping[str, Node],
    output: Node,
    request: Tensors,
    models: Mapping[str, Model],
    durations: Mapping[str, int],
) -> Outcome:
    """Interprets a graph without cycles whose steps are given in an order that they can run in."""
    settled: dict[tuple[str, str], Settled] = {("p", "inputs"): (0, request)}
    sent: dict[str, Tensors] = {}
    for name, step in steps.items():
        at, tensors = _joined(step.inputs, step.join, step.renames, settled)
        if step.triggers:
            trigger_at, trigger = _joined(step.triggers, step.triggers_join, {}, settled)
            failures = [t for t, it in ((at, tensors), (trigger_at, trigger)) if it is None]
            at = min(failures) if failures else max(at, trigger_at)
            tensors = None if failures else tensors
        settled[name, "inputs"] = settled[name, "outputs"] = (at, None)
        if tensors is not None:
            sent[name] = tensors
            settled[name, "inputs"] = (at, tensors)
            settled[name, "outputs"] = (at + durations[name], models[name](tensors))
    return Outcome(_joined(output.inputs, output.join, output.renames, settled)[1], sent)


def _joined(
    references: list[tuple[str, str, str | None]],
    join: str,
    renames: Mapping[tuple[str, str, str], str],
    settled: Mapping[tuple[str, str], Settled],
) -> Settled:
    arrived, absent = [], []
    for source, port in dict.fromkeys((source, port) for source, port, _ in references):
        wanted = {t for s, p, t in references if (s, p) == (source, port) and t is not None}
        at, tensors = settled[source, port]
        kept = [one for one in tensors or [] if not wanted or one[0] in wanted]
        if tensors is None or (wanted and not kept):
            absent.append(at)
        else:
            renamed = [(renames.get((source, port, name), name), value) for name, value in kept]
            arrived.append((at, renamed))
    if join == "any" and arrived:
        first = min(at for at, _ in arrived)
        winners = [one for one in arrived if one[0] == first]
        if len(winners) > 1:
            raise Ambiguous
        return winners[0]
    if join == "inner" and absent:
        return min(absent), None
    decided = max([*absent, *(at for at, _ in arrived)])
    return decided, [tensor for _, some in arrived for tensor in some] if arrived else None
