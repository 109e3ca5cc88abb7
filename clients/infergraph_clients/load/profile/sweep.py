"""`sweep`: measures every cell of batch sizes and concurrencies, one after the other.

Its requests hold items of the payloads, as many as the cell says.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from infergraph.v2 import Tensor

from ...payloads import Payload
from ..arrivals import ClosedLoop
from ..configuration import RunConfiguration
from ..corpus.source import ask_metadata, read_payloads
from ..engine.run import Prepared, Run, ask_server, prepare
from ..errors import ExitStatus, LoadError
from ..statistics import summarise
from .cell import Cell, make_cell

_MOST_BATCHES = 64


@dataclass
class Profile:
    """A profile.

    Attributes:
        configuration: Of its runs, but for the concurrency and the seed, which each run has its own
            of: the configuration's seed and the number of the repeat are added up.
        parameters: What the server says of the model: variant, device and the like.
        began: Seconds since the epoch.
        cells: By batch size, then by concurrency.
        machine: What the tester ran on.
        interrupted: Whether it was ended before its last cell.
    """

    configuration: RunConfiguration
    parameters: dict[str, Any]
    began: float
    cells: list[Cell] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def model(self) -> str:
        return self.configuration.target.model

    @property
    def status(self) -> ExitStatus:
        """MISSED if requests failed or were refused, INVALID if the tester was too slow."""
        if self.interrupted:
            return ExitStatus.INTERRUPTED
        if any(cell.failed or not cell.requests for cell in self.cells):
            return ExitStatus.MISSED
        return ExitStatus.FINE if all(cell.valid for cell in self.cells) else ExitStatus.INVALID


def sweep(
    configuration: RunConfiguration,
    batch_sizes: Sequence[int],
    concurrencies: Sequence[int],
    repeats: int,
    trial: Callable[[Prepared], Run],
    on_cell: Callable[[Cell], None] = lambda cell: None,
) -> Profile:
    """Measures a model.

    A batch size that the server refuses becomes cells with a problem, unless it is the first.

    Args:
        configuration: Of each run; its arrivals are replaced by closed loops.
        batch_sizes, concurrencies: Of the cells.
        repeats: Runs of each cell.
        trial: Does a run; KeyboardInterrupt, or a run that was interrupted, ends the sweep.
        on_cell: Told of each cell.

    Raises:
        LoadError: the payloads cannot be read or divided into items, answers are to be as expected,
            the server cannot be reached, or refuses the first batch size.
    """
    if configuration.payload.check == "expected":
        raise LoadError(
            "payload.check is 'expected', but a profile makes requests of its own, whose answers "
            "no file holds; accepted: none, valid, consistent"
        )
    route = configuration.target.route()
    metadata = ask_metadata(route, needed=configuration.payload.synthetic is not None)
    payloads = read_payloads(configuration.payload, metadata)
    target = configuration.target.settled(route.settled(metadata))
    configuration = configuration.model_copy(update={"target": target})
    profile = Profile(configuration, dict(metadata.parameters), time.time())
    for batch_size in batch_sizes:
        batches = batches_of(payloads, batch_size)
        refusal = _refusal(configuration, batches)
        if refusal is not None and not profile.cells:
            raise refusal
        for concurrency in concurrencies:
            if refusal is not None:
                cell = Cell(batch_size, concurrency, 0, False, str(refusal))
            else:
                runs = []
                for repeat in range(repeats):
                    settings = _settings(configuration, concurrency, repeat)
                    run = _unless_interrupted(trial, prepare(settings, batches))
                    if run is None:
                        profile.interrupted = True
                        return profile
                    profile.machine = run.machine
                    runs.append(run)
                cell = make_cell(batch_size, concurrency, runs, [summarise(run) for run in runs])
            profile.cells.append(cell)
            on_cell(cell)
    return profile


def _unless_interrupted(trial: Callable[[Prepared], Run], prepared: Prepared) -> Run | None:
    try:
        run = trial(prepared)
    except KeyboardInterrupt:
        # It came before the run began.
        return None
    return None if run.interrupted else run


def _settings(configuration: RunConfiguration, concurrency: int, repeat: int) -> RunConfiguration:
    update = {
        "arrivals": ClosedLoop(concurrency=concurrency),
        "seed": configuration.seed + repeat,
    }
    return configuration.model_copy(update=update)


def _refusal(configuration: RunConfiguration, batches: Sequence[Payload]) -> LoadError | None:
    try:
        ask_server(prepare(_settings(configuration, 1, 0), batches))
    except LoadError as error:
        return error
    return None


def batches_of(payloads: Sequence[Payload], size: int) -> list[Payload]:
    """Requests of `size` items each, in which all items of the payloads have their turn.

    Items whose tensors differ in anything but the values, or whose parameters do, never share a
    request.

    Raises:
        LoadError: a payload has no items that it could be divided into.
    """
    kinds: dict[object, list[Payload]] = {}
    for item in items_of(payloads):
        kinds.setdefault(_kind(item), []).append(item)
    batches = []
    for items in kinds.values():
        # Few enough to be encoded before the run, and at least one.
        for number in range(min(math.ceil(len(items) / size), _MOST_BATCHES)):
            start = number * size
            chosen = [items[(start + place) % len(items)] for place in range(size)]
            batches.append(_joined(chosen))
    return batches


def items_of(payloads: Sequence[Payload]) -> list[Payload]:
    """Each item as a request of its own.

    Raises:
        LoadError: the tensors of a payload do not begin with one same count of items.
    """
    items = []
    for payload in payloads:
        shapes = {tensor.name: list(tensor.shape) for tensor in payload.tensors}
        counts = {tensor.shape[0] if tensor.shape else 0 for tensor in payload.tensors}
        if len(counts) > 1 or 0 in counts:
            shown = ", ".join(f"'{name}' {shape}" for name, shape in shapes.items())
            raise LoadError(
                f"payload '{payload.name}' cannot be divided into items: {shown}; accepted: "
                "inputs whose first size is the same count of items"
            )
        (count,) = counts
        items += [_item(payload, place, count) for place in range(count)]
    return items


def _item(payload: Payload, place: int, count: int) -> Payload:
    tensors = [replace(tensor, data=tensor.data[place : place + 1]) for tensor in payload.tensors]
    name = payload.name if count == 1 else f"{payload.name}[{place}]"
    return replace(payload, name=name, tensors=tensors)


def _kind(item: Payload) -> object:
    tensors = [
        (each.name, each.datatype, each.shape, repr(each.parameters)) for each in item.tensors
    ]
    return (*tensors, repr(sorted(item.parameters.items())), repr(item.outputs))


def _joined(items: Sequence[Payload]) -> Payload:
    first = items[0]
    tensors: list[Tensor] = [
        replace(tensor, data=np.concatenate([item.tensors[place].data for item in items]))
        for place, tensor in enumerate(first.tensors)
    ]
    name = first.name if len(items) == 1 else f"{len(items)} from {first.name}"
    return replace(first, name=name, tensors=tensors)
