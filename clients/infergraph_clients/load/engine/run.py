"""`execute`: one run, of one load or of several at once, from configurations to raw data."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...payloads import Payload
from ...transports import Codec, make_transport
from ...transports.exchange import EPOCH_S, now_ns
from ...transports.outcome import Outcome
from ..arrivals import ClosedLoop, MultiStream, Offline, Schedule, build_schedule
from ..arrivals.specification import SingleStream
from ..configuration import RunConfiguration
from ..corpus import payload_order, read_expected, settle
from ..errors import LoadError
from .coordinator import Interrupts, WorkersResult, run_workers
from .plan import ClosedPlan, LoadPlan, OpenPlan, Progress, WorkerPlan, WorkerResult
from .records import RecordWriter, Traces, read_records

RECORDS = "partial"
"""The folder, in a report's, that holds the records until the report does."""


@dataclass
class Run:
    """The raw data of a run, of one load.

    Attributes:
        configuration: What was asked for.
        schedule: Of an open loop; None for a closed one, whose times follow from the answers.
        payload_names: By payload index.
        records: Dtype RECORD, ordered by intended time.
        traces: (request's index, its trace).
        errors: Outcome -> some of the texts, and how often each came.
        unsent: Requests of the schedule that have no record, since the run was ended early or a
            worker died.
        processes: What each worker said of itself.
        interrupted: Whether it was ended early, by a signal or by the tester's own death.
        died: Workers that died, by number, with their exit status.
        began: The start, from which times of records count, in seconds since the epoch.
        seconds: From the first intended time to the last answer.
        machine: What it ran on.
    """

    configuration: RunConfiguration
    schedule: Schedule | None
    payload_names: list[str]
    records: npt.NDArray[Any]
    traces: Traces
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
    """A load that is ready to start: files are read, and times fixed.

    Attributes:
        configuration: Of the run, with what the server's metadata have decided.
        payloads: What is sent.
        plans: By worker; those in which there is no share for it are not there.
    """

    configuration: RunConfiguration
    schedule: Schedule | None
    payloads: list[Payload]
    plans: list[LoadPlan]


def prepare(configuration: RunConfiguration, payloads: Sequence[Payload] | None = None) -> Prepared:
    """Does all that a run needs before the first request, but for the server's metadata.

    Args:
        configuration: Of the run.
        payloads: What is sent, instead of what its files hold.

    Raises:
        LoadError: something is wrong with the configuration or its files.
    """
    source, arrivals = configuration.payload, configuration.arrivals
    target, payloads = settle(configuration.target, source, payloads)
    configuration = configuration.model_copy(update={"target": target})
    expected = read_expected(source.expected, payloads) if source.expected else []
    # Ids of requests begin with what only this codec has, and no two workers share an index.
    codec = Codec(target.route())
    requests = [codec.encode(payload) for payload in payloads]
    traced = [codec.encode(each, trace=True) for each in payloads if configuration.trace]
    seeds = np.random.SeedSequence(configuration.seed).spawn(4)
    schedule = None
    parts: list[OpenPlan] | list[ClosedPlan]
    if isinstance(arrivals, (ClosedLoop, SingleStream, MultiStream, Offline)):
        parts = _closed_plans(configuration, seeds[3])
    else:
        generators = [np.random.default_rng(seed) for seed in seeds]
        schedule = build_schedule(arrivals, configuration.duration_s, generators[0])
        parts = _open_plans(configuration, schedule, len(payloads), generators[1], generators[2])
    plans = [
        LoadPlan(
            target=target,
            requests=requests,
            traced_requests=traced,
            arrivals=part,
            duration_ns=int(configuration.duration_s * 1e9),
            check=source.check,
            expected=expected,
            tolerance=source.tolerance,
            drain_s=configuration.drain_s,
        )
        for part in parts
    ]
    return Prepared(configuration, schedule, payloads, plans)


def ask_server(prepared: Prepared) -> None:
    """Asks the server whether the run can succeed at all: for readiness, and for one answer.

    An answer that is 500, 503 or 504, or does not come in time, is what a run may be meant to
    measure, so only what can never succeed is an error.

    Raises:
        LoadError: the server cannot be reached, does not know the model, or refuses the request.
    """
    asyncio.run(_ask(prepared.plans[0]))


async def _ask(plan: LoadPlan) -> None:
    target = plan.target
    transport = make_transport(target.route())
    try:
        try:
            ready = await transport.is_ready()
        except ConnectionError as error:
            raise LoadError(f"server '{target.url}' cannot be reached: {error}") from None
        if ready is None:
            raise LoadError(f"server '{target.url}' has no model '{target.model}'")
        request = plan.requests[0]
        exchange = await transport.ended(
            lambda exchange: transport.send(request, exchange), target.timeout_s
        )
        if exchange.outcome is Outcome.CLIENT_ERROR:
            raise LoadError(
                f"model '{target.model}' of '{target.url}' refused the first request: "
                f"{exchange.error}"
            )
        if exchange.outcome is Outcome.REFUSED:
            raise LoadError(f"server '{target.url}' cannot be reached: {exchange.error}")
    finally:
        await transport.close()


def execute(
    prepared: Prepared,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    interrupts: Interrupts | None = None,
    folder: Path | None = None,
) -> Run:
    """Sends the requests of one load; see `execute_all`."""
    return execute_all([prepared], on_progress, interrupts, None if folder is None else [folder])[0]


