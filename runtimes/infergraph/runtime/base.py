"""`Runtime`: settings, placement, validation, batching, errors and trace around a task."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from mlserver.types import MetadataModelResponse, Parameters
from mlserver.utils import to_absolute_path

from .. import registry
from ..batching import MicroBatcher, Served
from ..checkpoints import resolve_checkpoint
from ..devices import Placement, dtype_name, release_memory, resolve_placement
from ..errors import ConfigurationError, InfergraphError, StageFailure
from ..metrics import ModelMetrics
from ..mlserver_types import declared_specs
from ..request import RequestContext
from ..servable import Servable
from ..settings import RuntimeOptions, load_options
from ..tensors.validate import validate, widened
from ..v2 import Message
from .items import Item, Outputs, batch_key, join, split
from .parameters import RequestParameters, parse_parameters
from .preparation import prepare_all

logger = logging.getLogger(__name__)
Value = TypeVar("Value")
_Work = tuple[Item, Any]
"""An item and its request's parameters."""


class Runtime(Servable):
    """Base of model runtimes. A task implements `setup` and `predict_batch`; the rest is here.

    Class attributes that a task may set:
        settings_class: Its settings, a subclass of `RuntimeOptions`.
        text_inputs: BYTES inputs that hold UTF-8 text; they reach the task as `str`.
        parameters_class: The request parameters that it accepts; None ignores them, as V2 does
            with parameters that a model does not know.
        prepares_alike: Whether `prepare` makes items of one kind of whatever inputs came, so that
            requests of other tensors, datatypes or shapes run together.

    Attributes after loading:
        options: The parsed settings.
        placement: Device and dtype.
        checkpoint: A local folder's path, or a hub id; empty when the model has no variants.
    """

    settings_class: ClassVar[type[RuntimeOptions]] = RuntimeOptions
    text_inputs: ClassVar[frozenset[str]] = frozenset()
    parameters_class: ClassVar[type[RequestParameters] | None] = None
    prepares_alike: ClassVar[bool] = False

    options: RuntimeOptions
    placement: Placement
    checkpoint: str

    def setup(self) -> None:
        """Loads weights and what else the task needs, as attributes. Runs in the model's thread."""

    def accept(self, parameters: Any) -> Any:
        """The parameters to run with: those of a request, an instance of `parameters_class`.

        A task that overrides it checks them against its settings, and fills in what was not given.

        Raises:
            InvalidInput: a parameter is outside of the settings' limits.
        """
        return parameters

    def preparing(self, items: Sequence[Item]) -> Callable[[Item], Item]:
        """What prepares each item of one request; runs on the event loop, and so must cost little.

        A task that limits what the items of a request are together overrides it.

        Raises:
            InvalidInput: the items are not acceptable together.
        """
        return self.prepare

    def prepare(self, item: Item) -> Item:
        """Decodes or checks one item before it is queued. Runs in a pool thread, if overridden.

        Raises:
            InvalidInput: the item is not acceptable; only its request fails.
        """
        return item

    def length(self, item: Item) -> int:
        """A measure of an item's work; items of similar length run together."""
        return 0

    def predict_batch(
        self, items: Sequence[Item], parameters: Any
    ) -> Sequence[Outputs | InfergraphError]:
        """Computes the answers of a batch, one per item in order; runs in the model's thread.

        `parameters` is what `accept` gave, equal for all items; None without `parameters_class`.
        Item keys are input tensor names, output keys are output tensor names. An item's own failure
        is returned in its place as an error; anything raised is taken for a failure of some item,
        and the batch is halved until that item is found.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement predict_batch")

    @property
    def blocking(self) -> bool:
        """Whether `predict_batch` must run in the model's thread rather than on the event loop."""
        return True

    async def load(self) -> bool:
        """Reads the settings, places the model and loads its weights, off the event loop.

        Raises:
            ConfigurationError: a setting, device or checkpoint is wrong.
        """
        extra = self.settings.parameters.extra if self.settings.parameters else None
        self.options = load_options(self.settings_class, self.name, extra)
        self._where = f"model '{self.name}'"
        self._input_specs = declared_specs(self.inputs, self.options.optional_inputs)
        self._output_specs = declared_specs(self.outputs, self.options.optional_outputs)
        self._metrics = ModelMetrics(self.name)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"infergraph-{self.name}")
        self._prepares = type(self).prepare is not Runtime.prepare
        self._before_setup = {
            *self.__dict__,
            "placement",
            "checkpoint",
            "_before_setup",
            "_batcher",
            "_runs_inline",
        }
        try:
            await self._in_thread(self._load)
        except BaseException as error:
            self._thread.shutdown(wait=False)
            if isinstance(error, ConfigurationError) and not str(error).startswith(self._where):
                raise error.prefixed(self._where) from error
            raise
        self._batcher: MicroBatcher[_Work, Outputs] = MicroBatcher(
            self._run,
            self._thread,
            name=self.name,
            max_batch_size=self.options.max_batch_size,
            max_queue_size=self.options.max_queue_size,
            observe=self._metrics.observe_batch,
        )
        self._runs_inline = not self.blocking
        registry.register(self)
        return True

    def _load(self) -> None:
        self.placement = resolve_placement(self.options, self.name)
        self.checkpoint = ""
        if self.options.variants:
            self.checkpoint = resolve_checkpoint(self.options, self.folder, self.name)
        self.setup()
        logger.info(
            "model '%s': variant '%s' (%s) on %s",
            self.name,
            self.options.variant,
            self.checkpoint or "no checkpoint",
            self.placement,
        )

    @property
    def folder(self) -> Path:
        """The servable's folder, against which local variants are resolved."""
        uri = self.settings.parameters.uri if self.settings.parameters else None
        return Path(to_absolute_path(self.settings, uri or ".")).resolve()

    async def infer(self, message: Message, context: RequestContext) -> Message:
        """Answers a message.

        Raises:
            InfergraphError: bad input, a full queue, a deadline that passed, or a failure.
        """
        try:
            if context.deadline is not None:
                context.deadline.check(self._where)
            message = widened(message, self._input_specs)
            count = validate(message, self._input_specs, self._where)
            parameters = self._accepted(message)
            if self._runs_inline:
                served = self._run_inline(message, count, parameters)
            else:
                served = await self._run_batched(message, count, parameters, context)
            tensors = join(served.results, self._output_specs, self._where)
        except InfergraphError as error:
            self._metrics.failed()
            if str(error).startswith(self._where):
                raise
            raise error.prefixed(self._where) from None
        except Exception as error:
            self._metrics.failed()
            logger.exception("%s failed", self._where)
            raise StageFailure.unexpected(self._where, error) from None
        answer = Message(tensors, message.id)
        if context.trace:
            answer.trace = {
                "model": self.name,
                "queue_us": served.queue_us,
                "compute_us": served.compute_us,
                "batch_size": served.batch_size,
            }
        return answer

    def _accepted(self, message: Message) -> Any:
        if self.parameters_class is None:
            return None
        return self.accept(parse_parameters(self.parameters_class, message.parameters))

    def _run(self, work: Sequence[_Work]) -> Sequence[Outputs | InfergraphError]:
        return self.predict_batch([item for item, _ in work], work[0][1])

    def _run_inline(self, message: Message, count: int, parameters: Any) -> Served[Outputs]:
        items = [
            self.prepare(item) for item in split(message, count, self.text_inputs, self._where)
        ]
        started = self._metrics.clock()
        results: list[Outputs] = []
        for index, result in enumerate(self.predict_batch(items, parameters)):
            if isinstance(result, InfergraphError):
                raise result.prefixed(f"item {index}") if count > 1 else result
            results.append(result)
        if len(results) != count:
            raise StageFailure(f"it gave {len(results)} results for {count} items")
        seconds = self._metrics.clock() - started
        self._metrics.observe_batch(count, seconds)
        return Served(results, queue_us=0, compute_us=round(seconds * 1e6), batch_size=count)

    async def _run_batched(
        self, message: Message, count: int, parameters: Any, context: RequestContext
    ) -> Served[Outputs]:
        items = split(message, count, self.text_inputs, self._where)
        self._batcher.admit(count)
        try:
            if self._prepares:
                items = await prepare_all(
                    self.preparing(items), items, context.deadline, self._where
                )
            lengths = [self.length(item) for item in items]
        except BaseException:
            self._batcher.dismiss(count)
            raise
        served = await self._batcher.submit(
            [(item, parameters) for item in items],
            key=parameters if self.prepares_alike else batch_key(message, parameters),
            lengths=lengths,
            deadline=context.deadline,
        )
        self._metrics.observe_queue(served.queue_us)
        return served

    async def metadata(self) -> MetadataModelResponse:
        """The declared tensors, and as parameters what variant and placement were resolved."""
        metadata = await super().metadata()
        known: dict[str, Any] = {}
        if hasattr(self, "placement"):
            known = {
                "variant": self.options.variant,
                "device": str(self.placement.device),
                "dtype": dtype_name(self.placement.dtype),
                "max_batch_size": self.options.max_batch_size,
            }
            # As JSON text: MLServer drops lists over gRPC.
            for name in ("optional_inputs", "optional_outputs"):
                if tensors := getattr(self.options, name):
                    known[name] = json.dumps(tensors)
        metadata.parameters = Parameters(**known)
        return metadata

    async def unload(self) -> bool:
        """Forgets the weights and gives their memory back; waiting requests get 503."""
        registry.unregister(self)
        if not hasattr(self, "_batcher"):
            return True
        self._batcher.close()
        await self._in_thread(self._release)
        self._thread.shutdown(wait=False)
        return True

    def _release(self) -> None:
        for name in set(self.__dict__) - self._before_setup:
            del self.__dict__[name]
        release_memory()

    async def _in_thread(self, function: Callable[[], Value]) -> Value:
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(context.run, function))
