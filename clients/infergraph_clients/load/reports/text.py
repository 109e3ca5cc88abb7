"""What reports say in words: numbers, verdicts, and JUnit's XML of them for CI."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from ..errors import LoadError
from ..statistics.distribution import Distribution
from ..statistics.intervals import FEWEST
from ..statistics.summary import Summary

Kind = Literal["good", "bad", "invalid", "note"]


@dataclass(frozen=True)
class Line:
    """A verdict.

    Attributes:
        kind: Whether it is good news, bad news, no news at all, or only worth knowing.
        name: What was judged, the same in every run.
        text: The verdict.
    """

    kind: Kind
    name: str
    text: str


def milliseconds(value: float | None) -> str:
    """Three significant digits, or a dash."""
    if value is None:
        return "-"
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.3f}" if value < 0.9995 else f"{value:#.3g}"


def utc(seconds: float) -> str:
    """A time since the epoch, as `2026-11-29 16:00:00 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def verdicts(summary: Summary) -> list[Line]:
    """All that was judged, what matters most first."""
    validity, steady = summary.validity, summary.steady_state
    lines = [Line("invalid", "measurement", f"invalid: {reason}") for reason in validity.reasons]
    if validity.valid:
        lines.append(Line("good", "measurement", "valid: the tester kept up"))
    if summary.slo is not None:
        slo = summary.slo
        text = (
            f"SLO p{slo.percentile:g} <= {slo.latency_ms:g} ms {'met' if slo.met else 'missed'}: "
            f"{slo.attainment:.2%} in time (95% interval {slo.attainment_low:.2%} to "
            f"{slo.attainment_high:.2%}), p{slo.percentile:g} is {milliseconds(slo.value_ms)} ms"
        )
        lines.append(Line("good" if slo.met else "bad", "SLO", text))
    for each in summary.thresholds:
        name = f"threshold {each.threshold}"
        text = f"{name} {'met' if each.met else 'missed'}: {_value(each.threshold, each.value)}"
        lines.append(Line("good" if each.met else "bad", name, text))
    if summary.scenario is not None:
        s = summary.scenario
        text = f"MLPerf {s.scenario}: {s.metric} {milliseconds(s.value)} {s.unit}"
        lines.append(Line("note", "MLPerf", text))
    if steady.steady is not None:
        text = f"{'steady' if steady.steady else 'not steady'}: {steady.reason}"
        lines.append(Line("good" if steady.steady else "note", "steady state", text))
    return lines + [Line("note", "note", f"note: {note}") for note in validity.notes]


def _value(threshold: str, value: float | None) -> str:
    if value is None:
        return "nothing was measured"
    if threshold.startswith("failed"):
        return f"{value:.2%}"
    return (
        f"{value:.1f}/s"
        if threshold.startswith(("rate", "goodput"))
        else f"{milliseconds(value)} ms"
    )


def latency_rows(summary: Summary, timeout_s: float) -> list[tuple[str, Distribution]]:
    """The times that reports show, the headline first."""
    rows = [("latency (from intended)", summary.latency)]
    if summary.requests.failed:
        rows = [
            (f"latency, failed {timeout_s:g} s or more", summary.latency),
            ("latency of right answers", summary.latency_of_right),
        ]
    rows += [
        ("service time (from sent)", summary.service_time),
        ("first byte (from sent)", summary.first_byte),
        ("first answer of a stream", summary.first_answer),
        ("longest wait between answers", summary.answer_gap),
        ("dispatch delay", summary.dispatch_delay),
    ]
    return [(name, times) for name, times in rows if times.count]


PERCENTILES = {
    "mean": "mean",
    "p50": "p50",
    "p90": "p90",
    "p95": "p95",
    "p99": "p99",
    "p99.9": "p999",
    "max": "max",
}
"""Column -> attribute of `Distribution`."""


def cells(times: Distribution) -> list[str]:
    """A row of a table of `PERCENTILES`."""
    return [milliseconds(getattr(times, name)) for name in PERCENTILES.values()]


def head_line(summary: Summary) -> str:
    """The rates, and how sure the mean is."""
    rates = summary.rates
    goodput = "" if rates.goodput is None else f", goodput {rates.goodput:.1f}/s"
    return (
        f"intended {rates.intended:.1f}/s, answered {rates.answered_ok:.1f}/s{goodput}, over "
        f"{summary.measured_s:.1f} s"
    )


def requests_line(summary: Summary) -> str:
    """How many requests there were, and how they ended."""
    requests = summary.requests
    counts = ", ".join(f"{count} {name}" for name, count in summary.outcomes.items() if count)
    unsent = f", {requests.unsent} not sent" if requests.unsent else ""
    return (
        f"{requests.sent} sent ({requests.warmup} to warm up{unsent}), {requests.measured} "
        f"measured: {counts or 'none'}"
    )


def interval_line(summary: Summary) -> str | None:
    """How sure the mean latency is; None for too few requests."""
    found = summary.latency_mean
    if found is None:
        return None
    low, high = milliseconds(found.low), milliseconds(found.high)
    short = "" if found.independent >= FEWEST else "; the run is short beside its queues' memory"
    return f"mean latency: {low} to {high} ms (95% interval{short})"


def write_junit(
    file: Path, suite: str, lines: Sequence[Line], began: float, seconds: float
) -> None:
    """Writes verdicts as a test suite: bad ones are failures, invalid ones errors.

    Raises:
        LoadError: the file cannot be written.
    """
    judged = [line for line in lines if line.kind != "note"]
    root = ElementTree.Element(
        "testsuite",
        name=suite,
        tests=str(len(judged)),
        failures=str(sum(line.kind == "bad" for line in judged)),
        errors=str(sum(line.kind == "invalid" for line in judged)),
        timestamp=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        time=f"{seconds:.3f}",
    )
    for line in judged:
        case = ElementTree.SubElement(root, "testcase", classname=suite, name=line.name)
        if line.kind in ("bad", "invalid"):
            tag = "failure" if line.kind == "bad" else "error"
            ElementTree.SubElement(case, tag, message=line.text)
    notes = [line.text for line in lines if line.kind == "note"]
    if notes:
        ElementTree.SubElement(root, "system-out").text = "\n".join(notes)
    tree = ElementTree.ElementTree(root)
    ElementTree.indent(tree)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        tree.write(file, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise LoadError(f"'{file}' cannot be written: {error.strerror}") from None
