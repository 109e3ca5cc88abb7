"""Conditions as users write them: read, judged, and refused where they mean nothing."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from infergraph_clients.load.cli.run import show
from infergraph_clients.load.errors import ExitStatus, LoadError
from infergraph_clients.load.reports.text import verdicts, write_junit
from infergraph_clients.load.statistics import Summary, summarise
from infergraph_clients.load.thresholds import Threshold, parsed
from infergraph_clients.transports.outcome import Outcome

from .runs import configuration, records, run


def judged(*texts: str) -> Summary:
    """Latencies 1 to 1000 ms, of which 5 fail at once; one request is traced."""
    outcome = np.where(np.arange(1_000) < 5, Outcome.OVERLOAD, Outcome.OK)
    settings = configuration(
        thresholds=list(texts),
        trace=0.1,
        slo={"latency_ms": 500},
        target={"url": "http://127.0.0.1:1", "model": "m", "timeout_s": 2},
    ).checked()
    traces = [(500, {"model": "m", "queue_us": 2_000, "compute_us": 3_000, "batch_size": 2})]
    table = records(np.arange(1, 1_001), delay_ms=0.5, outcome=outcome)
    return summarise(run(table, settings, traces=traces))


@pytest.mark.parametrize(
    ("text", "value", "met"),
    [
        # The 995 right answers, then 5 that count as 2 s.
        ("p50<506", 505, True),
        ("p50 < 505", 505, False),
        ("p50<=505ms", 505, True),
        ("p50>0.5s", 505, True),
        ("p99.5<1000.5", 1_000, True),
        ("max<2", 2_000, False),
        ("max<=2s", 2_000, True),
        ("failed<1%", 0.005, True),
        ("failed<=0.005", 0.005, True),
        ("failed<0.5%", 0.005, False),
        ("rate>=91", 90.5, False),
        ("rate>90/s", 90.5, True),
        ("goodput>=49", 49.5, True),
        ("p99{dispatch}<1", 0.5, True),
        ("p90{service}<800", 900.5, False),
        ("mean{m: compute}<3.5", 3, True),
        ("p99{m: queue}<1", 2, False),
        ("p99{n: queue}<1", None, False),
        ("p99{first_byte}<1", None, False),
    ],
)
def test_conditions(text: str, value: float | None, met: bool) -> None:
    found = judged(text).thresholds[0]
    assert (found.threshold, found.met) == (text, met)
    assert (found.value is None) == (value is None)
    assert value is None or found.value == pytest.approx(value, rel=1e-6)


def test_several_at_once_and_the_default_on_failures() -> None:
    assert [each.met for each in judged("p50<600", "p50<1").thresholds] == [True, False, True]
    assert [each.text for each in parsed([])] == ["failed<=1%"]
    assert [each.text for each in parsed(["failed<50%"])] == ["failed<50%"]
    assert not judged("p50<1").met
    assert judged("p50<600").slo is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p99",
        "p99=3",
        "p101<3",
        "p0<3",
        "p99<3%",
        "failed<3ms",
        "rate{m}>3",
        "speed<3",
        "p99<-1",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(LoadError, match=r"cannot be read; accepted: METRIC"):
        Threshold.parse(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("goodput>1", "needs an SLO"), ("p99{m: compute}<3", "is on a stage, but trace is 0")],
)
def test_what_the_run_cannot_measure_is_refused_before_it(text: str, problem: str) -> None:
    with pytest.raises(LoadError, match=problem):
        configuration(thresholds=[text]).checked()


@pytest.mark.parametrize(
    ("count", "short"), [(99, ["p99", "p99.9"]), (100, ["p99.9"]), (1_000, [])]
)
def test_a_verdict_on_a_percentile_that_nothing_lies_beyond_says_so(
    count: int, short: list[str]
) -> None:
    settings = configuration(thresholds=["p99.9<300", "p50<300"], slo={"latency_ms": 300})
    found = summarise(run(records([5.0] * count), settings))
    assert found.met
    needed = {
        "p99": f"the SLO is judged by the largest of {count} values: for one to lie beyond p99, "
        "100 are needed",
        "p99.9": f"threshold p99.9<300 is judged by the largest of {count} values: for one to lie "
        "beyond p99.9, 1000 are needed",
    }
    assert sorted(found.validity.notes) == [needed[each] for each in short]


def test_verdicts_as_junit(tmp_path: Path) -> None:
    file = tmp_path / "ci" / "junit.xml"
    summary = judged("p50<1", "max<3s")
    write_junit(file, "m under constant", verdicts(summary), 1_764_432_000.0, 12.5)
    suite = ElementTree.parse(file).getroot()
    assert suite.attrib == {
        "name": "m under constant",
        "tests": "5",
        "failures": "2",
        "errors": "0",
        "timestamp": "2025-11-29T16:00:00Z",
        "time": "12.500",
    }
    cases = {case.attrib["name"]: case.find("failure") for case in suite.iter("testcase")}
    failed = {name for name, failure in cases.items() if failure is not None}
    assert failed == {"SLO", "threshold p50<1"}
    message = cases["threshold p50<1"]
    assert message is not None
    assert message.attrib["message"] == "threshold p50<1 missed: 505 ms"


@pytest.mark.parametrize("interrupted", [True, False])
def test_a_run_that_was_ended_early_is_an_error_of_the_suite(
    tmp_path: Path, interrupted: bool
) -> None:
    file = tmp_path / "junit.xml"
    found = run(records([5.0] * 1_000), interrupted=interrupted)
    asked = Namespace(json=False, quiet=True, junit=file)
    status = show(asked, tmp_path, {"m": found}, {"m": summarise(found)})
    errors = [each.attrib["message"] for each in ElementTree.parse(file).getroot().iter("error")]
    assert (status, errors) == (
        (ExitStatus.INTERRUPTED, ["the run was ended early"])
        if interrupted
        else (ExitStatus.FINE, [])
    )


def test_an_invalid_run_is_an_error_of_the_suite(tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    summary = summarise(run(records([5.0] * 1_000, delay_ms=3)))
    write_junit(file, "m", verdicts(summary), 0.0, 1.0)
    (error,) = ElementTree.parse(file).getroot().iter("error")
    assert "the tester could not keep up" in error.attrib["message"]
