"""`Desk`: what both servers share to answer a request, between decoding and encoding."""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, NamedTuple, TypeVar

from mlserver.context import model_context
from mlserver.handlers import DataPlane
from mlserver.settings import Settings

from ..errors import InvalidInput
from ..node import join
from ..request import RequestContext, take_trace
from ..servable import Servable
from ..v2 import Message
from ..v2.request import Form, InferRequest
from .access import Access
from .access_log import AccessLog
from .admission import Admission, refused, stopping
from .draining import Drain
from .errors import ErrorAnswers
from .registry import Registry
from .repository_handlers import RepositoryHandlers
from .settings import FrontDoorSettings
from .versions import Serving

Result = TypeVar("Result")

ASIDE_BYTES = 1 << 16
"""More than this is decoded and encoded in a thread, so that other requests go on meanwhile."""
ASIDE_STRINGS = 1 << 11
"""As many strings take about as long."""


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(2, os.cpu_count() or 1), thread_name_prefix="infergraph-codec")


async def aside(function: Callable[..., Result], *arguments: Any) -> Result:
    """The result of a function that blocks, from a thread of the codecs' own pool."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads(), functools.partial(function, *arguments))


class Desk:
    """Answers requests with the models of a server.

    Attributes:
        server: MLServer's settings.
        settings: The front door's.
        registry: The models.
        repository: What loads and lists them.
        data_plane: MLServer's, which answers for models that are not ours.
        admission: How much is let in.
        access: Who is let in.
        log: Of requests.
        drain: The requests to pipelines, once the server is told to stop.
        errors: How errors are told.
    """

    def __init__(
        self,
        server: Settings,
        settings: FrontDoorSettings,
        registry: Registry,
        repository: RepositoryHandlers,
        data_plane: DataPlane,
    ) -> None:
        self.server = server
        self.settings = settings
        self.registry = registry
        self.repository = repository
        self.data_plane = data_plane
        self.admission = Admission(settings)
        self.access = Access(settings)
        self.log = AccessLog(settings.access_log)
        self.drain = Drain()
        self.errors = ErrorAnswers(settings.seldon)
        self._counters: dict[tuple[str, str | None], _Counters] = {}

    def ready(self) -> bool:
        """Whether all is loaded that is to be; without any model, whether they come later."""
        registry = self.registry
        if not self.server.load_models_at_startup and not registry.states():
            return True
        return registry.ready()

    def find(self, name: str, version: str | None) -> Serving:
        """The instance of a model that takes a request now.

        Raises:
            UnknownModel: no model or version of that name.
            StageUnavailable: it loads or is unloaded, or the server stops and it is a pipeline.
            Overloaded: it answers as many requests as it may.
        """
        serving = self.registry.find(name, version or None)
        self.admission.model(name, serving.in_flight)
        if self.drain.began and getattr(serving.model, "is_pipeline", False):
            raise refused("stopping", stopping())
        return serving

    async def infer(
        self, model: Servable, request: InferRequest, context: RequestContext
    ) -> Message:
        """A model's answer, as the request wants it; raises an InfergraphError."""
        take_trace(request.message.parameters, context)
        with self._around(model), model_context(model.settings):
            answer = await _infer(model, request.message, context)
            return await _answered(model, request, answer)

    def route(self, model: Servable, request: InferRequest) -> int:
        """Which child of a graph's node is asked, see `Node.route`.

        Raises:
            InvalidInput: the model is no node that routes.
        """
        where = f"model '{model.name}'"
        if model.node is None:
            raise InvalidInput(f"{where}: it is no node of a graph; give it the setting 'node'")
        return model.node.route(request.message, where)

    async def aggregate(
        self, model: Servable, answers: Sequence[InferRequest], context: RequestContext
    ) -> tuple[Message, InferRequest]:
        """What a graph's node makes of its children's answers, and these as one request.

        The model computes it of them, unless it computes before its children are asked.

        Raises:
            InfergraphError: as `infer`.
        """
        first = answers[0]
        request = InferRequest(join([each.message for each in answers]), (), first.form)
        if model.node is None or model.node.gives is None:
            return await self.infer(model, request, context), request
        return model.node.joined(request.message, f"model '{model.name}'"), request

    async def infer_stream(
        self, model: Servable, request: InferRequest, context: RequestContext
    ) -> AsyncGenerator[Message, None]:
        """The parts of a model's answer, as they come; raises an InfergraphError.

        To be closed, since what the model has begun goes on else.
        """
        take_trace(request.message.parameters, context)
        with self._around(model):
            generator: Any = (
                model.infer_stream(request.message, context)
                if model.node is None
                else _in_one_part(model, request.message, context)
            )
            async with aclosing(generator) as parts:
                while True:
                    # Left before each part is given: it may be closed in another context.
                    with model_context(model.settings):
                        part = await anext(parts, None)
                    if part is None:
                        return
                    yield await _answered(model, request, part)

    def _around(self, model: Servable) -> _Counted:
        """Counts a request while it is answered; of a pipeline also for the server's stop."""
        key = (model.name, model.version)
        counters = self._counters.get(key)
        if counters is None:
            if len(self._counters) >= _MOST_COUNTERS:
                self._counters.clear()
            counters = self._counters[key] = _Counters.of(self.data_plane, *key)
        return _Counted(counters, self.drain if model.is_pipeline else None)