def execute_all(
    loads: Sequence[Prepared],
    on_progress: Callable[[Progress], None] = lambda progress: None,
    interrupts: Interrupts | None = None,
    folders: Sequence[Path] | None = None,
) -> list[Run]:
    """Sends the requests of several loads, which start at the same time; a run for each.

    Args:
        loads: What to send. They have the same workers and processes.
        on_progress: Told several times a second what happened, by each worker and load.
        interrupts: The first ends sending, the second gives up what is in flight.
        folders: Where the records of each go while they are measured, and stay; None means a
            temporary folder that does not.

    Raises:
        LoadError: a worker did not start, or records cannot be written.
        KeyboardInterrupt: the run was ended before it began.
    """
    first = loads[0].configuration
    plans = [
        WorkerPlan(
            process,
            {i: load.plans[process] for i, load in enumerate(loads) if process < len(load.plans)},
        )
        for process in range(max(len(load.plans) for load in loads))
    ]
    with contextlib.ExitStack() as stack:
        if folders is None:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="infergraph-load-")))
            folders = [root / str(number) for number in range(len(loads))]
        writers = [
            stack.enter_context(_writing(folder, load))
            for folder, load in zip(folders, loads, strict=True)
        ]

        def heard(progress: Progress) -> None:
            writers[progress.load].add(progress.records, progress.traces)
            on_progress(progress)

        def started(began: float) -> None:
            for writer in writers:
                writer.note(began=began)

        found = run_workers(plans, first.workers, heard, interrupts or Interrupts(), started)
        for writer in writers:
            writer.close()
        return [
            _run(folder, found, number, load)
            for number, (load, folder) in enumerate(zip(loads, folders, strict=True))
        ]


def recovered(folder: Path) -> Run:
    """The run whose tester died, from the records that it left; LoadError if there are none."""
    return _run(folder, WorkersResult(interrupted=True))


@contextlib.contextmanager
def _writing(folder: Path, load: Prepared) -> Iterator[RecordWriter]:
    document = {
        "configuration": load.configuration.model_dump(mode="json"),
        "payloads": [payload.name for payload in load.payloads],
        "scheduled": None if load.schedule is None else len(load.schedule),
        "began": now_ns() / 1e9 + EPOCH_S,
        "machine": _machine(),
    }
    with contextlib.closing(RecordWriter(folder, document)) as writer:
        yield writer


def _run(
    folder: Path, found: WorkersResult, number: int = 0, prepared: Prepared | None = None
) -> Run:
    """The run whose records are in a folder; `prepared` where this process has sent it."""
    document, records, traces = read_records(folder)
    records = records[np.argsort(records["intended_ns"], kind="stable")]
    results = sorted(found.results, key=lambda result: result.process)
    errors: dict[int, dict[str, int]] = {}
    for result in results:
        for outcome, texts in result.errors.get(number, {}).items():
            merged = errors.setdefault(outcome, {})
            for text, count in texts.items():
                merged[text] = merged.get(text, 0) + count
    unsent = sum(result.unsent.get(number, 0) for result in results)
    if document["scheduled"] is not None:
        # Those of a worker that died are among them.
        unsent = document["scheduled"] - len(records)
    machine = document["machine"]
    if found.clocks:
        machine["workers"] = found.clocks
    return Run(
        configuration=RunConfiguration.model_validate(document["configuration"])
        if prepared is None
        else prepared.configuration,
        schedule=None if prepared is None else prepared.schedule,
        payload_names=document["payloads"],
        records=records,
        traces=traces,
        errors=errors,
        unsent=unsent,
        processes=results,
        interrupted=found.interrupted,
        died=found.died,
        began=document["began"],
        seconds=float(records["end_ns"].max()) / 1e9 if len(records) else 0.0,
        machine=machine,
    )


def _machine() -> dict[str, Any]:
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": len(affinity(0)) if affinity else None,
    }


def _closed_plans(
    configuration: RunConfiguration, seed: np.random.SeedSequence
) -> list[ClosedPlan]:
    arrivals = configuration.arrivals
    users = getattr(arrivals, "concurrency", 1)
    count = getattr(arrivals, "count", None)
    samples = arrivals.samples_per_query if isinstance(arrivals, MultiStream) else 1
    closed = arrivals if isinstance(arrivals, ClosedLoop) else None
    # A worker without users would do nothing, and one without a share of the count have no end.
    workers = min(configuration.all_processes, users if count is None else min(users, count))

    def share(total: int, number: int) -> int:
        return total // workers + (number < total % workers)

    return [
        ClosedPlan(
            users=share(users, number),
            samples=samples,
            count=None if count is None else share(count * samples, number),
            think_s=closed.think_s if closed else 0.0,
            think=closed.think if closed else "constant",
            all_at_start=isinstance(arrivals, Offline),
            order=configuration.payload.order,
            traced=configuration.trace,
            entropy=configuration.seed,
            spawn_key=(*seed.spawn_key, number),
            first_index=number,
            index_step=workers,
        )
        for number in range(workers)
    ]


def _open_plans(
    configuration: RunConfiguration,
    schedule: Schedule,
    payloads: int,
    payload_generator: np.random.Generator,
    trace_generator: np.random.Generator,
) -> list[OpenPlan]:
    count, workers = len(schedule), min(configuration.all_processes, len(schedule))
    order = payload_order(configuration.payload.order, payloads, count, payload_generator)
    traced = trace_generator.random(count) < configuration.trace
    return [
        OpenPlan(schedule.times[part], order[part], traced[part], number, workers)
        for number, part in ((number, slice(number, None, workers)) for number in range(workers))
    ]
