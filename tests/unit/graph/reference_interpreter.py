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


def interpret(
    steps: Mapping[str, Node],
    output: Node,
    request: Tensors,
    models: Mapping[str, Model],
    durations: Mapping[str, int],
) -> Outcome:
    """Interprets a graph without cycles whose steps are given in an order that they can run in."""
    # By (source, port): when it is there, and with what; nothing where it is absent.
    there: dict[tuple[str, str], tuple[int, Tensors]] = {("p", "inputs"): (0, request)}
    sent: dict[str, Tensors] = {}
    for name, step in steps.items():
        fired = _joined(step.inputs, step.join, step.renames, there)
        if step.triggers:
            trigger = _joined(step.triggers, step.triggers_join, {}, there)
            fired = None if fired is None or trigger is None else (max(fired[0], trigger[0]), fired[1])
        if fired is None:
            continue
        at, tensors = fired
        sent[name] = tensors
        there[name, "inputs"] = fired
        there[name, "outputs"] = (at + durations[name], models[name](tensors))
    answer = _joined(output.inputs, output.join, output.renames, there)
    return Outcome(None if answer is None else answer[1], sent)


def _joined(
    references: list[tuple[str, str, str | None]],
    join: str,
    renames: Mapping[tuple[str, str, str], str],
    there: Mapping[tuple[str, str], tuple[int, Tensors]],
) -> tuple[int, Tensors] | None:
    sources = list(dict.fromkeys((source, port) for source, port, _ in references))
    arrived = []
    for source, port in sources:
        wanted = {t for s, p, t in references if (s, p) == (source, port) and t is not None}
        if (source, port) not in there:
            continue
        at, tensors = there[source, port]
        kept = [(name, value) for name, value in tensors if not wanted or name in wanted]
        if wanted and not kept:
            continue
        renamed = [(renames.get((source, port, name), name), value) for name, value in kept]
        arrived.append((at, renamed))
    if join == "any" and arrived:
        first = min(at for at, _ in arrived)
        return next(one for one in arrived if one[0] == first)
    if not arrived or (join == "inner" and len(arrived) < len(sources)):
        return None
    return max(at for at, _ in arrived), [tensor for _, some in arrived for tensor in some]
