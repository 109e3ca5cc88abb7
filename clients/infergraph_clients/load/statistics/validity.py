"""`Validity`: whether a run says something about the server, or about the tester."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..arrivals.specification import ClosedLoop, MultiStream, Offline, SingleStream
from ..configuration import RunConfiguration
from ..engine.plan import WorkerResult
from ..outcome import Outcome
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
    configuration: RunConfiguration,
    dispatch_delay: Distribution,
    outcomes: Mapping[str, int],
    processes: Sequence[WorkerResult],
    unsent: int,
    interrupted: bool,
    died: Mapping[int, int | None],
) -> Validity:
    """The verdict on a run.

    Args:
        configuration: What was asked for.
        dispatch_delay: Of the measured requests.
        outcomes: Label -> count, of all requests.
        processes: What each process said of itself.
        unsent, interrupted, died: See `Run`.
    """
    limits = configuration.limits
    reasons = [*_delay_reasons(configuration, dispatch_delay, processes)]
    for process in processes:
        if process.busiest_cpu > limits.cpu:
            reasons.append(
                f"process {process.process} used {process.busiest_cpu:.0%} of a core in its "
                f"busiest second, over {limits.cpu:.0%}: latencies may be its own; use more "
                "processes or a lower rate"
            )
    for number, status in died.items():
        reasons.append(f"process {number} died with status {status}; its records are lost")
    errors = outcomes.get(Outcome.TESTER_ERROR.label, 0)
    if errors:
        reasons.append(
            f"{errors} requests could not be sent for want of the tester's own resources (open "
            "files, ports)"
        )
    if not dispatch_delay.count and not died:
        reasons.append("no request was measured")
    return Validity(not reasons, reasons, _notes(configuration, unsent, interrupted))


def _delay_reasons(
    configuration: RunConfiguration, delay: Distribution, processes: Sequence[WorkerResult]
) -> list[str]:
    limit = configuration.limits.dispatch_delay_ms
    value = delay.p99 if delay.p99 is not None else delay.max
    # In the offline scenario requests wait for their turn by plan.
    if isinstance(configuration.arrivals, Offline) or value is None or value <= limit:
        return []
    busiest = max((process.busiest_cpu for process in processes), default=0.0)
    advice = (
        "use more processes or a lower rate"
        if busiest > _BUSY
        else f"it used only {busiest:.0%} of a core, so others took its turn: use another machine "
        "than the server's, or a quieter one"
    )
    return [
        f"the tester could not keep up: p99 of the dispatch delay is {value:.3g} ms, over "
        f"{limit:g} ms; {advice}"
    ]


def _notes(configuration: RunConfiguration, unsent: int, interrupted: bool) -> list[str]:
    notes = []
    if interrupted:
        notes.append(f"the run was ended early; {unsent} requests of its schedule were not sent")
    if isinstance(configuration.arrivals, (ClosedLoop, SingleStream, MultiStream)):
        notes.append(
            "closed loop: while the server is slow, less is sent, so its slowness is measured less "
            "often than users of an open system would meet it (coordinated omission)"
        )
    return notes
