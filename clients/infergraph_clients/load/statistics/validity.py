"""`Validity`: whether a run says something about the server, or about the tester."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...transports.outcome import Outcome
from ..arrivals.specification import ClosedLoop, MultiStream, Offline, SingleStream
from ..configuration import RunConfiguration
from ..engine.plan import WorkerResult
from ..engine.run import Run
from .distribution import Distribution

_BUSY = 0.6
"""A process that used less of a core did not lack it by its own work."""


@dataclass(frozen=True)
class Validity:
    """The verdict.

    Attributes:
        valid: Whether the tester kept up.
        reasons: Why not.
        notes: What a reader should know, although it makes no run invalid.
    """

    valid: bool
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def judge(
    run: Run, dispatch_delay: Distribution, latency: Distribution, outcomes: Mapping[str, int]
) -> Validity:
    """The verdict on a run.

    Args:
        run: With its records.
        dispatch_delay: Of the measured requests.
        latency: Of those that were answered well, of which the delay is a part.
        outcomes: Label -> count, of all requests.
    """
    configuration = run.configuration
    limits = configuration.limits
    reasons, notes = _delays(configuration, dispatch_delay, latency, run.processes)
    for process in run.processes:
        if process.busiest_cpu > limits.cpu:
            reasons.append(
                f"process {process.process} used {process.busiest_cpu:.0%} of a core in its "
                f"busiest second, over {limits.cpu:.0%}: latencies may be its own; use more "
                "processes or a lower rate"
            )
    for number, status in run.died.items():
        reasons.append(f"process {number} died with status {status}; its records are lost")
    errors = outcomes.get(Outcome.TESTER_ERROR.label, 0)
    if errors:
        reasons.append(
            f"{errors} requests could not be sent for want of the tester's own resources (open "
            "files, ports)"
        )
    if not dispatch_delay.count and not run.died:
        early = f": all were meant for the warm-up of {configuration.warmup_s:g} s"
        reasons.append(f"no request was measured{early if len(run.records) else ''}")
    if run.interrupted:
        notes.append(
            f"the run was ended early; {run.unsent} requests of its schedule were not sent"
            if run.processes or run.died
            else "the run was ended early by the end of the tester: how busy it was is not known, "
            f"nor what became of {run.unsent} requests of its schedule, which have no record"
        )
    if isinstance(configuration.arrivals, (ClosedLoop, SingleStream, MultiStream)):
        notes.append(
            "closed loop: while the server is slow, less is sent, so its slowness is measured less "
            "often than users of an open system would meet it (coordinated omission)"
        )
    recorded_s = None if run.schedule is None else run.schedule.recorded_s
    if recorded_s is not None and recorded_s > configuration.duration_s * (1 + 1e-9):
        notes.append(
            f"the trace lasts {recorded_s:g} s; only its first {configuration.duration_s:g} s were "
            "played (duration_s)"
        )
    return Validity(not reasons, reasons, notes)


def _delays(
    configuration: RunConfiguration,
    delay: Distribution,
    latency: Distribution,
    processes: Sequence[WorkerResult],
) -> tuple[list[str], list[str]]:
    """Reasons and notes: what the tester's own lateness falsifies.

    A latency holds the delay of its request, so a percentile of latency is wrong by no more than
    the delay's own percentile, which may be a small share of it.
    """
    # In the offline scenario requests wait for their turn by plan.
    if isinstance(configuration.arrivals, Offline):
        return [], []
    limits = configuration.limits
    reasons, notes = [], []
    for name in ("p50", "p99" if delay.p99 is not None else "max"):
        late, total = getattr(delay, name), getattr(latency, name)
        if late is None:
            continue
        share = late / total if total else 1.0
        relative = f"{share:.0%} of the latency's {name}"
        if late > limits.dispatch_delay_ms and (
            limits.strict or share > limits.dispatch_delay_share
        ):
            allowed = "" if limits.strict else f" and over {limits.dispatch_delay_share:.0%} of it"
            reasons.append(
                f"the tester could not keep up: {name} of the dispatch delay is {late:.3g} ms, "
                f"over {limits.dispatch_delay_ms:g} ms{allowed} ({relative}); {_advice(processes)}"
            )
        elif total and share > limits.dispatch_delay_share:
            notes.append(
                f"{name} of the dispatch delay is only {late:.3g} ms, but {relative}: look at the "
                "service time, too"
            )
    return reasons[:1], notes[:1]


def _advice(processes: Sequence[WorkerResult]) -> str:
    busiest = max((process.busiest_cpu for process in processes), default=0.0)
    if busiest > _BUSY:
        return "use more processes or a lower rate"
    return (
        f"it used only {busiest:.0%} of a core, so others took its turn: use another machine than "
        "the server's, or a quieter one"
    )
