"""`GraphExecutor`: executes a pipeline over an `infer` that calls one step's model.

How a request goes through the graph:

* A step fires once its data and its triggers are there, and is skipped as soon as they cannot come.
* While a single step can run it runs in the caller's task. Where several can, each gets a task,
  which goes on with what its step makes runnable.
* A step that nothing waits for any more, such as one that lost an `any`, is cancelled. Steps off
  the output's path are always needed, and the answer waits for them.
* The first error ends the request: the other steps are cancelled and awaited, and the error is
  raised as it is, but for a step's refusal of what another step made, see `blame`. Cancelling
  `execute` ends them likewise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from ..errors import ConfigurationError, InfergraphError, InvalidInput, StageFailure
from ..request import RequestContext
from ..tensors.validate import batch_size
from ..v2 import Message
from .accumulator import Accumulator
from .plan import PIPELINE_INPUTS, Consumer, Plan, compile_plan
from .resource import Pipeline
from .run import Run
from .scatter import execute_items

_logger = logging.getLogger(__name__)


class Infer(Protocol):
    """Calls a step's model.

    Messages may be shared by several steps that run at once: an `infer` must not change the one it
    is given, nor the one it returned.
    """

    async def __call__(
        self, step: str, message: Message, context: RequestContext, item: int | None, /
    ) -> Message:
        """The model's answer.

        Args:
            step: The step's name.
            message: The step's assembled request.
            context: The context given to `GraphExecutor.execute`.
            item: The item of the batch when the pipeline runs per item, else None.
        """
        ...


class GraphExecutor:
    """Executes one pipeline, for any number of requests at once.

    Args:
        pipeline: The pipeline.
        max_items: Most items of one request that is scattered into items; None for any number.

    Attributes:
        plan: The compiled pipeline.

    Raises:
        ConfigurationError: the pipeline is no executable graph, or other pipelines feed it.
    """

    def __init__(self, pipeline: Pipeline, max_items: int | None = None) -> None:
        if pipeline.spec.input is not None:
            fed = ", ".join(
                (*pipeline.spec.input.external_inputs, *pipeline.spec.input.external_triggers)
            )
            raise ConfigurationError(
                f"pipeline '{pipeline.name}': spec.input lets {fed} start it, which only Seldon "
                "Core v2 can; remove spec.input, and send it requests, or write a pipeline whose "
                f"steps are the other one and '{pipeline.name}'"
            )
        self.plan: Plan = compile_plan(pipeline)
        self._max_items = max_items
        self._accumulators = {
            step.index: Accumulator(step.name, step.batch_size)
            for step in self.plan.steps
            if step.batch_size > 1
        }

    async def execute(self, message: Message, context: RequestContext, infer: Infer) -> Message:
        """Sends a request through the graph.

        Args:
            message: The pipeline's inputs.
            context: Handed to every call of `infer`.
            infer: Calls a step's model.

        Returns:
            What arrived at the output. Per item: all items' answers, see `scatter.gather`.

        Raises:
            InvalidInput: nothing reached the output, or per item the inputs are no batch, or one
                of too many items.
            StageFailure: an allowed cycle went round too often, a step refused what another step
                made, or items' answers do not fit.
            Exception: what `infer` raised; per item with ``item <i>`` before the text.
        """
        if not self.plan.per_item:
            return await self._execute(message, context, infer, None)
        where = f"pipeline '{self.plan.name}'"
        count = batch_size(message, where)
        if self._max_items is not None and count > self._max_items:
            raise InvalidInput(
                f"{where}: the request holds {count} items; accepted: at most {self._max_items} "
                "(setting 'max_items')"
            )

        async def execute_item(single: Message, item: int) -> Message:
            return await self._execute(single, context, infer, item)

        return await execute_items(message, count, execute_item)

    async def _execute(
        self, message: Message, context: RequestContext, infer: Infer, item: int | None
    ) -> Message:
        run = Run(self.plan, self._accumulators)
        run.settle(PIPELINE_INPUTS, message)
        call = _Calls(run, context, infer, item)
        ready = run.ready
        while True:
            while ready:
                if run.is_early:
                    run.prune()
                if len(ready) == 1:
                    step, request = ready.popleft()
                    run.settle(step.outputs_slot, await call(step, request))
                elif ready:
                    await _Branches(run, call).run()
            if not self.plan.feedback or not run.next_round():
                return run.result()


class _Calls:
    """Calls the steps of one run."""

    __slots__ = ("_context", "_infer", "_item", "_run")

    def __init__(self, run: Run, context: RequestContext, infer: Infer, item: int | None) -> None:
        self._run = run
        self._context = context
        self._infer = infer
        self._item = item

    async def __call__(self, step: Consumer, request: Message) -> Message:
        """The step's answer; a refusal is told as the fault of whom it is."""
        try:
            return await self._infer(step.name, request, self._context, self._item)
        except InfergraphError as error:
            blamed = self._run.blamed(step, request, error)
            if blamed is error:
                raise
            raise blamed from error


class _Branches:
    """Steps that run at once, each branch in a task of its own."""

    def __init__(self, run: Run, call: _Calls) -> None:
        self._run = run
        self._call = call
        self._tasks: dict[asyncio.Task[None], Consumer] = {}
        self._ended: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None

    async def run(self) -> None:
        """Runs until no step runs or is ready; raises the first error."""
        self._start()
        cancelled: asyncio.CancelledError | None = None
        while self._tasks:
            try:
                done, _ = await asyncio.wait(self._tasks)
            except asyncio.CancelledError as error:
                cancelled = error
                self._end()
                continue
            for task in done:
                del self._tasks[task]
        if cancelled is not None:
            raise cancelled
        if self._error is not None:
            raise self._error

    def _start(self) -> None:
        ready = self._run.ready
        while ready:
            step, request = ready.popleft()
            self._tasks[asyncio.create_task(self._branch(step, request))] = step

    def _end(self, needed: Sequence[bool] | None = None) -> None:
        """Cancels the other tasks, or those of them whose step is not needed."""
        current = asyncio.current_task()
        for task, step in self._tasks.items():
            if task is not current and (needed is None or not needed[step.index]):
                self._ended.add(task)
                task.cancel()

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
            self._end()
        else:
            _logger.debug("a step failed while its request was ending", exc_info=error)

    async def _branch(self, step: Consumer, request: Message) -> None:
        task = asyncio.current_task()
        assert task is not None
        run = self._run
        try:
            while True:
                answer = await self._call(step, request)
                if task in self._ended:
                    return
                run.settle(step.outputs_slot, answer)
                if run.is_early:
                    self._end(run.prune())
                if not run.ready:
                    return
                step, request = run.ready.popleft()
                self._tasks[task] = step
                self._start()
        except asyncio.CancelledError:
            if task not in self._ended:
                self._fail(StageFailure(f"step '{step.name}': its call was cancelled"))
        except Exception as error:
            if task not in self._ended:
                self._fail(error)
