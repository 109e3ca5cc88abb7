"""Servers that fail, die and hang, and a user who has seen enough: nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infergraph_clients.load.configuration import RunConfiguration
from infergraph_clients.load.engine.plan import Progress
from infergraph_clients.load.engine.run import execute, prepare
from infergraph_clients.load.statistics import summarise
from tests.exhaustive import only

from ..server import REPOSITORY, wait_for
from .runs import PROTOCOLS, Result, Stub, arguments, check_nothing_lost, run


@pytest.mark.parametrize("protocol", only(PROTOCOLS[:1], PROTOCOLS))
@pytest.mark.parametrize(
    ("model", "outcomes", "more"),
    [
        ("status-500", {"server_error": 60}, []),
        ("status-503", {"overload": 60}, []),
        ("status-504", {"deadline": 60}, []),
        ("bad-request", {"client_error": 60}, ["--set", "preflight=false"]),
        # The first answer is what the others are held against.
        ("fickle", {"ok": 1, "wrong_answer": 59}, ["--check", "consistent"]),
        ("garbage", {"wrong_answer": 60}, []),
        ("hang", {"timeout": 60}, ["--timeout", "0.3"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_failures_are_counted_in_their_class(
    mortal: Stub,
    request_file: Path,
    protocol: str,
    model: str,
    outcomes: dict[str, int],
    more: list[str],
) -> None:
    result = run(mortal.url(protocol), model, request_file, *more)
    assert result.outcomes == outcomes
    assert set(result.summary["errors"]) == set(outcomes) - {"ok"}
    check_nothing_lost(result)


def test_a_connection_that_is_cut(stub: Stub, request_file: Path) -> None:
    result = run(stub.url("http"), "cut", request_file)
    assert result.outcomes == {"lost": 60}
    check_nothing_lost(result)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_dies(mortal: Stub, request_file: Path, protocol: str) -> None:
    result = run(mortal.url(protocol), "die", request_file)
    assert mortal.process.wait() == 1
    # The first answered the preflight, and the third killed it; more may have been in flight.
    assert result.outcomes["ok"] == 1
    assert set(result.outcomes) == {"ok", "lost", "refused"}
    check_nothing_lost(result)


def test_a_closed_loop_whose_users_hang_ends(stub: Stub, request_file: Path) -> None:
    more = ("--arrivals", "closed:concurrency=3", "--timeout", "2")
    result = run(stub.url("http"), "hang", request_file, *more)
    assert result.outcomes == {"timeout": 3}
    check_nothing_lost(result)


def test_a_tester_that_cannot_keep_up_is_invalid(stub: Stub, request_file: Path) -> None:
    more = ("--set", "limits.dispatch_delay_ms=0.000001", "--strict")
    result = run(stub.url("http"), "ok", request_file, *more)
    assert not result.summary["validity"]["valid"]
    assert "could not keep up" in result.summary["validity"]["reasons"][0]
    assert result.status == 3


@pytest.mark.parametrize(
    ("model", "drain_s", "signals"),
    [
        ("ok", 600, [signal.SIGINT]),
        ("hang", 0.2, [signal.SIGINT]),
        # The same signal twice at once would be one.
        ("hang", 600, [signal.SIGINT, signal.SIGTERM]),
    ],
    ids=["ok", "hang", "hang-twice"],
)
def test_ctrl_c_ends_a_run_with_a_report(
    stub: Stub, request_file: Path, model: str, drain_s: float, signals: list[signal.Signals]
) -> None:
    folder = request_file.parent / "report"
    before = stub.count(model)
    load = ("--rate", "50", "--duration", "600")
    more = ("--set", "preflight=false", "--set", f"drain_s={drain_s}")
    command = arguments(stub.url("http"), model, request_file, folder, *load, *more)
    process = subprocess.Popen(
        [sys.executable, "-m", "infergraph_clients.load", *command], cwd=REPOSITORY
    )
    try:
        wait_for(lambda: stub.count(model) > before + 20)
        for each in signals:
            process.send_signal(each)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    result = Result(130, json.loads((folder / "report.json").read_text()), folder)
    assert result.report["interrupted"]
    assert result.outcomes["ok" if model == "ok" else "cancelled"] > 20
    assert result.summary["requests"]["unsent"] > 25_000
    assert any("ended early" in note for note in result.summary["validity"]["notes"])
    check_nothing_lost(result)


def test_a_tester_without_resources_says_so(stub: Stub, request_file: Path) -> None:
    folder = request_file.parent / "report"
    load = ("--arrivals", "constant:rate=400", "--timeout", "1", "--set", "preflight=false")
    command = arguments(stub.url("http"), "hang", request_file, folder, *load)
    limited = "import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)); "
    run_module = "runpy.run_module('infergraph_clients.load', run_name='__main__')"
    program = [sys.executable, "-c", limited + run_module, *command]
    assert subprocess.run(program, cwd=REPOSITORY).returncode == 3
    result = Result(3, json.loads((folder / "report.json").read_text()), folder)
    assert set(result.outcomes) == {"timeout", "tester_error"}
    assert any("open files" in reason for reason in result.summary["validity"]["reasons"])
    check_nothing_lost(result)


def test_a_process_of_the_tester_that_dies(stub: Stub, request_file: Path) -> None:
    settings = {
        "target": {"url": stub.url("http"), "model": "ok"},
        "payload": {"path": str(request_file)},
        "arrivals": {"kind": "constant", "rate": 100},
        "duration_s": 1,
        "warmup_s": 0,
        "processes": 2,
    }
    prepared = prepare(RunConfiguration.model_validate(settings))
    told: list[int] = []
    others = _children()

    def kill_first(progress: Progress) -> None:
        if progress.process == 0 and len(progress.records) and not told:
            told.extend(progress.records["index"].tolist())
            os.kill(min(_children() - others), signal.SIGKILL)

    found = execute(prepared, kill_first)
    assert found.died == {0: -signal.SIGKILL}
    assert [each.process for each in found.processes] == [1]
    # What the dead one had said is there, and all of the other's.
    indices = set(found.records["index"].tolist())
    assert set(told) <= indices
    assert set(range(1, 100, 2)) <= indices
    assert found.unsent == 100 - len(found.records) > 0
    reasons = summarise(found).validity.reasons
    assert any("died with status -9" in reason for reason in reasons)


def _children() -> set[int]:
    """Processes that this one has started."""
    main = os.getpid()
    return set(map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split()))
