"""The page of plots, report.html: one file, its scripts inside, that needs no network."""

from __future__ import annotations

import html
import time
from pathlib import Path

import plotly.graph_objects as go
import plotly.io
from plotly.offline import get_plotlyjs

from ..engine.run import Run
from ..outcome import Outcome
from ..statistics.distribution import Distribution
from ..statistics.summary import Summary
from . import plots
from .numbers import milliseconds
from .timeline import Timeline

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
       padding: 0 1rem; color: #1f2430; }}
h1 {{ font-size: 1.5rem; margin-bottom: 0; }}
h2 {{ font-size: 1.1rem; margin: 2rem 0 .3rem; }}
p.sub {{ color: #667; margin-top: .2rem; }}
table {{ border-collapse: collapse; margin: .8rem 0; }}
th, td {{ padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #e4e7ee; }}
th:first-child, td:first-child {{ text-align: left; }}
tr.headline td {{ font-weight: 600; }}
.verdict {{ padding: .5rem .8rem; border-left: 4px solid; margin: .4rem 0; background: #f6f7fa; }}
.good {{ border-color: #2e9e5b; }} .bad {{ border-color: #d33f49; }}
.note {{ border-color: #8a93a6; }}
pre {{ background: #f6f7fa; padding: .8rem; overflow-x: auto; font-size: 13px; }}
</style>
<script>{script}</script>
</head>
<body>
<h1>{title}</h1>
<p class="sub">{subtitle}</p>
{verdicts}
{table}
<p>{requests}</p>
{errors}
{figures}
<h2>Configuration</h2>
<pre>{configuration}</pre>
</body>
</html>
"""


def write_html(file: Path, run: Run, summary: Summary, seconds: Timeline) -> None:
    """Writes the page."""
    configuration = run.configuration
    rates = summary.rates
    goodput = "" if rates.goodput is None else f", goodput {rates.goodput:.1f}/s"
    began = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(run.began))
    figures = [
        ("Latency over time", plots.latency_over_time(seconds)),
        ("Distribution", plots.distribution(run, summary)),
        ("Requests over time", plots.requests_over_time(seconds)),
        ("In flight, and the tester's own delay", plots.in_flight(seconds)),
    ]
    if summary.stages.traced:
        figures.insert(1, ("Where the time went", plots.stages(summary.stages)))
    file.write_text(
        _PAGE.format(
            title=html.escape(f"{configuration.target.model} under {configuration.arrivals.kind}"),
            subtitle=html.escape(
                f"{configuration.target.url}, {began}: intended {rates.intended:.1f}/s, answered "
                f"{rates.answered_ok:.1f}/s{goodput}, over {summary.measured_s:.1f} s"
            ),
            script=get_plotlyjs(),
            verdicts="\n".join(_verdicts(summary)),
            table=_latency_table(summary),
            requests=html.escape(_requests(summary)),
            errors=_errors(summary),
            figures="\n".join(_figure(title, figure) for title, figure in figures),
            configuration=html.escape(configuration.model_dump_json(indent=2)),
        ),
        encoding="utf-8",
    )


def _figure(title: str, figure: go.Figure) -> str:
    body = plotly.io.to_html(
        figure, include_plotlyjs=False, full_html=False, config={"displaylogo": False}
    )
    return f"<h2>{html.escape(title)}</h2>\n{body}"


def _verdicts(summary: Summary) -> list[str]:
    lines = [("bad", f"Invalid: {reason}") for reason in summary.validity.reasons]
    if summary.validity.valid:
        lines.append(("good", "Valid: the tester kept up."))
    if summary.slo is not None:
        slo = summary.slo
        text = (
            f"SLO p{slo.percentile:g} <= {slo.latency_ms:g} ms {'met' if slo.met else 'missed'}: "
            f"{slo.attainment:.2%} in time, p{slo.percentile:g} is {milliseconds(slo.value_ms)} ms."
        )
        lines.append(("good" if slo.met else "bad", text))
    if summary.scenario is not None:
        s = summary.scenario
        lines.append(("note", f"MLPerf {s.scenario}: {s.metric} {milliseconds(s.value)} {s.unit}."))
    steady = summary.steady_state
    if steady.steady is not None:
        text = f"{'Steady' if steady.steady else 'Not steady'}: {steady.reason}."
        lines.append(("good" if steady.steady else "bad", text))
    lines += [("note", note) for note in summary.validity.notes]
    return [f'<div class="verdict {kind}">{html.escape(text)}</div>' for kind, text in lines]


def _latency_table(summary: Summary) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("ms", *_COLUMNS))
    rows = [
        ("latency (end - intended)", summary.latency, ' class="headline"'),
        ("service time (end - sent)", summary.service_time, ""),
        ("first byte (- sent)", summary.first_byte, ""),
        ("dispatch delay (sent - intended)", summary.dispatch_delay, ""),
    ]
    body = "\n".join(
        f"<tr{style}><td>{label}</td>{_cells(distribution)}</tr>"
        for label, distribution, style in rows
        if distribution.count
    )
    return f"<table><tr>{head}</tr>\n{body}</table>"


_COLUMNS = {
    "mean": "mean",
    "p50": "p50",
    "p90": "p90",
    "p95": "p95",
    "p99": "p99",
    "p99.9": "p999",
    "max": "max",
}


def _cells(distribution: Distribution) -> str:
    values = (getattr(distribution, name) for name in _COLUMNS.values())
    return "".join(f"<td>{milliseconds(value)}</td>" for value in values)


def _requests(summary: Summary) -> str:
    counts = ", ".join(
        f"{count} {Outcome[name.upper()].label}"
        for name, count in summary.outcomes.items()
        if count
    )
    requests = summary.requests
    return (
        f"{requests.scheduled} scheduled, {requests.sent} sent ({requests.warmup} to warm up), "
        f"{requests.measured} measured: {counts or 'none'}."
    )


def _errors(summary: Summary) -> str:
    if not summary.errors:
        return ""
    items = "\n".join(
        f"<li>{outcome}: {count} x {html.escape(text)}</li>"
        for outcome, texts in summary.errors.items()
        for text, count in texts.items()
    )
    return f"<h2>Failures</h2>\n<ul>{items}</ul>"