async def _infer(model: Servable, message: Message, context: RequestContext) -> Message:
    if model.node is None:
        return await model.infer(message, context)
    return await model.node.infer(
        message, lambda taken: model.infer(taken, context), f"model '{model.name}'"
    )


async def _in_one_part(
    model: Servable, message: Message, context: RequestContext
) -> AsyncGenerator[Message, None]:
    yield await _infer(model, message, context)


async def _answered(model: Servable, request: InferRequest, answer: Message) -> Message:
    # Classes are sorted, which takes long where there are many.
    if any(each.classification for each in request.outputs):
        return await aside(model.answered, request, answer)
    return model.answered(request, answer)


_MOST_COUNTERS = 4096


class _Counters(NamedTuple):
    """MLServer's metrics of one model."""

    success: Any
    failure: Any
    duration: Any

    @classmethod
    def of(cls, data_plane: DataPlane, model: str, version: str | None) -> _Counters:
        labels = {"model": model, "version": version}
        return cls(
            data_plane._ModelInferRequestSuccess.labels(**labels),
            data_plane._ModelInferRequestFailure.labels(**labels),
            data_plane._ModelInferRequestDuration.labels(**labels),
        )


class _Counted:
    """A context manager that counts one request."""

    __slots__ = ("_began", "_counters", "_drain")

    def __init__(self, counters: _Counters, drain: Drain | None) -> None:
        self._counters = counters
        self._drain = drain

    def __enter__(self) -> None:
        self._began = time.perf_counter()
        if self._drain is not None:
            self._drain.enter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._drain is not None:
            self._drain.leave()
        counters = self._counters
        counters.duration.observe(time.perf_counter() - self._began)
        (counters.success if kind is None else counters.failure).inc()


def is_light(message: Message, form: Form) -> bool:
    """Whether an answer is encoded at once rather than in a thread."""
    weight = strings = 0
    for tensor in message.tensors:
        if tensor.datatype == "BYTES":
            strings += tensor.data.size
        elif form not in (Form.RAW, Form.BINARY):
            weight += tensor.data.nbytes
    if strings > ASIDE_STRINGS or weight > ASIDE_BYTES:
        return False
    if not strings:
        return True
    return (
        sum(
            len(item)
            for tensor in message.tensors
            if tensor.datatype == "BYTES"
            for item in tensor.data.ravel()
        )
        <= 4 * ASIDE_BYTES
    )
