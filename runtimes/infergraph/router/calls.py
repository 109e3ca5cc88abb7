"""`StepCalls`: the calls that one request makes to the models of a pipeline's steps."""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from .. import registry
from ..errors import InfergraphError, InvalidInput, Overloaded, StageFailure, StageUnavailable
from ..metrics import StepMetrics
from ..registry import IN_PROCESS
from ..request import RequestContext
from ..spans import Spans
from ..tensors.partial import first_failure, has_failed_items
from ..transports import Transport
from ..v2 import Message, Parameter
from .routes import Routes, place

logger = logging.getLogger(__name__)

_MODEL_COSTS = ("queue_us", "compute_us", "batch_size")

Emit = Callable[[Message], Awaitable[None]]
"""Takes a part of a step's answer."""


class StepCalls:
    """Calls steps, times them, and says in each error where it happened.

    Args:
        pipeline: Its name.
        routes: The ways to the steps' models.
        metrics: Told of every call.
        spans: OpenTelemetry's, when configured.
        trace: Whether to note what each call cost.
        parameters: Step -> request parameters that are meant for it alone.
        emit: Step -> what takes the parts of its answer as they come, if its model answers so.

    Attributes:
        running: The steps whose calls have not ended, each by an object that stands for its call.
    """

    __slots__ = (
        "_emit",
        "_has_emitted",
        "_metrics",
        "_parameters",
        "_pipeline",
        "_routes",
        "_spans",
        "_started",
        "_trace",
        "running",
    )

    def __init__(
        self,
        pipeline: str,
        routes: Routes,
        metrics: StepMetrics,
        spans: Spans | None,
        trace: bool,
        parameters: Mapping[str, Mapping[str, Parameter]],
        emit: Mapping[str, Emit],
    ) -> None:
        self._pipeline = pipeline
        self._routes = routes
        self._metrics = metrics
        self._spans = spans
        self._parameters = parameters
        self._emit = emit
        self._has_emitted = False
        self._trace: list[dict[str, Any]] | None = [] if trace else None
        self._started = time.perf_counter()
        self.running: dict[object, str] = {}

    async def infer(
        self, step: str, message: Message, context: RequestContext, item: int | None
    ) -> Message:
        """The answer of a step's model; the last part of it where it comes in parts.

        Raises:
            InfergraphError: of the class that the transport raised; its text names pipeline, step
                and endpoint. StageFailure stands for anything unexpected.
        """
        transport = self._routes.transport(step)
        if step in self._parameters:
            message = replace(message, parameters={**message.parameters, **self._parameters[step]})
        call = object()
        self.running[call] = step
        started = time.perf_counter()
        try:
            if self._spans is None:
                answer = await self._answer(step, transport, message, context)
            else:
                with self._spans.step(step, transport.kind, transport.endpoint, context) as inner:
                    answer = await self._answer(step, transport, message, inner)
            if has_failed_items(answer):
                # A pipeline per item, whose rows no longer stand beside those of other steps.
                raise first_failure(answer)
        except InfergraphError as error:
            self._metrics.failed(step)
            raise error.prefixed(self._where(step, transport)) from error
        except Exception as error:
            self._metrics.failed(step)
            where = self._where(step, transport)
            logger.exception("%s failed", where)
            raise StageFailure.unexpected(where, error) from None
        finally:
            del self.running[call]
        seconds = time.perf_counter() - started
        self._metrics.observe(step, seconds)
        if self._trace is not None:
            self._trace.append(self._cost(step, transport, started, seconds, item, answer.trace))
        return answer

    async def _answer(
        self, step: str, transport: Transport, message: Message, context: RequestContext
    ) -> Message:
        called = registry.find(step) if transport.kind == IN_PROCESS else None
        try:
            return await self._call(step, transport, message, context)
        except (Overloaded, StageUnavailable):
            newest = registry.find(step)
            if called is None or newest is None or newest is called or self._has_emitted:
                raise
        # The model was loaded anew, and the one that was called gives up what waits for it.
        return await self._call(step, transport, message, context)

    async def _call(
        self, step: str, transport: Transport, message: Message, context: RequestContext
    ) -> Message:
        emit = self._emit.get(step)
        streams = None if emit is None else self._routes.streams(step)
        if emit is None or streams is None:
            return await transport.infer(step, message, context)
        part = Message([])
        async with aclosing(streams(message, context)) as parts:
            async for part in parts:
                self._has_emitted = True
                await emit(part)
        return part

    def trace(self) -> dict[str, Any] | None:
        """What the request has cost, its steps in the order they started; None unless asked for."""
        if self._trace is None:
            return None
        return {
            "pipeline": self._pipeline,
            "duration_us": round((time.perf_counter() - self._started) * 1e6),
            "steps": sorted(self._trace, key=lambda cost: cost["start_us"]),
        }

    def _where(self, step: str, transport: Transport) -> str:
        return f"pipeline '{self._pipeline}', step '{step}' ({place(transport)})"

    def _cost(
        self,
        step: str,
        transport: Transport,
        started: float,
        seconds: float,
        item: int | None,
        trace: dict[str, Any] | None,
    ) -> dict[str, Any]:
        trace = trace or {}
        cost: dict[str, Any] = {
            "name": step,
            "model": trace.get("model", step),
            "transport": transport.kind,
            "start_us": round((started - self._started) * 1e6),
            "duration_us": round(seconds * 1e6),
        }
        cost.update((name, trace[name]) for name in _MODEL_COSTS if name in trace)
        if item is not None:
            cost["item"] = item
        if "steps" in trace:
            cost["steps"] = trace["steps"]
        return cost


def divide_parameters(
    parameters: Mapping[str, Parameter], steps: Collection[str]
) -> tuple[dict[str, Parameter], dict[str, dict[str, Parameter]]]:
    """A request's parameters without a step, and those of each step under their own names.

    A parameter is meant for one step by its name, `<step>.<parameter>`.

    Those without a step go where the pipeline's inputs go, as in Seldon. A step that is a pipeline
    divides what is left: `inner.summarization.num_beams`.

    Raises:
        InvalidInput: a parameter names a step that the pipeline does not have.
    """
    plain: dict[str, Any] = {}
    of_steps: dict[str, dict[str, Any]] = {}
    for name, value in parameters.items():
        step, dot, own = name.partition(".")
        if not dot:
            plain[name] = value
        elif step in steps:
            of_steps.setdefault(step, {})[own] = value
        else:
            close = difflib.get_close_matches(step, steps, n=1)
            hint = f"did you mean '{close[0]}.{own}'? " if close else ""
            raise InvalidInput(
                f"parameter '{name}': no step '{step}'; {hint}accepted steps: {', '.join(steps)}"
            )
    return plain, of_steps
