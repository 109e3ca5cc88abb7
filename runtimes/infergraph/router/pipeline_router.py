"""`PipelineRouter`: the model that executes a pipeline."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Coroutine, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from mlserver.types import MetadataModelResponse, Parameters

from .. import registry
from ..declaration import ModelDeclaration
from ..errors import (
    ConfigurationError,
    DeadlineExceeded,
    InfergraphError,
    StageFailure,
    StageUnavailable,
)
from ..graph import GraphExecutor, Pipeline, parse_pipeline
from ..metrics import PipelineMetrics, StepMetrics
from ..mlserver_types import declared_specs
from ..request import Deadline, RequestContext
from ..servable import Servable
from ..settings import load_options
from ..spans import Spans, spans_of
from ..tensors.shared_media import sharing_media
from ..tensors.validate import check_tensors, widened
from ..v2 import Message, Parameter
from . import pipeline_file
from .admission import Admission
from .calls import Emit, StepCalls, divide_parameters
from .checks import check_edges, remote_declarations
from .expiry import Expired, within
from .routes import Routes, own_grpc_endpoint
from .settings import RouterSettings

logger = logging.getLogger(__name__)


class PipelineRouter(Servable):
    """Executes the Seldon Core v2 Pipeline that `parameters.uri` names; the model has its name.

    Attributes after loading:
        options: The parsed settings.
        pipeline: The parsed pipeline.
    """

    is_pipeline: ClassVar[bool] = True

    options: RouterSettings
    pipeline: Pipeline

    _routes: Routes | None = None
    _spans: Spans | None = None

    async def load(self) -> bool:
        """Reads and checks the pipeline file, and connects to the configured endpoints.

        Raises:
            ConfigurationError: a setting, the pipeline file or one of its edges is wrong.
        """
        extra = self.settings.parameters.extra if self.settings.parameters else None
        self.options = load_options(RouterSettings, self.name, extra)
        self._where = f"pipeline '{self.name}'"
        file = await asyncio.to_thread(pipeline_file.read, self.settings)
        self.pipeline = await asyncio.to_thread(parse_pipeline, file.text, file.path)
        if self.pipeline.name != self.name:
            raise ConfigurationError(
                f"{file.path}: metadata.name is '{self.pipeline.name}'; accepted: '{self.name}', "
                "the name of the model that executes it"
            )
        steps = [step.name for step in self.pipeline.spec.steps]
        await asyncio.to_thread(pipeline_file.refuse_loops, self.name, steps, file.catalog)
        own = ModelDeclaration(
            self.name,
            declared_specs(self.inputs, self.options.optional_inputs),
            declared_specs(self.outputs, self.options.optional_outputs),
        )
        routes = Routes(self.name, steps, self.options, own_grpc_endpoint(self._server))
        try:
            elsewhere = [step for step in steps if step not in file.catalog]
            remote = await remote_declarations(self.name, elsewhere, routes)
            await asyncio.to_thread(check_edges, file, own, remote)
            self._executor = GraphExecutor(self.pipeline, self.options.max_items)
        except BaseException:
            await routes.close()
            raise
        self._inputs = own.inputs
        self._steps = steps
        self._timeout_ms = self.options.timeout_ms or self.pipeline.timeout_ms
        self._metrics = StepMetrics(self.name, steps)
        self._admission = Admission(
            self._where, self.options.max_in_flight, PipelineMetrics(self.name)
        )
        self._spans = spans_of("pipeline", self.name, self._server)
        self._routes = routes
        registry.register(self)
        logger.info("pipeline '%s': %s, steps %s", self.name, file.path, ", ".join(steps))
        return True

    async def infer(self, message: Message, context: RequestContext) -> Message:
        """The pipeline's answer, with the id of `message`.

        The deadline is that of `context`, else the pipeline's own; steps are handed what is left of
        it, and none of them runs on after it. Cancelling this cancels them.

        Raises:
            InfergraphError: bad input, nothing that can fire, a failing step, the deadline, too
                many requests at once, or a pipeline that is being unloaded.
        """
        return await self._infer(message, context, {})

    async def infer_stream(
        self, message: Message, context: RequestContext
    ) -> AsyncGenerator[Message, None]:
        """The pipeline's answer in parts, as the step that makes all of the output gives them.

        There is one part, the whole answer, where that step's model gives no parts or is not in
        this process, where the output is not a single step's (or other steps read that step's
        answer, too), per item, and with a trace, which is known at the end. Else as `infer`.
        Closing the generator cancels the steps.
        """
        tail = None if self._routes is None or context.trace else self._executor.plan.tail
        if tail is None:
            yield await self.infer(message, context)
            return
        parts: asyncio.Queue[Any] = asyncio.Queue()

        async def emit(part: Message) -> None:
            tensors = tail.take(part)
            if tensors:
                parts.put_nowait(Message(tensors, message.id, part.parameters))
                # Until it is taken, so that the steps are not ahead of a slow reader.
                await parts.join()

        work = asyncio.create_task(self._infer(message, context, {tail.name: emit}))
        work.add_done_callback(parts.put_nowait)
        is_whole = True
        try:
            while (part := await parts.get()) is not work:
                is_whole = False
                yield part
                parts.task_done()
            answer = work.result()
            if is_whole:
                yield answer
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _infer(
        self, message: Message, context: RequestContext, emit: Mapping[str, Emit]
    ) -> Message:
        routes = self._routes
        if routes is None:
            raise StageUnavailable(f"pipeline '{self.name}' is not loaded")
        with self._admission.request():
            message = widened(message, self._inputs)
            check_tensors(message, self._inputs, self._where)
            if context.deadline is None and self._timeout_ms is not None:
                context = replace(context, deadline=Deadline.after_ms(self._timeout_ms))
            if self._spans is None:
                return await self._execute(message, context, routes, emit)
            with self._spans.request(context.headers):
                return await self._execute(message, context, routes, emit)

    async def _execute(
        self,
        message: Message,
        context: RequestContext,
        routes: Routes,
        emit: Mapping[str, Emit],
    ) -> Message:
        of_steps: Mapping[str, Mapping[str, Parameter]] = {}
        if message.parameters:
            message, of_steps = self._divided(message)
        calls = StepCalls(
            self.name, routes, self._metrics, self._spans, context.trace, of_steps, emit
        )
        work = self._executor.execute(message, context, calls.infer)
        try:
            with sharing_media():
                if context.deadline is None:
                    answer = await work
                else:
                    answer = await self._execute_within(context.deadline, work, calls)
        except InfergraphError:
            raise
        except Exception as error:
            logger.exception("%s failed", self._where)
            raise StageFailure.unexpected(self._where, error) from None
        return replace(answer, id=message.id, trace=calls.trace())

    def _divided(self, message: Message) -> tuple[Message, dict[str, dict[str, Parameter]]]:
        try:
            plain, of_steps = divide_parameters(message.parameters, self._steps)
        except InfergraphError as error:
            raise error.prefixed(self._where) from None
        return replace(message, parameters=plain), of_steps

    async def _execute_within(
        self, deadline: Deadline, work: Coroutine[Any, Any, Message], calls: StepCalls
    ) -> Message:
        running: list[str] = []
        try:
            return await within(deadline, work, lambda: running.extend(calls.running.values()))
        except Expired:
            error = deadline.exceeded(self._where)
            if not running:
                raise error from None
            steps = ", ".join(f"'{step}'" for step in dict.fromkeys(running))
            raise DeadlineExceeded(f"{error} while these steps ran: {steps}") from None

    async def metadata(self) -> MetadataModelResponse:
        """The declared tensors; parameters list the steps and the optional tensors, as JSON."""
        metadata = await super().metadata()
        if self._routes is not None:
            lists: dict[str, list[str]] = {
                "steps": [step.name for step in self.pipeline.spec.steps],
                "optional_inputs": self.options.optional_inputs,
                "optional_outputs": self.options.optional_outputs,
            }
            # As text, since MLServer drops lists over gRPC.
            texts: dict[str, Any] = {
                name: json.dumps(names) for name, names in lists.items() if names
            }
            metadata.parameters = Parameters(**texts)
        return metadata

    async def unload(self) -> bool:
        """Takes no more requests, waits for those in flight, and gives the connections back.

        It waits for `drain_ms` at most; what still runs then is answered with 503.
        """
        registry.unregister(self)
        if self._routes is not None:
            await self._admission.close(self.options.drain_ms / 1000)
        routes, self._routes = self._routes, None
        if routes is not None:
            await routes.close()
        return True
