"""`explain`: why nothing reached a pipeline's output, in words for the caller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..v2 import Message
from .accumulator import Accumulator
from .plan import PIPELINE_INPUTS, Consumer, Join, Plan, Source

_MAX_REASONS = 8


def explain(
    plan: Plan, values: Mapping[int, Message | None], accumulators: Mapping[int, Accumulator]
) -> str:
    """Follows the output's sources back to the tensors that were absent.

    Args:
        plan: The plan that was executed.
        values: The message of each settled slot; None in place of an absent one.
        accumulators: Those of the batching steps, by position.
    """
    if plan.output is None:
        return f"pipeline '{plan.name}' has no output"
    reasons: list[str] = []
    explained: set[int] = set()
    todo = [plan.output]
    for consumer in todo:
        for source in _absent(consumer, values):
            message = values.get(source.slot)
            if message is not None:
                reasons.append(_lacks(source, message))
                continue
            step = plan.steps[(source.slot - 1) // 2]
            if step.index in explained:
                continue
            explained.add(step.index)
            reasons.append(_did_not_fire(step, values, accumulators.get(step.index)))
            todo.append(step)
    shown = list(dict.fromkeys(reasons))
    if len(shown) > _MAX_REASONS:
        shown[_MAX_REASONS:] = [f"and {len(shown) - _MAX_REASONS} more reasons"]
    wanted = _joined(plan.output.data)
    why = "; ".join(shown) or "no step can fire any more"
    return f"pipeline '{plan.name}': nothing reached the output, which takes {wanted}: {why}"


def _absent(consumer: Consumer, values: Mapping[int, Message | None]) -> Iterator[Source]:
    for join in (consumer.data, consumer.triggers):
        absent = [source for source in join.sources if _is_absent(source, values)]
        if join.kind == "inner" or len(absent) == len(join.sources):
            yield from absent


def _is_absent(source: Source, values: Mapping[int, Message | None]) -> bool:
    if source.slot not in values:
        return False
    message = values[source.slot]
    return message is None or source.take(message) is None


def _did_not_fire(
    step: Consumer, values: Mapping[int, Message | None], accumulator: Accumulator | None
) -> str:
    absent = list(_absent(step, values))
    if absent:
        kinds = {True: "its data", False: "its triggers"}
        parts = [
            f"{kinds[join is step.data]} take {_joined(join)}"
            for join in (step.data, step.triggers)
            if any(source in absent for source in join.sources)
        ]
        return f"step '{step.name}' did not fire: {' and '.join(parts)}"
    if accumulator is not None:
        return (
            f"step '{step.name}' did not fire: it gathers batches of {accumulator.size} and has "
            f"{accumulator.gathered()}"
        )
    return f"step '{step.name}' did not fire"


def _lacks(source: Source, message: Message) -> str:
    names = ", ".join(f"'{name}'" for name in message.names()) or "no tensors"
    wanted = " or ".join(f"'{tensor}'" for tensor in source.tensors)
    if source.slot == PIPELINE_INPUTS:
        return f"the request brought {names}, not {wanted}"
    verb = "answered with" if source.port == "outputs" else "was sent"
    return f"step '{source.name}' {verb} {names}, not {wanted}"


def _joined(join: Join) -> str:
    sources = " and ".join(str(source) for source in join.sources)
    return sources if len(join.sources) == 1 else f"{join.kind} of {sources}"
