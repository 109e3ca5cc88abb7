"""`Runtime`: settings, placement, validation, batching, errors and trace around a task."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mlserver import types
from mlserver.utils import to_absolute_path

from .. import registry
from ..batching import Served
from ..checkpoints import resolve_checkpoint
from ..devices import (
    Placement,
    check_unplaced,
    lost_device,
    release_memory,
    resolve_placement,
)
from ..errors import (
    ConfigurationError,
    InfergraphError,
    InvalidInput,
    StageFailure,
    StageUnavailable,
)
from ..metrics import ModelMetrics
from ..mlserver_types import declared_specs
from ..request import Deadline, RequestContext
from ..servable import Servable
from ..settings import EMBEDDED, EMBEDDED_WORLD, RuntimeOptions, load_options
from ..spans import Spans, spans_of
from ..tensors.validate import check_tensors, validate, widened
from ..v2 import Message, Tensor
from .engine import Engine, Request
from .hooks import Hooks, Model, Parameters, Prepared
from .items import held_bytes
from .parameters import parse_parameters

logger = logging.getLogger(__name__)
Value = TypeVar("Value")


class _OpenCalls:
    """Counts calls, each one a `with` block, so that an unload can wait for their end."""

    def __init__(self) -> None:
        self._open = 0
        self._none = asyncio.Event()

    @property
    def count(self) -> int:
        return self._open

    def __enter__(self) -> None:
        self._open += 1

    def __exit__(self, *_: object) -> None:
        self._open -= 1
        if self._open == 0:
            self._none.set()

    async def ended(self, seconds: float) -> bool:
        """Waits until no call is open; False when some still are after that time."""
        if self._open:
            self._none.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._none.wait(), seconds)
        return self._open == 0


class Runtime(Hooks[Prepared, Parameters, Model], Servable):
    """Base of model runtimes: everything but the task itself, which `Hooks` describes.

    A task says what it prepares of an item, what it runs with, and what it loads:
    `class Reader(Runtime[Encoded, None, Network])`. What is left out is `Item`, None and None.

    Attributes after loading:
        options: The parsed settings.
        placement: Device and dtype; not there unless `placed`.
        checkpoint: A local folder's path, or an id of torchvision's; empty when the model has no
            variants.
        checkpoint_name: What people call it: `owner/name@commit`, or the folder's path.
        model: What `setup` gave; gone once the model is unloaded.
    """

    options: RuntimeOptions
    placement: Placement
    checkpoint: str
    checkpoint_name: str

    _spans: Spans | None = None
    _unavailable: StageUnavailable | None = StageUnavailable("it is not loaded")

    async def load(self) -> bool:
        """Reads the settings, places the model and loads its weights, off the event loop.

        Raises:
            ConfigurationError: a setting, device or checkpoint is wrong.
        """
        started = time.perf_counter()
        self._where = f"model '{self.name}'"
        self._metrics = ModelMetrics(self.name)
        try:
            await self._load()
        except BaseException as error:
            self._metrics.load_failed()
            if not isinstance(error, InfergraphError):
                raise
            if isinstance(error, ConfigurationError) and str(error).startswith(self._where):
                raise
            # Others come of what is tried out: of weights that are no numbers, for example.
            raise ConfigurationError(f"{self._where}: {error}") from error.__cause__
        self._spans = spans_of("model", self.name, self._server)
        self._metrics.loaded(time.perf_counter() - started)
        self._unavailable = None
        registry.register(self)
        return True

    async def _load(self) -> None:
        extra = self.settings.parameters.extra if self.settings.parameters else None
        self.options = options = load_options(self.settings_class, self.name, extra)
        self._takes_whole_tensors = options.max_batch_size == 0
        self._input_specs = declared_specs(self.inputs, options.optional_inputs)
        self._output_specs = declared_specs(self.outputs, options.optional_outputs)
        self.node = options.node
        if self.node is not None:
            self.node.check(
                [spec.name for spec in self._input_specs],
                [spec.name for spec in self._output_specs],
            )
        self._calls = _OpenCalls()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"infergraph-{self.name}")
        try:
            await self._in_thread(self._set_up)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        self._frozen_before = gc.get_freeze_count()
        self._engine: Engine[Prepared, Parameters] = Engine(
            self,
            self._thread,
            name=self.name,
            options=options,
            outputs=self._output_specs,
            metrics=self._metrics,
            computing=self._computing,
            diagnose=self._diagnose,
        )

    def _set_up(self) -> None:
        if self.placed:
            self.placement = resolve_placement(self.options, self.name, self.engines)
        else:
            check_unplaced(self.options, self.name)
        self.checkpoint = self.checkpoint_name = ""
        if self.options.variants or "variant" in self.options.model_fields_set:
            found = resolve_checkpoint(
                self.options, self.folder, self.name, weights=self.needs_weights
            )
            self.checkpoint, self.checkpoint_name = found.path, found.name
        if self._takes_whole_tensors and not self.takes_arrays:
            raise ConfigurationError(
                "setting 'max_batch_size' = 0, for models without a batch axis: this one takes "
                "items; accepted: 1 or more"
            )
        with self._computing():
            self.model = self.setup()
        logger.info(
            "model '%s': variant '%s' (%s)%s%s",
            self.name,
            self.options.variant,
            self.checkpoint_name or "no checkpoint",
            f" on {self.placement}" if self.placed else "",
            f": it knows only {EMBEDDED_WORLD}" if self._is_embedded else "",
        )

    def _computing(self) -> contextlib.AbstractContextManager[None]:
        """Around what computes in the calling thread, which is the model's."""
        return self.placement.computing() if self.placed else contextlib.nullcontext()

    @property
    def _is_embedded(self) -> bool:
        return bool(self.checkpoint) and self.options.variant == EMBEDDED

    @property
    def folder(self) -> Path:
        """The servable's folder, against which local variants are resolved."""
        uri = self.settings.parameters.uri if self.settings.parameters else None
        return Path(to_absolute_path(self.settings, uri or ".")).resolve()

    async def infer(self, message: Message, context: RequestContext) -> Message:
        """Answers a message; the tensors of the answer are read-only.

        Raises:
            InfergraphError: bad input, a full queue, a deadline that passed, or a failure.
        """
        with self._answering(context):
            request = self._accepted(message, context)
            tensors, served = await self._engine.answer(request)
            if request.deadline is not None:
                request.deadline.check(self._where)
            return _message(self.name, tensors, message.id, served, context.trace)

    async def infer_stream(
        self, message: Message, context: RequestContext
    ) -> AsyncIterator[Message]:
        """Answers a message in parts, as the task's `stream` gives them, else in one.

        A request that is streamed holds one item. When the consumer goes away, or the deadline
        passes, nothing more is computed.

        Raises:
            InfergraphError: as `infer`; parts may have come before.
        """
        if not self._engine.streams:
            yield await self.infer(message, context)
            return
        with self._answering(context):
            request = self._accepted(message, context)
            async with contextlib.aclosing(self._engine.stream(request)) as parts:
                async for tensors, served in parts:
                    yield _message(self.name, tensors, message.id, served, context.trace)

    @contextlib.contextmanager
    def _answering(self, context: RequestContext) -> Iterator[None]:
        """Counts a call, and says in each of its errors which model it comes from."""
        if self._unavailable is not None:
            error = self._unavailable.prefixed(f"model '{self.name}'")
            if error.cause != StageUnavailable.cause:
                self._metrics.failed(error)
            raise error
        self._metrics.began()
        try:
            with self._calls:
                if self._spans is None:
                    yield
                else:
                    with self._spans.request(context.headers):
                        yield
        except InfergraphError as error:
            self._metrics.failed(error)
            if str(error).startswith(self._where):
                raise
            raise error.prefixed(self._where) from None
        except Exception as error:
            logger.exception("%s failed", self._where)
            failure = StageFailure.unexpected(self._where, error)
            self._metrics.failed(failure)
            raise failure from None
        finally:
            self._metrics.ended()

    def _accepted(self, message: Message, context: RequestContext) -> Request[Parameters]:
        deadline = context.deadline
        if deadline is not None:
            deadline.check(self._where)
        elif self.options.timeout_ms is not None:
            deadline = Deadline.after_ms(self.options.timeout_ms)
        message = widened(message, self._input_specs)
        if self._takes_whole_tensors:
            check_tensors(message, self._input_specs, self._where)
            count = 1
        else:
            count = validate(message, self._input_specs, self._where)
        if count > self.options.max_items and not self._engine.takes_arrays:
            raise InvalidInput(
                f"the request holds {count} items; accepted: at most {self.options.max_items} "
                "(setting 'max_items')",
                cause="too_large",
            )
        parameters: Any = None
        if self.parameters_class is not None:
            parameters = self.accept(parse_parameters(self.parameters_class, message.parameters))
        return Request(message, count, parameters, deadline, context.caller, held_bytes(message))

    def _diagnose(self, error: Exception) -> InfergraphError | None:
        """Takes the model out of service when an error tells that its device is lost."""
        said = lost_device(error)
        if said is None:
            return None
        self.ready = False
        self._unavailable = StageUnavailable(
            f"its device is lost to this server ({said}); start the server again",
            cause="device_lost",
        )
        logger.critical("model '%s': its device is lost", self.name, exc_info=error)
        return self._unavailable

    def observe_padding(self, real: int, padded: int) -> None:
        """Tells the metrics of a network call of `padded` elements, `real` of them no padding."""
        self._metrics.observe_padding(real, padded)

    def observe_step(self, rows: int, tokens: int) -> None:
        """Tells the metrics of a step of `rows`; the texts that it ended have `tokens` tokens."""
        self._metrics.observe_step(rows, tokens)

    async def metadata(self) -> types.MetadataModelResponse:
        """The declared tensors, and as parameters what variant and placement were resolved."""
        metadata = await super().metadata()
        known: dict[str, Any] = {}
        if hasattr(self, "model"):
            known = {
                "variant": self.options.variant,
                "max_batch_size": self.options.max_batch_size,
            }
            if self._is_embedded:
                known["embedded"] = EMBEDDED_WORLD
            if self.placed:
                known["device"] = str(self.placement.device)
                known["dtype"] = self.placement.format
                known["engine"] = self.placement.engine
            # As JSON text: MLServer drops lists over gRPC.
            for name in ("optional_inputs", "optional_outputs"):
                if tensors := getattr(self.options, name):
                    known[name] = json.dumps(tensors)
        metadata.parameters = types.Parameters(**known)
        return metadata

    async def unload(self) -> bool:
        """Forgets the weights and gives their memory back, once nothing uses them any more.

        New requests get 503 at once. Those that are being answered have `drain_seconds`; what of
        them has not begun by then gets 503 too, and what runs is let finish.
        """
        registry.unregister(self)
        if self._unavailable is not None and self._unavailable.cause != "device_lost":
            return True
        self._unavailable = StageUnavailable("it is being unloaded", cause="unloading")
        if not await self._calls.ended(self.options.drain_seconds):
            logger.warning(
                "model '%s': %d requests are still being answered after %g s; it is unloaded",
                self.name,
                self._calls.count,
                self.options.drain_seconds,
            )
        await self._engine.close("it is being unloaded")
        await self._in_thread(self._release)
        self._thread.shutdown(wait=False)
        return True

    def _release(self) -> None:
        del self.model
        # Models without weights hold little, and a collection stops the event loop.
        if self.placed:
            release_memory(self._frozen_before)

    async def _in_thread(self, function: Callable[[], Value]) -> Value:
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(context.run, function))


def _message(
    model: str, tensors: list[Tensor], id: str, served: Served[Any], trace: bool
) -> Message:
    answer = Message(tensors, id)
    if trace:
        answer.trace = {
            "model": model,
            "queue_us": served.queue_us,
            "compute_us": served.compute_us,
            "batch_size": served.batch_size,
        }
    return answer
