"""A summary as tables for a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..configuration import RunConfiguration
from ..statistics.distribution import Distribution
from ..statistics.summary import Summary
from .numbers import milliseconds


def print_summary(console: Console, configuration: RunConfiguration, summary: Summary) -> None:
    """Prints the latencies, what became of the requests, the stages and the verdict."""
    _print(console, Text("\n") + Text(_head(configuration, summary), style="bold"))
    console.print(_latency_table(summary))
    _print(console, Text(_outcome_line(summary)))
    for outcome, texts in summary.errors.items():
        commonest, count = max(texts.items(), key=lambda item: item[1])
        more = f" (and {len(texts) - 1} other texts)" if len(texts) > 1 else ""
        _print(console, Text(f"  {outcome}: {count} x {commonest}{more}", style="red"))
    if summary.stages.traced:
        console.print(_stage_table(summary))
    for text in _verdict_lines(summary):
        _print(console, text)


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True, highlight=False)


def _head(configuration: RunConfiguration, summary: Summary) -> str:
    rates = summary.rates
    goodput = "" if rates.goodput is None else f", goodput {rates.goodput:.1f}/s"
    return (
        f"{configuration.target.model} at {configuration.target.url}: "
        f"{configuration.arrivals.kind}, intended {rates.intended:.1f}/s, answered "
        f"{rates.answered_ok:.1f}/s{goodput}, over {summary.measured_s:.1f} s"
    )


def _latency_table(summary: Summary) -> Table:
    # Narrow enough for 80 columns, as in the log of a CI job.
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("ms", no_wrap=True)
    for name in ("mean", "p50", "p90", "p95", "p99", "p99.9", "max"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = [
        ("latency (from intended)", summary.latency, "bold"),
        ("service time (from sent)", summary.service_time, ""),
        ("first byte (from sent)", summary.first_byte, ""),
        ("dispatch delay", summary.dispatch_delay, ""),
    ]
    for label, distribution, style in rows:
        if distribution.count:
            table.add_row(label, *_cells(distribution), style=style)
    return table


def _cells(distribution: Distribution) -> list[str]:
    d = distribution
    return [milliseconds(value) for value in (d.mean, d.p50, d.p90, d.p95, d.p99, d.p999, d.max)]


def _outcome_line(summary: Summary) -> str:
    requests = summary.requests
    counts = ", ".join(f"{count} {name}" for name, count in summary.outcomes.items() if count)
    unsent = f", {requests.unsent} not sent" if requests.unsent else ""
    return (
        f"{requests.sent} sent ({requests.warmup} to warm up{unsent}), {requests.measured} "
        f"measured: {counts or 'none'}"
    )


def _stage_table(summary: Summary) -> Table:
    stages = summary.stages
    table = Table(
        box=box.SIMPLE_HEAD, title=f"Where the time went ({stages.traced} traced)", expand=False
    )
    table.add_column("part")
    for name in ("mean ms", "share", "p50", "p99"):
        table.add_column(name, justify="right")
    total = sum(stages.mean_ms.values())
    for name, mean in stages.mean_ms.items():
        table.add_row(
            name,
            milliseconds(mean),
            f"{mean / total:.0%}",
            milliseconds(stages.p50_ms[name]),
            milliseconds(stages.p99_ms[name]),
        )
    sizes = ", ".join(f"{step} {size:.1f}" for step, size in stages.batch_size.items())
    table.caption = f"{stages.reconciled or 0:.1%} add up to within 2%; mean batch: {sizes or '-'}"
    return table


def _verdict_lines(summary: Summary) -> list[Text]:
    lines = []
    if summary.scenario is not None:
        s = summary.scenario
        lines.append(Text(f"MLPerf {s.scenario}: {s.metric} {milliseconds(s.value)} {s.unit}"))
    if summary.slo is not None:
        slo = summary.slo
        verdict = Text("met", style="green") if slo.met else Text("missed", style="red")
        lines.append(
            Text(f"SLO p{slo.percentile:g} <= {slo.latency_ms:g} ms ")
            + verdict
            + Text(
                f": {slo.attainment:.2%} in time, p{slo.percentile:g} is "
                f"{milliseconds(slo.value_ms)} ms"
            )
        )
    steady = summary.steady_state
    if steady.steady is not None:
        verdict = (
            Text("steady", style="green") if steady.steady else Text("not steady", style="yellow")
        )
        lines.append(verdict + Text(f": {steady.reason}"))
    if summary.validity.valid:
        lines.append(Text("valid", style="green") + Text(": the tester kept up"))
    lines += [
        Text("INVALID", style="red") + Text(f": {reason}") for reason in summary.validity.reasons
    ]
    lines += [Text(f"note: {note}") for note in summary.validity.notes]
    return lines
