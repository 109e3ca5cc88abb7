"""The search finds the capacity of a server that is known, and blames whom it should."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infergraph.v2.rest import EXTENSION
from infergraph_clients.load.cli import search as search_command
from infergraph_clients.load.cli.main import main
from infergraph_clients.load.configuration import RunConfiguration
from infergraph_clients.load.corpus import source
from infergraph_clients.load.engine.coordinator import Interrupts
from infergraph_clients.load.engine.run import Prepared, Run
from infergraph_clients.load.errors import ExitStatus, LoadError
from infergraph_clients.load.search import SearchResult, at_rate, judge, search
from infergraph_clients.load.statistics import Summary, summarise
from infergraph_clients.load.statistics.validity import Validity
from infergraph_clients.payloads import Metadata

from .queues import fifo_search, rate_within, share_within, sojourn_times
from .runs import configuration, records, run

SLO = {"latency_ms": 100, "percentile": 99}


def find(capacity: float, tester: float = 1e9, **arguments: Any) -> SearchResult:
    """Searches on a server that is slow above a rate, with a tester that is overrun above one."""

    def trial(settings: RunConfiguration) -> Summary:
        rate = settings.arrivals.rate  # type: ignore[union-attr]
        latency = 5.0 if rate <= min(capacity, tester) else 500.0
        found = summarise(run(records([latency] * 500), settings))
        return replace(found, validity=Validity(rate <= tester, ["it was overrun"]))

    settings = {"start_rate": 10, "precision": 0.05, **arguments}
    return search(configuration(slo=SLO), trial, **settings)


@pytest.mark.parametrize("capacity", [3.0, 10.0, 77.0, 1_234.0])
def test_it_finds_the_capacity(capacity: float) -> None:
    found = find(capacity)
    assert found.rate is not None
    assert capacity / 1.05 <= found.rate <= capacity
    assert (found.limited_by, found.status) == ("server", ExitStatus.FINE)


def test_it_doubles_and_then_halves_the_gap() -> None:
    rates = [step.rate for step in find(52, precision=0.05).steps]
    assert rates == [10, 20, 40, 80, 60, 50, 55, 52.5, 51.25]


def test_it_starts_lower_where_the_first_rate_fails() -> None:
    assert [step.rate for step in find(3, precision=0.5).steps] == [10, 5, 2.5, 3.75, 3.125]


def test_a_server_that_is_always_too_slow_has_no_rate() -> None:
    # Runs of 10 s: below 1/s they would hold fewer than 10 requests.
    found = find(0.0)
    assert [step.rate for step in found.steps] == [10, 5, 2.5, 1.25]
    assert (found.rate, found.limited_by, found.status) == (None, "server", ExitStatus.MISSED)
    assert found.verdict == "no rate met the SLO"


def test_a_run_without_a_measured_request_says_nothing() -> None:
    nothing = summarise(run(records([]), configuration(slo=SLO)))
    found = search(configuration(slo=SLO), lambda _: nothing, start_rate=1.5, precision=0.5)
    assert found.rate is None
    assert {step.verdict for step in found.steps} == {"invalid"}
    assert found.status == ExitStatus.INVALID


def test_the_testers_own_limit_is_no_capacity() -> None:
    found = find(1_000, tester=100)
    assert found.rate is not None
    assert found.rate <= 100
    assert found.limited_by == "tester"
    assert "the server may do more" in found.verdict
    # An invalid run is done again before it is believed.
    rates = [step.rate for step in found.steps if step.verdict == "invalid"]
    assert rates[0] == rates[1] == 160


def test_a_trial_of_which_a_worker_died_says_nothing() -> None:
    # It sent half of the rate, which the server can take.
    half = run(records([5.0] * 500), configuration(slo=SLO), unsent=500, died={1: -9})
    found = judge(summarise(half), 0.05, True)
    assert (found.verdict, found.sure) == ("invalid", False)
    assert found.reason == "process 1 died with status -9; its records are lost"


def test_a_highest_rate_ends_it() -> None:
    found = find(1_000, highest_rate=60)
    assert found.rate == 60
    assert found.limited_by == "nothing"
    assert max(step.rate for step in found.steps) == 60


def test_19_of_20_searches_are_within_5_percent_of_the_truth() -> None:
    truth = rate_within(0.2, 0.01)
    assert truth == pytest.approx(88.56, abs=0.01)
    rates = [fifo_search(seed, slo_ms=200, start=40).rate or 0.0 for seed in range(20)]
    assert sum(abs(rate / truth - 1) <= 0.05 for rate in rates) >= 19, rates


def test_near_the_capacity_of_a_server_searches_do_not_exceed_it() -> None:
    truth = rate_within(1, 0.01)
    rates = [fifo_search(seed, start=40).rate or 0.0 for seed in range(3)]
    assert all(truth * 0.95 <= rate <= 105 for rate in rates), rates
    assert fifo_search(0, arrivals="constant", start=40).rate == 100


@pytest.mark.parametrize("load", [0.5, 0.8, 0.9])
def test_the_truth_is_that_of_a_long_run(load: float) -> None:
    generator = np.random.default_rng(3)
    _, sojourns = sojourn_times(load / 0.01, 0.01, 20_000, generator)
    for seconds in (0.02, 0.05):
        found = float((sojourns <= seconds).mean())
        assert found == pytest.approx(share_within(load / 0.01, 0.01, seconds), abs=0.01)


def test_trials_of_3_s_do_not_say_that_a_growing_queue_meets_1_s() -> None:
    steps = fifo_search(0).steps
    overload = [step for step in steps if step.rate > 105]
    assert overload
    assert not any(step.verdict == "pass" for step in overload)
    # In 3 s a queue of 120/s grows to no more than 0.6 s: longer trials are needed to see it.
    unclear = [step for step in steps if step.verdict == "unclear"]
    assert any(step.summary.slo and step.summary.slo.met for step in unclear)
    assert max(step.seconds for step in steps) > 10


def test_a_latency_that_a_growing_queue_could_be_needs_a_longer_trial() -> None:
    # An overload by 5% would have grown to 300 ms in 6 s, and so hides in less than twice that.
    settings = {"slo": {"latency_ms": 1_000}, "duration_s": 3}
    table = records([300.0] * 3_000, intended_ms=np.arange(3_000.0))
    found = judge(summarise(run(table, configuration(**settings))), 0.05, False)
    assert (found.verdict, found.reason) == ("unclear", "too short to see a queue grow")
    assert found.needed_s == pytest.approx(12)
    table = records([300.0] * 3_000, intended_ms=np.arange(3_000.0) * 5)
    settings["duration_s"] = 15
    found = judge(summarise(run(table, configuration(**settings))), 0.05, False)
    assert (found.verdict, found.sure) == ("pass", True)


def test_an_overload_that_shows_only_later_is_found() -> None:
    def trial(settings: RunConfiguration) -> Summary:
        """Of a server that is as fast as asked for 5 s, and then does 77 a second."""
        rate = settings.arrivals.rate  # type: ignore[union-attr]
        times = np.arange(settings.duration_s * rate) / rate
        behind = np.maximum(times - 5, 0) * max(rate / 77 - 1, 0)
        return summarise(run(records(300 + behind * 1e3, intended_ms=times * 1e3), settings))

    settings = configuration(slo={"latency_ms": 1_000}, duration_s=3)
    found = search(settings, trial, start_rate=50, precision=0.05, highest_rate=1_000)
    assert 77 / 1.05 <= (found.rate or 0.0) <= 77 * 1.05
    assert found.limited_by == "server"


def test_few_requests_in_time_may_be_luck() -> None:
    # All of 2,153 requests are in time, but they share a queue that forgets slowly.
    times, sojourns = sojourn_times(90, 0.01, 24, np.random.default_rng(3))
    table = records(sojourns * 1e3, intended_ms=times * 1e3)
    settings = configuration(duration_s=24, slo={"latency_ms": 300})
    summary = summarise(run(table, settings))
    assert summary.slo is not None
    assert summary.slo.attainment == 1
    assert summary.slo.attainment_low < 0.98
    found = judge(summary, 0.05, False)
    assert (found.verdict, found.reason) == ("unclear", "the SLO is met, perhaps by chance")
    # As many that know nothing of each other are enough.
    table["end_ns"] = table["intended_ns"] + np.random.default_rng(1).permutation(
        table["end_ns"] - table["intended_ns"]
    )
    assert judge(summarise(run(table, settings)), 0.05, False).verdict == "pass"


def test_a_trial_that_is_too_short_says_how_long_it_must_be() -> None:
    found = fifo_search(1, slo_ms=100, longest=6)
    assert found.rate is not None
    assert not any(step.seconds > 6 for step in found.steps)
    (needed,) = {re.sub(r".*\(--longest (\d+)\)", r"\1", note) for note in found.notes[-1:]}
    assert "was too short: its verdict" in found.notes[-1]
    assert int(needed) > 12


def test_what_the_longest_trials_leave_to_chance_is_said() -> None:
    found = fifo_search(1, slo_ms=100)
    low, high = found.certain
    assert found.rate is not None
    assert low is None or low <= found.rate
    assert high is None or high > found.rate
    assert "beyond chance" in found.verdict or (low, high) != (None, None)


def test_a_server_that_works_on_abandoned_requests_is_waited_for() -> None:
    # The first trial leaves work for 21 s behind, of which no later one knows.
    found = fifo_search(0, timeout=1.5, start=800)
    assert 97.7 * 0.95 <= (found.rate or 0.0) <= 105
    blind = fifo_search(0, timeout=1.5, start=800, probed=False)
    assert (blind.rate or 0.0) < 50


def test_a_server_that_does_not_settle_is_said_to() -> None:
    answers = iter([5.0, *[900.0] * 1_000])

    def trial(settings: RunConfiguration) -> Summary:
        if settings.arrivals.kind == "single-stream":
            return summarise(run(records([next(answers)] * 3), settings))
        return summarise(run(records([500.0] * 500), settings))

    settings = configuration(slo=SLO)
    found = search(settings, trial, start_rate=1.5, precision=0.5, probe=trial)
    assert "after the trial at 1.5/s the server did not settle" in found.notes[0]


def test_an_interrupt_leaves_what_was_found() -> None:
    def trial(settings: RunConfiguration) -> Summary:
        if settings.arrivals.rate > 30:  # type: ignore[union-attr]
            raise KeyboardInterrupt
        return summarise(run(records([5.0] * 500), settings))

    found = search(configuration(slo=SLO), trial, start_rate=10, precision=0.05)
    assert (found.rate, found.status) == (20, ExitStatus.INTERRUPTED)
    assert found.verdict == "ended early: 20.0/s had passed"


def test_thresholds_are_part_of_the_objective() -> None:
    settings = configuration(slo=SLO, thresholds=["mean<4"])
    found = judge(summarise(run(records([5.0] * 1_000), settings)), 0.05, False)
    assert (found.verdict, found.sure, found.reason) == ("fail", True, "mean<4 is missed")


def test_a_rise_of_short_latencies_does_not_condemn_rare_long_ones() -> None:
    # The median rises by 6 ms, and so much more would leave the p99 of 80 ms within 100 ms.
    latency = np.linspace(17, 23, 1_000)
    latency[::50] = 80
    found = judge(summarise(run(records(latency), configuration(slo=SLO))), 1.9, True)
    assert (found.verdict, found.sure) == ("pass", False)
    # A queue of which all are part will miss it.
    latency = np.linspace(10, 90, 1_000)
    found = judge(summarise(run(records(latency), configuration(slo=SLO))), 1.9, True)
    assert (found.verdict, found.sure) == ("fail", False)
    assert "not steady: the median latency rose by" in found.reason


def test_a_trial_that_is_too_short_in_two_ways_says_how_long_both_need() -> None:
    """50 ms would need 2 s to grow; one of 100 late ones leaves the 99th percentile to luck."""
    latency = np.random.default_rng(0).uniform(45, 50, 100)
    latency[50] = 150

    def needed_s(percentile: float) -> float:
        settings = configuration(slo={**SLO, "percentile": percentile}, duration_s=1)
        found = judge(summarise(run(records(latency), settings)), 0.05, False)
        assert (found.verdict, found.reason) == ("unclear", "too short to see a queue grow")
        assert found.needed_s is not None
        return found.needed_s

    assert needed_s(50) == pytest.approx(2.0, rel=0.1)
    assert needed_s(99) > 10


def test_999_of_1000_are_99_9_percent() -> None:
    latency = [5.0] * 999 + [500.0]
    settings = configuration(slo={"latency_ms": 100, "percentile": 99.9})
    found = summarise(run(records(latency), settings)).slo
    assert found is not None
    assert found.met
    assert found.value_ms == 5


def test_the_result_as_json() -> None:
    document = json.loads(json.dumps(find(52).document(), allow_nan=False))
    assert document["rate"] == 51.25 or document["rate"] == 50
    assert {step["verdict"] for step in document["steps"]} == {"pass", "fail"}


def test_both_rates_of_bursts_change() -> None:
    settings = configuration(arrivals={"kind": "bursts", "rate": 10, "burst_rate": 100})
    found = at_rate(settings, 20, 7)
    arrivals = found.arrivals.model_dump()
    assert (arrivals["rate"], arrivals["burst_rate"], found.duration_s) == (20, 200, 7)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "slo is missing"),
        ({"slo": SLO, "arrivals": {"kind": "closed", "concurrency": 1}}, "have no rate"),
        ({"slo": SLO, "arrivals": {"kind": "bursts", "rate": 0, "burst_rate": 9}}, "rate is 0"),
    ],
)
def test_what_cannot_be_searched(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(LoadError, match=problem):
        search(
            configuration(**settings),
            lambda _: pytest.fail("a run was done"),
            start_rate=1,
            precision=0.1,
        )


Trial = Callable[[Prepared], Run]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs `infergraph-load search` with trials of the test's; its folder is `out`."""
    file = tmp_path / "request.json"
    tensor = {"name": "n", "datatype": "INT64", "shape": [1, 1], "data": [1]}
    file.write_text(json.dumps({"inputs": [tensor]}))

    def searched(trial: Trial, *more: str) -> int:
        monkeypatch.setattr(search_command, "ask_server", lambda prepared: None)

        def execute(prepared: Prepared, _: object, interrupts: Interrupts) -> Run:
            if interrupts.count:
                raise KeyboardInterrupt
            return trial(prepared)

        monkeypatch.setattr(search_command, "execute_run", execute)
        monkeypatch.setattr(search_command, "write_report", lambda *_: None)
        output = ("--output", str(tmp_path / "out"), "--payload", str(file), *more)
        target = ("--url", "http://127.0.0.1:1", "--model", "m", "--slo-ms", "100")
        return main(["search", *target, *output, "--rate", "10", "--highest-rate", "20"])

    return searched


