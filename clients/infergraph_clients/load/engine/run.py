"""`execute`: one run from its configuration to its raw data."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...payloads import Payload
from ...transports import Codec
from ..arrivals import ClosedLoop, MultiStream, Offline, Schedule, build_schedule
from ..arrivals.specification import SingleStream
from ..configuration import RunConfiguration
from ..corpus import payload_order, read_expected, settle
from .crew import CrewResult, run_crew
from .interrupts import Interrupts
from .plan import ClosedPlan, OpenPlan, Progress, WorkerPlan, WorkerResult
from .preflight import ask_server
from .records import RECORD


@dataclass
class Run:
    """The raw data of a run.

    Attributes:
        configuration: What was asked for.
        schedule: Of an open loop; None for a closed one, whose times follow from the answers.
        payload_names: By payload index.
        records: Dtype RECORD, ordered by intended time.
        traces: (request's index, its trace).
        errors: Outcome -> some of the texts, and how often each came.
        unsent: Requests of the schedule that were not sent, since the run was ended early.
        processes: What each process said of itself.
        interrupted: Whether it was ended by Ctrl-C.
        died: Processes that died, by number, with their exit status.
        began: Seconds since the epoch.
        seconds: From the first intended time to the last answer.
        machine: What it ran on.
    """

    configuration: RunConfiguration
    schedule: Schedule | None
    payload_names: list[str]
    records: npt.NDArray[Any]
    traces: list[tuple[int, Mapping[str, Any]]]
    errors: dict[int, dict[str, int]]
    unsent: int
    processes: list[WorkerResult]
    interrupted: bool
    died: dict[int, int | None]
    began: float
    seconds: float
    machine: dict[str, Any]


@dataclass
class Prepared:
    """A run that is ready to start: files are read, requests encoded, times fixed."""

    configuration: RunConfiguration
    schedule: Schedule | None
    payload_names: list[str]
    plans: list[WorkerPlan]


def prepare(configuration: RunConfiguration, payloads: Sequence[Payload] | None = None) -> Prepared:
    """Does all that a run needs before the first request, but for the server's metadata.

    Args:
        configuration: Of the run.
        payloads: What is sent, instead of what its files hold.

    Raises:
        LoadError: something is wrong with the configuration or its files.
    """
    source = configuration.payload
    target, found = settle(configuration.target, source, payloads)
    payloads, codec = found, Codec(target.route())
    expected = read_expected(source.expected, payloads) if source.expected else []
    requests = [codec.encode(payload) for payload in payloads]
    traced = [codec.encode(payload, trace=True) for payload in payloads]
    arrivals = configuration.arrivals
    seeds = np.random.SeedSequence(configuration.seed).spawn(4)
    schedule = None
    loads: list[OpenPlan | ClosedPlan]
    if isinstance(arrivals, (ClosedLoop, SingleStream, MultiStream, Offline)):
        loads = [
            _closed_plan(configuration, number, seeds[3]) for number in range(_users(configuration))
        ]
    else:
        generators = [np.random.default_rng(seed) for seed in seeds]
        schedule = build_schedule(arrivals, configuration.duration_s, generators[0])
        loads = _open_plans(configuration, schedule, len(payloads), generators[1], generators[2])
    plans = [
        WorkerPlan(
            process=number,
            target=target,
            requests=requests,
            traced_requests=traced if configuration.trace > 0 else [],
            load=load,
            duration_ns=int(configuration.duration_s * 1e9),
            check=source.check,
            expected=expected,
            tolerance=source.tolerance,
            drain_s=configuration.drain_s,
        )
        for number, load in enumerate(loads)
    ]
    return Prepared(configuration, schedule, [payload.name for payload in payloads], plans)


def preflight(prepared: Prepared) -> None:
    """Asks the server whether the run can succeed at all, unless the run does not want that.

    Raises:
        LoadError: the server cannot be reached, or does not know the model or the request's form.
    """
    if prepared.configuration.preflight:
        ask_server(prepared.configuration, prepared.plans[0].requests[0])


def execute(
    prepared: Prepared,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    interrupts: Interrupts | None = None,
) -> Run:
    """Sends the requests of a prepared run.

    Args:
        prepared: What to send.
        on_progress: Told several times a second what happened, by each process.
        interrupts: The first ends sending, the second gives up what is in flight.

    Raises:
        LoadError: a process did not start.
        KeyboardInterrupt: the run was ended before it began.
    """
    began = time.time()
    crew = run_crew(prepared.plans, on_progress, interrupts or Interrupts())
    return _merged(prepared, crew, began)


def _users(configuration: RunConfiguration) -> int:
    """How many processes have users: none is started for nobody."""
    arrivals = configuration.arrivals
    users = getattr(arrivals, "concurrency", 1)
    count = getattr(arrivals, "count", None)
    # A process without a share of the count would have no end.
    return min(configuration.processes, users if count is None else min(users, count))


def _share(total: int, number: int, parts: int) -> int:
    return total // parts + (number < total % parts)


def _closed_plan(
    configuration: RunConfiguration, number: int, seed: np.random.SeedSequence
) -> ClosedPlan:
    arrivals = configuration.arrivals
    processes = _users(configuration)
    count = getattr(arrivals, "count", None)
    if isinstance(arrivals, MultiStream) and count is not None:
        count *= arrivals.samples_per_query
    closed = arrivals if isinstance(arrivals, ClosedLoop) else None
    return ClosedPlan(
        users=_share(getattr(arrivals, "concurrency", 1), number, processes),
        samples=arrivals.samples_per_query if isinstance(arrivals, MultiStream) else 1,
        count=None if count is None else _share(count, number, processes),
        think_s=closed.think_s if closed else 0.0,
        think=closed.think if closed else "constant",
        all_at_start=isinstance(arrivals, Offline),
        order=configuration.payload.order,
        traced=configuration.trace,
        seeds=np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, number)),
        first_index=number,
        index_step=processes,
    )


def _open_plans(
    configuration: RunConfiguration,
    schedule: Schedule,
    payloads: int,
    payload_generator: np.random.Generator,
    trace_generator: np.random.Generator,
) -> list[OpenPlan | ClosedPlan]:
    count, processes = len(schedule), min(configuration.processes, len(schedule))
    order = payload_order(configuration.payload.order, payloads, count, payload_generator)
    traced = trace_generator.random(count) < configuration.trace
    indices = np.arange(count, dtype=np.int64)
    return [
        OpenPlan(indices[part], schedule.times[part], order[part], traced[part])
        for part in (slice(number, None, processes) for number in range(processes))
    ]


def _merged(prepared: Prepared, crew: CrewResult, began: float) -> Run:
    results = sorted(crew.results, key=lambda result: result.process)
    tables = [result.records for result in results]
    records = np.concatenate(tables) if tables else np.empty(0, RECORD)
    records = records[np.argsort(records["intended_ns"], kind="stable")]
    errors: dict[int, dict[str, int]] = {}
    for result in results:
        for outcome, texts in result.errors.items():
            merged = errors.setdefault(outcome, {})
            for text, count in texts.items():
                merged[text] = merged.get(text, 0) + count
    for result in results:
        # They are in the merged table now.
        result.records = np.empty(0, RECORD)
    return Run(
        configuration=prepared.configuration,
        schedule=prepared.schedule,
        payload_names=prepared.payload_names,
        records=records,
        traces=[trace for result in results for trace in result.traces],
        errors=errors,
        unsent=sum(result.unsent for result in results),
        processes=results,
        interrupted=crew.interrupted,
        died=crew.died,
        began=began,
        seconds=float(records["end_ns"].max()) / 1e9 if len(records) else 0.0,
        machine={
            "system": platform.platform(),
            "python": platform.python_version(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        },
    )
