"""What a terminal shows of a run, while it goes on and afterwards, and the timeline."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from infergraph_clients.load.engine.plan import Progress
from infergraph_clients.load.reports import plots
from infergraph_clients.load.reports.live import LiveView
from infergraph_clients.load.reports.page import table_html, verdict, write_page
from infergraph_clients.load.reports.terminal import print_summary
from infergraph_clients.load.reports.text import milliseconds
from infergraph_clients.load.reports.timeline import timeline
from infergraph_clients.load.statistics import summarise
from infergraph_clients.transports.outcome import Outcome

from .runs import configuration, records, run


def console() -> Console:
    return Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)


def written(output: Console) -> str:
    assert isinstance(output.file, io.StringIO)
    return output.file.getvalue()


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0123, "0.012"), (1.2345, "1.23"), (99.96, "100"), (1234.5, "1234")],
)
def test_milliseconds(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


def test_a_summary() -> None:
    outcome = np.where(np.arange(1_000) < 20, Outcome.OVERLOAD, Outcome.OK)
    found = run(
        records([20.0] * 1_000, outcome=outcome, delay_ms=0.5),
        configuration(slo={"latency_ms": 50, "percentile": 99}),
        traces=[(500, {"model": "m", "queue_us": 2_000, "compute_us": 3_000, "batch_size": 2})],
    )
    found.errors = {int(Outcome.OVERLOAD): {"HTTP 503: its queue [of 4] is full": 20}}
    output = console()
    print_summary(output, found.configuration, summarise(found))
    text = written(output)
    for line in (
        "m at http://127.0.0.1:1: constant, intended 100.0/s, answered 97.9/s, goodput 97.9/s",
        "1000 sent (0 to warm up), 1000 measured: 980 ok, 20 overload",
        "overload: 20 x HTTP 503: its queue [of 4] is full",
        "latency, failed 30 s or more",
        "latency of right answers",
        "SLO p99 <= 50 ms missed: 98.00% in time (95% interval 9",
        "p99 is 30000 ms",
        "threshold failed<=1% missed: 2.00%",
        "unexplained",
        "valid: the tester kept up",
        "m: compute",
    ):
        assert line in text


def test_long_numbers_fit_into_80_columns() -> None:
    found = run(records([123.4] * 2_000, delay_ms=81.24))
    output = Console(file=io.StringIO(), width=80)
    print_summary(output, found.configuration, summarise(found))
    row = next(line for line in written(output).splitlines() if line.strip().startswith("dispatch"))
    assert row.count("81.2") == 7
    assert "\N{HORIZONTAL ELLIPSIS}" not in written(output)


def test_the_live_view() -> None:
    view = LiveView([configuration()], console())
    outcome = np.where(np.arange(103) < 100, Outcome.OK, Outcome.TIMEOUT)
    ended = records(np.arange(1, 104), outcome=outcome)
    for process in (0, 1):
        view.update(Progress(process, 0, in_flight=7, sent=110, records=ended))
    output = console()
    output.print(view.render())
    text = written(output)
    for part in ("answered", "200", "6 timeout", "p99 99.0 ms"):
        assert part in text
    assert re.search(r"sent\W+220\b", text)
    assert re.search(r"in flight\W+14\b", text)


def test_a_view_without_a_terminal_prints_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = Console(file=io.StringIO(), width=40)
    now = [0.0]
    time = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("infergraph_clients.load.reports.live.time", time)
    with LiveView([configuration(duration_s=40)], output, "run 2 of 3, 5 min left") as view:
        for now[0] in (0.0, 1.0, 16.0, 17.0):
            lost = records([1], outcome=Outcome.LOST)
            view.update(Progress(0, 0, in_flight=0, sent=1, records=lost))
    assert written(output) == (
        "run 2 of 3, 5 min left: m (constant), measuring, 24 of 40 s left: 3 sent, 3 failed\n"
    )


def test_a_timeline() -> None:
    # Two in second 0, the second of which ends in second 2; one in second 1, which fails.
    table = records(
        [100, 1_600, 200],
        intended_ms=[0, 500, 1_000],
        outcome=[Outcome.OK, Outcome.OK, Outcome.LOST],
    )
    found = timeline(table, 1_764_432_000.25)
    assert found.columns()["time"][0] == "2025-11-29T16:00:00.250Z"
    assert found.intended.tolist() == found.sent.tolist() == [2, 1, 0]
    assert found.ok.tolist() == [1, 0, 1]
    assert found.failed.tolist() == [0, 1, 0]
    assert found.in_flight.tolist() == [1, 1, 0]
    assert (found.p50_ms[0], found.p99_ms[0], found.max_ms[0]) == (100, 1_600, 1_600)
    assert np.isnan(found.max_ms[1:]).all()


def test_a_single_second_is_a_point_and_not_an_invisible_line() -> None:
    figure = plots.latency_over_time(
        timeline(records([5.0, 6.0], intended_ms=[0, 1]), 1_764_432_000.0)
    )
    assert {each.mode for each in figure.data} == {"markers"}
    assert figure.data[0].x == ("2025-11-29T16:00:00.000",)


def test_a_page_needs_nothing_else_and_escapes_what_it_shows(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    rows = [["<b>", "1"], ["c", "2"]]
    write_page(
        file,
        title="a < b",
        subtitle="x & y",
        parts=[table_html(["head", "n"], rows, headline=1), verdict("bad", "<i>"), ""],
    )
    page = file.read_text()
    assert "<h1>a &lt; b</h1>" in page
    assert "x &amp; y" in page
    assert "<td>&lt;b&gt;</td>" in page
    assert '<tr class="headline"><td>c</td>' in page
    assert '<div class="verdict bad">&lt;i&gt;</div>' in page
    assert "<script src" not in page
    assert "prefers-color-scheme: dark" in page
