"""Queues of one server in virtual time, by Lindley's recursion, whose waits theory knows."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from infergraph_clients.load.arrivals import build_schedule
from infergraph_clients.load.arrivals.specification import SingleStream
from infergraph_clients.load.configuration import RunConfiguration
from infergraph_clients.load.reports.folder import Report
from infergraph_clients.load.search import SearchResult, search
from infergraph_clients.load.statistics import Summary, summarise
from infergraph_clients.transports.outcome import Outcome

from .runs import configuration, records, run

Kind = Literal["M/D/1", "M/M/1"]


def waits(
    times: npt.NDArray[Any], services: npt.NDArray[Any], busy: float = 0.0
) -> npt.NDArray[np.float64]:
    """How long each request waits, in the unit of the times, if the server is busy until `busy`."""
    steps = np.concatenate([[max(busy - times[0], 0.0)], services[:-1] - np.diff(times)])
    sums = np.cumsum(steps)
    found: npt.NDArray[np.float64] = sums - np.minimum(np.minimum.accumulate(sums), 0.0)
    return found


def sojourn_times(
    rate: float,
    service_s: float,
    seconds: float,
    generator: np.random.Generator,
    kind: Kind = "M/D/1",
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Poisson arrivals in seconds, and the seconds that each is in the queue and served."""
    times = np.cumsum(generator.exponential(1 / rate, int(rate * seconds * 1.2) + 100))
    times = times[times < seconds]
    services = (
        generator.exponential(service_s, len(times))
        if kind == "M/M/1"
        else np.full(len(times), service_s)
    )
    return times, waits(times, services) + services


def mean_wait(load: float, service_s: float, kind: Kind) -> float:
    """By theory (Pollaczek and Khinchine), seconds."""
    return load * service_s / (1 - load) / (2 if kind == "M/D/1" else 1)


def share_within(rate: float, service_s: float, seconds: float) -> float:
    """The share of requests that an M/D/1 queue answers within some time, by Erlang's formula.

    Its terms are large and of both signs, so they are added up with 150 digits.
    """
    with localcontext(prec=150):
        wait, service, found = Decimal(seconds - service_s), Decimal(service_s), Decimal(0)
        factor = Decimal(1)
        for j in range(int(wait / service) + 1):
            factor *= j or 1
            exponent = Decimal(rate) * (j * service - wait)
            found += (exponent**j if j else 1) / factor * (-exponent).exp()
        return float((1 - Decimal(rate) * service) * found)


def rate_within(slo_s: float, service_s: float, share: float = 0.99) -> float:
    """The highest rate at which an M/D/1 queue that runs for ever answers a share in time."""
    low, high = 0.0, 1 / service_s
    for _ in range(30):
        middle = (low + high) / 2
        if share_within(middle, service_s, slo_s) >= share:
            low = middle
        else:
            high = middle
    return low


def report_of(
    times: npt.NDArray[np.float64],
    sojourns: npt.NDArray[np.float64],
    seconds: float,
    *,
    schedule: str,
) -> Report:
    """The report of a run without a warm-up whose requests were all answered well.

    Args:
        times, sojourns: In seconds.
        seconds: Of the run.
        schedule: What the schedule is known by.
    """
    table = records(sojourns * 1e3, intended_ms=times * 1e3)
    document = {
        "configuration": configuration(duration_s=seconds).model_dump(mode="json"),
        "schedule": {"sha256": schedule, "requests": len(table)},
        "payloads": ["p"],
        "interrupted": False,
        "summary": {
            "measured_s": seconds,
            "validity": {"reasons": []},
            "steady_state": {"steady": True},
        },
    }
    columns = {field: table[field] for field in table.dtype.names or ()}
    return Report(schedule, document, {**columns, "outcome": np.full(len(table), "ok")})


def queue_report(
    load: float, service_s: float, seconds: float, generator: np.random.Generator
) -> Report:
    """The report of a run on an M/D/1 queue; `load` is what services of 10 ms make of the rate."""
    # 2 s to warm up are left out.
    times, sojourns = sojourn_times(load / 0.01, service_s, seconds + 2, generator)
    late = times >= 2
    return report_of(times[late] - 2, sojourns[late], seconds, schedule=str(generator.random()))


def fifo_search(
    seed: int,
    *,
    duration: float = 3,
    slo_ms: float = 1_000,
    timeout: float = 30,
    arrivals: str = "poisson",
    start: float = 10,
    probed: bool = True,
    longest: float | None = None,
) -> SearchResult:
    """Searches on a server of exactly 100 requests a second, to 5%."""
    server = Server(0.01, seed)
    settings = configuration(
        arrivals={"kind": arrivals, "rate": 10},
        slo={"latency_ms": slo_ms},
        duration_s=duration,
        warmup_s=0.5,
        target={"url": "http://127.0.0.1:1", "model": "m", "timeout_s": timeout},
    )
    probe = server if probed else None
    return search(
        settings, server, start_rate=start, precision=0.05, longest_s=longest, probe=probe
    )


class Server:
    """One server that answers in the order of arrival, also what its caller has given up.

    Args:
        service_s: Of each request.
        seed: Of the arrivals.
        remembers: Whether it still works on what a run left behind.
    """

    def __init__(self, service_s: float, seed: int, *, remembers: bool = True) -> None:
        self._service_s = service_s
        self._seed = seed
        self._remembers = remembers
        self._now = self._busy = 0.0
        self.runs = 0

    def __call__(self, settings: RunConfiguration) -> Summary:
        """Does a run in virtual time."""
        self.runs += 1
        start, timeout = self._now, settings.target.timeout_s
        schedule = None
        if isinstance(settings.arrivals, SingleStream):
            times, latency = self._one_by_one(settings.arrivals.count or 1, timeout)
        else:
            generator = np.random.default_rng([self._seed, self.runs])
            schedule = build_schedule(
                settings.arrivals,  # type: ignore[arg-type]
                settings.duration_s,
                generator,
            )
            times = schedule.times / 1e9
            services = np.full(len(times), self._service_s)
            latency = waits(times, services, self._busy - start) + services
            self._busy = start + float(times[-1] + latency[-1])
        found = run(
            records(
                np.minimum(latency, timeout) * 1e3,
                intended_ms=times * 1e3,
                outcome=np.where(latency <= timeout, Outcome.OK, Outcome.TIMEOUT),
            ),
            settings,
        )
        found.schedule = schedule
        self._now = start + max(float((times + np.minimum(latency, timeout)).max()), 0.1)
        if not self._remembers:
            self._busy = self._now
        return summarise(found)

    def _one_by_one(
        self, count: int, timeout: float
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        times, latency, now = [], [], self._now
        for _ in range(count):
            self._busy = max(self._busy, now) + self._service_s
            times.append(now - self._now)
            latency.append(self._busy - now)
            now += min(latency[-1], timeout)
        return np.array(times), np.array(latency)
