"""`Servable`: a model that answers messages, the base of models and of pipelines."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import orjson
from mlserver import MLModel
from mlserver.errors import MLServerError
from mlserver.settings import Settings
from mlserver.types import InferenceRequest, InferenceResponse

from .errors import InfergraphError, StageFailure
from .mlserver_types import read_request, write_response
from .node import Node
from .request import TRACE_PARAMETER, RequestContext
from .tensors.partial import select
from .v2 import Message
from .v2.request import InferRequest

logger = logging.getLogger(__name__)


class Servable(MLModel):
    """A model of ours: it answers messages, whose tensors are arrays, on every way they come.

    Infergraph's front door and routers in the same process call `infer` and `infer_stream`.
    `predict` and `predict_stream` are for other callers, which have MLServer's types.

    Class attributes:
        is_pipeline: Whether it calls other models, at this server too perhaps.

    Attributes:
        node: Its place in a graph of another executor, whose requests come by the front door.
    """

    is_pipeline: ClassVar[bool] = False

    node: Node | None = None
    _server: Settings | None = None

    async def infer(self, message: Message, context: RequestContext) -> Message:
        """Answers a message; raises an InfergraphError."""
        raise NotImplementedError(f"{type(self).__name__} does not implement infer")

    async def infer_stream(
        self, message: Message, context: RequestContext
    ) -> AsyncIterator[Message]:
        """Answers a message in parts, as they come; by default in one. Raises as `infer` does."""
        yield await self.infer(message, context)

    def attach_server(self, settings: Settings) -> None:
        """Tells the servable, before it loads, the settings of the server that it runs in."""
        self._server = settings

    def answered(self, request: InferRequest, message: Message) -> Message:
        """An answer as the request wants it: its outputs, and the request's id."""
        declared = [output.name for output in self.outputs or ()]
        selected = select(message, request.outputs, declared, f"model '{self.name}'")
        selected.id = request.message.id
        return selected

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answers a V2 request; every failure becomes an MLServerError with a status and text."""
        try:
            request, context = read_request(payload)
            answer = self.answered(request, await self.infer(request.message, context))
            return self._response(answer, request)
        except Exception as error:
            raise self._failure(error) from None

    async def predict_stream(
        self, payloads: AsyncIterator[InferenceRequest]
    ) -> AsyncIterator[InferenceResponse]:
        """Answers the V2 requests of a stream, in turn, each in parts; fails as `predict` does."""
        try:
            async for payload in payloads:
                request, context = read_request(payload)
                async for part in self.infer_stream(request.message, context):
                    yield self._response(self.answered(request, part), request)
        except Exception as error:
            raise self._failure(error) from None

    def _response(self, answer: Message, request: InferRequest) -> InferenceResponse:
        parameters = response_parameters(answer)
        return write_response(answer, parameters, self.name, self.version, request.form)

    def _failure(self, error: Exception) -> MLServerError:
        if not isinstance(error, InfergraphError):
            logger.exception("'%s' failed", self.name)
            error = StageFailure.unexpected(f"model '{self.name}'", error)
        return MLServerError(str(error), error.status_code)


def response_parameters(message: Message) -> dict[str, Any]:
    """The V2 parameters of an answer: its own, and the trace as JSON."""
    if message.trace is None:
        return message.parameters
    return {**message.parameters, TRACE_PARAMETER: orjson.dumps(message.trace).decode()}
