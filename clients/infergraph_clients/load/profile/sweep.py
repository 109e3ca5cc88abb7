"""`sweep`: measures every cell of batch sizes and concurrencies, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...payloads import Payload
from ..arrivals import ClosedLoop
from ..configuration import RunConfiguration
from ..corpus.source import ask_metadata, read_payloads
from ..engine.run import Prepared, Run, ask_server, prepare
from ..errors import ExitStatus, LoadError
from ..statistics import summarise
from .batches import batches_of
from .cell import Cell, make_cell


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
    metadata = ask_metadata(configuration.target.route())
    payloads = read_payloads(configuration.payload, metadata)
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