def fast(prepared: Prepared) -> Run:
    return run(records([5.0] * 5_000), prepared.configuration)


def test_all_trials_send_what_the_first_one_sent(
    command: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Once it has a load, the server says no more of itself.
    said = iter([Metadata(extensions=frozenset({EXTENSION}))])
    monkeypatch.setattr(source, "ask_metadata", lambda *_, **__: next(said, Metadata()))
    formats = []

    def trial(prepared: Prepared) -> Run:
        assert prepared.configuration.target == prepared.plans[0].target
        formats.append(prepared.plans[0].target.format)
        return fast(prepared)

    assert command(trial) == ExitStatus.FINE
    assert len(formats) > 2
    assert set(formats) == {"binary"}


def test_a_signal_between_two_trials_leaves_what_was_found(
    command: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    def trial(prepared: Prepared) -> Run:
        monkeypatch.setattr(search_command, "write_report", write)
        return fast(prepared)

    # Else it would end pytest.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        assert command(trial) == ExitStatus.INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    found = json.loads((tmp_path / "out" / "search.json").read_text())
    assert (found["rate"], found["interrupted"], len(found["steps"])) == (10, True, 1)


def test_a_result_that_cannot_be_written_is_printed_all_the_same(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def trial(prepared: Prepared) -> Run:
        (tmp_path / "out" / "search.json").mkdir(exist_ok=True)
        return fast(prepared)

    assert command(trial, "--json") == ExitStatus.USAGE
    said = capsys.readouterr()
    assert json.loads(said.out)["rate"] == 20
    assert "cannot be written: Is a directory" in said.err.splitlines()[-1]
