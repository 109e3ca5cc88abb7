"""`PipelineRouter`: the model that executes a pipeline."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from mlserver.settings import Settings
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
from ..metrics import StepMetrics
from ..mlserver_types import declared_specs
from ..request import Deadline, RequestContext
from ..servable import Servable
from ..settings import load_options
from ..tensors.validate import validate, widened
from ..v2 import Message, Parameter
from . import pipeline_file, step_parameters
from .calls import StepCalls
from .checks import check_edges, remote_declarations
from .expiry import Expired, within
from .routes import Routes, own_grpc_endpoint
from .settings import RouterSettings
from .spans import Spans, spans_of

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

    _server: Settings | None = None
    _routes: Routes | None = None
    _spans: Spans | None = None

    def attach_server(self, settings: Settings) -> None:
        """Tells the router, before it loads, the settings of the server that it runs in."""
        self._server = settings

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
            self._executor = GraphExecutor(self.pipeline)
        except BaseException:
            await routes.close()
            raise
        self._inputs = own.inputs
        self._steps = steps
        self._timeout_ms = self.options.timeout_ms or self.pipeline.timeout_ms
        self._metrics = StepMetrics(self.name, steps)
        self._spans = spans_of(self.name, self._server)
        self._routes = routes
        registry.register(self)
        logger.info("pipeline '%s': %s, steps %s", self.name, file.path, ", ".join(steps))
        return True

    async def infer(self, message: Message, context: RequestContext) -> Message:
        """The pipeline's answer, with the id of `message`.

        The deadline is that of `context`, else the pipeline's own; steps are handed what is left of
        it, and none of them runs on after it. Cancelling this cancels them.

        Raises:
            InfergraphError: bad input, nothing that can fire, a failing step, or the deadline.
        """
        routes = self._routes
        if routes is None:
            raise StageUnavailable(f"pipeline '{self.name}' is not loaded")
        message = widened(message, self._inputs)
        validate(message, self._inputs, self._where)
        if context.deadline is None and self._timeout_ms is not None:
            context = replace(context, deadline=Deadline.after_ms(self._timeout_ms))
        if self._spans is None:
            return await self._execute(message, context, routes)
        with self._spans.pipeline(context.headers):
            return await self._execute(message, context, routes)

    async def _execute(self, message: Message, context: RequestContext, routes: Routes) -> Message:
        of_steps: Mapping[str, Mapping[str, Parameter]] = {}
        if message.parameters:
            message, of_steps = self._divided(message)
        calls = StepCalls(self.name, routes, self._metrics, self._spans, context.trace, of_steps)
        work = self._executor.execute(message, context, calls.infer)
        try:
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
            plain, of_steps = step_parameters.divide(message.parameters, self._steps)
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
        """Gives the connections back, once the calls in flight are done."""
        registry.unregister(self)
        routes, self._routes = self._routes, None
        if routes is not None:
            await routes.close()
        return True
