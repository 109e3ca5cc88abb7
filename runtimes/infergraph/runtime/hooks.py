"""`Hooks`: what a task implements or overrides; `Runtime` does the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Generic, cast

from typing_extensions import TypeVar

from ..errors import InfergraphError
from ..settings import RuntimeOptions
from .items import Arrays, Item, Outputs
from .parameters import RequestParameters

Prepared = TypeVar("Prepared", default=Item)
"""What `prepare` makes of an item; the item itself for a task without."""
Parameters = TypeVar("Parameters", default=None)
"""What `accept` makes of a request's parameters; None for a task without `parameters_class`."""
Model = TypeVar("Model", default=None)
"""What `setup` loads."""


class Hooks(Generic[Prepared, Parameters, Model]):
    """A task implements `setup`, and `predict_batch` or `predict_arrays`; the rest if it needs it.

    All that a task holds once it is loaded, weights above all, hangs on the one object that `setup`
    gives: to unload the model is to drop that object. It is never an attribute of its own.

    Attributes:
        model: What `setup` gave; there from the end of `setup` until the model is unloaded.

    Class attributes that a task may set:
        settings_class: Its settings, a subclass of `RuntimeOptions`.
        text_inputs: BYTES inputs that hold UTF-8 text; they reach the task as `str`.
        parameters_class: The request parameters that it accepts; None ignores them, as V2 does
            with parameters that a model does not know.
        prepares_alike: Whether `prepare` makes items of one kind of whatever inputs came, so that
            requests of other tensors, datatypes or shapes run together.
        placed: Whether it computes on a device, with torch. Where it is False, torch is not
            imported, there is no `placement`, and settings that ask for a device are refused.
        needs_weights: Whether it reads the weights of its checkpoint, or only how it is configured.
        finite: Whether NaN or infinity in an answer is a failure of the model. Only a task that
            hands on what came sets it to False.
    """

    settings_class: ClassVar[type[RuntimeOptions]] = RuntimeOptions
    text_inputs: ClassVar[frozenset[str]] = frozenset()
    parameters_class: ClassVar[type[RequestParameters] | None] = None
    prepares_alike: ClassVar[bool] = False
    placed: ClassVar[bool] = True
    needs_weights: ClassVar[bool] = True
    finite: ClassVar[bool] = True

    model: Model

    def setup(self) -> Model:
        """Loads the model: weights, and what else the task needs. Runs in the model's thread.

        Raises:
            ConfigurationError: a setting, a declaration or the checkpoint is wrong.
        """
        return cast(Model, None)

    def accept(self, parameters: Any) -> Parameters:
        """The parameters to run with: those of a request, an instance of `parameters_class`.

        A task that overrides it checks them against its settings, and fills in what was not given.

        Raises:
            InvalidInput: a parameter is outside of the settings' limits.
        """
        return cast(Parameters, parameters)

    def preparing(self, items: Sequence[Item]) -> Callable[[Item], Prepared]:
        """What prepares each item of one request; runs on the event loop, and so must cost little.

        A task that limits what the items of a request are together overrides it.

        Raises:
            InvalidInput: the items are not acceptable together.
        """
        return self.prepare

    def prepare(self, item: Item) -> Prepared:
        """Decodes or checks one item before it is queued. Runs in a pool thread, if overridden.

        What takes long calls `batching.check_wanted`, which ends it when its request is over.

        Raises:
            InvalidInput: the item is not acceptable; only its request fails.
        """
        return cast(Prepared, item)

    def length(self, item: Prepared) -> int:
        """A measure of an item's work (tokens, pixels); items of similar length run together."""
        return 0

    @property
    def work_limit(self) -> float | None:
        """The most that the lengths of a batch's items add up to; None is no limit.

        An item that is longer by itself runs alone. Asked once, after `setup`.
        """
        return None

    def predict_batch(
        self, items: Sequence[Prepared], parameters: Parameters
    ) -> Sequence[Outputs | InfergraphError]:
        """Computes the answers of a batch, one per item in order; runs in the model's thread.

        `items` are as `prepare` made them, `parameters` is what `accept` gave, equal for all items.
        Output keys are output tensor names. An item's own failure is returned in its place as an
        error; anything raised is taken for a failure of some item, and the batch is halved until
        that item is found. Between units of work call `batching.check_wanted`, which ends a batch
        that nobody waits for any more.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement predict_batch")

    def predict_arrays(self, arrays: Arrays, parameters: Parameters) -> Arrays:
        """Computes the answers of a batch on arrays; runs as `predict_batch`, in whose place it is.

        For tasks on numbers: no dictionary is made of each item. The arrays hold the rows of all
        requests of the batch, first dimension first, or, with the setting `max_batch_size` 0, one
        request's tensors of any shape; those of a lone request are not copied. Outputs have a row
        for each row of the inputs, or any shape. Never write into the arrays that came: other steps
        may read them. `prepare`, `length` and `text_inputs` are of items, and are not used.

        Raises:
            InfergraphError: a request cannot be answered; the batch is halved until that request is
                found. No single item of a request can fail.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement predict_arrays")

    def stream(self, item: Prepared, parameters: Parameters) -> Iterator[Outputs]:
        """Gives the answer of one item in parts, as they come; a generator.

        Each of its steps runs in the model's thread, and batches of other requests may run between
        them. It is closed when the caller goes away or the deadline passes. Each part holds all
        outputs that are not optional, of a text only what is new.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement stream")

    @property
    def blocking(self) -> bool:
        """Whether it must compute in the model's thread rather than on the event loop.

        One that does not may be called in both at once: large requests go to the thread.
        """
        return True

    @property
    def takes_arrays(self) -> bool:
        """Whether it is given arrays (`predict_arrays`) rather than items (`predict_batch`)."""
        return type(self).predict_arrays is not Hooks.predict_arrays
