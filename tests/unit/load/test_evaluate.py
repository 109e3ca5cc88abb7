"""What there is to evaluate, the server that is started for it, and the report."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from infergraph_clients.load.cli import evaluate as evaluate_command
from infergraph_clients.load.cli.main import main, parse_arguments
from infergraph_clients.load.cli.output import output_folder
from infergraph_clients.load.engine.run import Prepared, Run
from infergraph_clients.load.errors import ExitStatus, LoadError
from infergraph_clients.load.evaluate import server as server_module
from infergraph_clients.load.evaluate.evaluation import Evaluation, Evaluator, Plan
from infergraph_clients.load.evaluate.report import stage_loads, write_evaluation
from infergraph_clients.load.evaluate.server import (
    Servable,
    Served,
    find_pipeline,
    models_of,
    read_servables,
)
from infergraph_clients.load.profile import sweep as sweep_module
from infergraph_clients.payloads import Metadata

from .runs import records, run

PIPELINE = """
metadata: {name: outer}
spec:
  steps:
  - name: first
  - name: inner
  - name: elsewhere
"""
INNER = "spec: {steps: [{name: second}, {name: first}]}"


def command(folder: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command `infergraph` that does what the Python program says."""
    file = folder / "infergraph"
    file.write_text(f"#!{sys.executable}\n{program}")
    file.chmod(0o755)
    monkeypatch.setattr(server_module, "infergraph_command", lambda: str(file))


def listed(name: str, folder: Path, pipeline: Path | None = None) -> dict[str, Any]:
    (folder / name).mkdir()
    return {
        "name": name,
        "folder": str(folder / name),
        "pipeline": None if pipeline is None else str(pipeline),
    }


@pytest.fixture
def servables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Servable]:
    (tmp_path / "outer.yaml").write_text(PIPELINE)
    (tmp_path / "inner.yaml").write_text(INNER)
    found = [
        listed("outer", tmp_path, tmp_path / "outer.yaml"),
        listed("inner", tmp_path, tmp_path / "inner.yaml"),
        listed("first", tmp_path),
        listed("second", tmp_path),
    ]
    (tmp_path / "first" / "request.json").write_text("{}")
    program = f"""\
import sys
assert sys.argv[1:] == ["list", "--json", "--models-dir", {str(tmp_path)!r}], sys.argv
print({json.dumps(found)!r})
"""
    command(tmp_path, program, monkeypatch)
    return read_servables(tmp_path)


def test_what_there_is(servables: dict[str, Servable], tmp_path: Path) -> None:
    outer = find_pipeline(servables, "outer")
    assert outer.is_pipeline
    assert outer.steps == ("first", "inner", "elsewhere")
    assert outer.request is None
    assert servables["first"].request == tmp_path / "first" / "request.json"
    # Those of a pipeline within, each once; what another server has is left out.
    assert [model.name for model in models_of(servables, outer)] == ["first", "second"]
    assert models_of(servables, servables["second"]) == []


@pytest.mark.parametrize("given", ["fast", "0", "-5", "inf", "nan"])
def test_an_objective_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    file = tmp_path / "outer.yaml"
    file.write_text(with_objective(given))
    found = json.dumps([listed("outer", tmp_path, file)])
    command(tmp_path, f"print({found!r})", monkeypatch)

    with pytest.raises(LoadError, match=rf"{file}.*slo-ms is '{given}'; accepted: milliseconds"):
        read_servables(None)


def with_objective(value: str) -> str:
    annotations = json.dumps({"infergraph.io/slo-ms": value})
    return PIPELINE.replace("{name: outer}", f"{{name: outer, annotations: {annotations}}}")


def test_the_objective_of_a_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "outer.yaml"
    file.write_text(with_objective("95"))
    (tmp_path / "inner.yaml").write_text(INNER)
    both = [listed("outer", tmp_path, file), listed("inner", tmp_path, tmp_path / "inner.yaml")]
    command(tmp_path, f"print({json.dumps(both)!r})", monkeypatch)

    found = read_servables(None)

    assert (found["outer"].slo_ms, found["inner"].slo_ms) == (95.0, None)


def test_an_unknown_pipeline(servables: dict[str, Servable]) -> None:
    with pytest.raises(LoadError, match=r"there is no pipeline 'nope'; accepted: outer, inner$"):
        find_pipeline(servables, "nope")


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("import sys; sys.exit('first line\\nerror: no folder')", "error: no folder"),
        ("print('no json')", "cannot be read"),
        ("print('[{}]')", "cannot be read: 'name'"),
    ],
)
def test_a_list_that_cannot_be_had(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    program: str,
    problem: str,
) -> None:
    command(tmp_path, program, monkeypatch)
    assert main(["evaluate", "any"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("infergraph-load evaluate: ")
    assert problem in line


SERVER = """\
import signal, sys
assert sys.argv[1:3] == ["serve", "p"], sys.argv
assert sys.argv[-4:] == ["--set", "m.a=1", "--set", "m.b=2"], sys.argv
print("loading", flush=True)
print("Ready: p")
print("  REST     http://127.0.0.1:5000/v2/models/p/infer")
print("  gRPC     127.0.0.1:5001", flush=True)
signal.sigwait([signal.SIGTERM])
print("ended")
"""


def test_a_server_is_started_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = SERVER.replace(
        "import signal, sys",
        "import signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])",
    )
    command(tmp_path, blocked, monkeypatch)
    log = tmp_path / "log"
    with Served("p", None, ["m.a=1", "m.b=2"], log) as served:
        assert served.url == "grpc://127.0.0.1:5001"
        served.check_alive()
    assert log.read_text().splitlines()[0] == "loading"
    assert log.read_text().splitlines()[-1] == "ended"
    with pytest.raises(LoadError, match=r"the server ended by itself with status 0; see '.*log'"):
        served.check_alive()


def test_a_server_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(tmp_path, "import sys; print('loading'); sys.exit('p: no checkpoint')", monkeypatch)
    with pytest.raises(LoadError, match=r"^p: no checkpoint$"):
        Served("p", None, [], tmp_path / "log").__enter__()


def test_an_interrupt_ends_a_server_that_still_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    program = f"""\
import os, pathlib, time
pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))
time.sleep(600)
"""
    command(tmp_path, program, monkeypatch)

    def stopped() -> bool:
        return pid.exists() and bool(pid.read_text())

    with pytest.raises(KeyboardInterrupt):
        Served("p", None, [], tmp_path / "log", stopped).__enter__()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def plan(**settings: Any) -> Plan:
    defaults: dict[str, Any] = {
        "seconds": 10,
        "batch_sizes": [1, 2],
        "concurrencies": [1, 4],
        "repeats": 1,
        "slo_ms": None,
        "slo_percentile": 99,
        "seed": 0,
        "trace": 1.0,
        "dispatch_delay_ms": 20,
        "processes": 1,
    }
    return Plan(**{**defaults, **settings})


TRACE = {
    "duration_us": 9_000,
    "steps": [
        {
            "name": name,
            "start_us": start,
            "duration_us": 4_000,
            "queue_us": 1_000,
            "compute_us": 3_000,
            "batch_size": 1,
        }
        for name, start in (("first", 0), ("second", 4_000))
    ],
}


def served_at(capacity: float) -> Callable[[Prepared], Run]:
    """A server that answers in 10 ms up to a rate, and in 500 ms above it."""

    def trial(prepared: Prepared) -> Run:
        settings = prepared.configuration
        rate = getattr(settings.arrivals, "rate", 0.0)
        count = 1_000
        # The warm-up is 2 of 10 s.
        intended = np.linspace(0, settings.duration_s * 1e3, count, endpoint=False)
        latency = 10.0 if rate <= capacity else 500.0
        table = records([latency] * count, intended_ms=intended)
        return run(table, settings, traces=[(index, TRACE) for index in range(300, count)])

    return trial


@pytest.fixture
def evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Prepared], Run]], Evaluation]:
    def ask(prepared: Prepared) -> None:
        if prepared.configuration.target.model == "picky":
            raise LoadError("model 'picky' refused the first request: no")

    monkeypatch.setattr(sweep_module, "ask_server", ask)
    monkeypatch.setattr(sweep_module, "ask_metadata", lambda *_, **__: Metadata())
    file = tmp_path / "request.json"
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["a"]}
    file.write_text(json.dumps({"inputs": [tensor]}))
    models = [
        Servable("first", file, (), False),
        Servable("picky", file, (), False),
        Servable("mute", None, (), False),
    ]

    def evaluate(trial: Callable[[Prepared], Run], slo_ms: float | None = None) -> Evaluation:
        evaluator = Evaluator(plan(), "http://127.0.0.1:1", tmp_path / "out", trial)
        pipeline = Servable("p", file, ("first", "picky", "mute"), True, slo_ms)
        found = evaluator.run(pipeline, models)
        write_evaluation(tmp_path / "out", found)
        return found

    return evaluate


Evaluate = Callable[..., Evaluation]


def test_an_evaluation(tmp_path: Path, evaluated: Evaluate) -> None:
    found = evaluated(served_at(70.0))
    # 1000 requests in 10 s, of which the first 2 s warm up.
    assert found.ceiling == pytest.approx(100, rel=0.01)
    assert found.slo is not None
    assert found.slo.latency_ms == 50
    assert [open_run.rate for open_run in found.open_runs] == pytest.approx([50, 80], rel=0.01)
    assert [open_run.summary.slo.met for open_run in found.open_runs if open_run.summary.slo] == [
        True,
        False,
    ]
    assert found.capacity is not None
    assert found.capacity.rate is not None
    assert 70 / 1.1 <= found.capacity.rate <= 70
    assert found.problems == []
    assert found.notes == [
        "picky by itself has no profile: model 'picky' refused the first request: no",
        "mute by itself has no profile: 'mute' has no sample request (request.json) to send",
    ]
    folder = tmp_path / "out"
    assert sorted(each.name for each in folder.iterdir()) == [
        *("evaluation.html", "evaluation.json", "open-50", "open-80", "profile-first"),
        *("profile-p", "search", "stages.svg"),
    ]
    assert pq.read_table(folder / "profile-p" / "profile.parquet").num_rows == 4
    assert pq.read_table(folder / "open-50" / "records.parquet").num_rows == 1_000
    # One page, and no other.
    assert [str(each.relative_to(folder)) for each in folder.rglob("*.html")] == ["evaluation.html"]


def test_the_pipelines_own_objective_counts(tmp_path: Path, evaluated: Evaluate) -> None:
    found = evaluated(served_at(70.0), 80.0)

    assert found.slo is not None
    assert found.slo.latency_ms == 80
    assert "the pipeline&#x27;s own" in (tmp_path / "out" / "evaluation.html").read_text()


def test_the_report_says_it_all(tmp_path: Path, evaluated: Evaluate) -> None:
    evaluated(served_at(70.0))
    page = (tmp_path / "out" / "evaluation.html").read_text()
    for part in (
        "Evaluation of p",
        "Profiles and open-loop runs are valid",
        "first: compute",
        "second: queue",
        "Open-loop runs",
        "Capacity within the SLO",
        "Profile of the pipeline",
        "Profile of first",
        "picky by itself has no profile",
        "5 times the latency alone",
    ):
        assert part in page
    assert "<script src" not in page
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert document["plan"]["batch_sizes"] == [1, 2]
    assert document["capacity"]["limited_by"] == "server"
    assert [profile["model"] for profile in document["models"]] == ["first"]


def test_a_capacity_that_the_tester_could_not_measure_is_none_of_the_servers(
    tmp_path: Path,
    evaluated: Evaluate,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = served_at(0.0)

    def trial(prepared: Prepared) -> Run:
        found = whole(prepared)
        # In the search, of half of the ceiling and less, the tester is overrun.
        if (tmp_path / "out" / "open-80" / "report.json").exists():
            found.processes[0].busiest_cpu = 1.0
        return found

    found = evaluated(trial)
    assert found.problems == []
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    wanted = "no rate could be judged: the tester could not keep up"
    assert document["capacity"]["verdict"] == wanted
    assert document["capacity"]["steps"][0]["reason"].startswith("process 0 used 100% of a core")
    assert (tmp_path / "out" / "evaluation.html").read_text().count(wanted) == 2

    pipeline = Servable("p", None, (), True)
    for name, value in {
        "read_servables": lambda _: {"p": pipeline},
        "Served": lambda *_: nullcontext(Namespace(url="", check_alive=None)),
        "Evaluator": lambda *_: Namespace(run=lambda *_: found),
    }.items():
        monkeypatch.setattr(evaluate_command, name, value)
    assert main(["evaluate", "p", "--output", str(tmp_path / "again")]) == ExitStatus.INVALID
    assert wanted in capsys.readouterr().err


def test_the_stages_add_up(evaluated: Evaluate) -> None:
    bars = stage_loads(evaluated(served_at(70.0)))
    assert [bar.label for bar in bars][:2] == ["1 in flight", "4 in flight"]
    assert [bar.total_ms for bar in bars] == pytest.approx([10, 10, 10, 500], rel=0.02)


def test_a_pipeline_that_never_answers_well(evaluated: Evaluate) -> None:
    def trial(prepared: Prepared) -> Run:
        return run(records([5.0] * 1_000, outcome=3), prepared.configuration)

    with pytest.raises(LoadError, match=r"pipeline 'p' answered no request well: .*failed"):
        evaluated(trial)


@pytest.mark.parametrize("after", [0, 2, 5, 9, 11])
def test_an_interrupt_leaves_a_report_of_what_was_measured(
    tmp_path: Path, evaluated: Evaluate, after: int
) -> None:
    done: list[Run] = []
    whole = served_at(70.0)

    def trial(prepared: Prepared) -> Run:
        done.append(whole(prepared))
        done[-1].interrupted = len(done) > after
        return done[-1]

    found = evaluated(trial)
    assert found.interrupted
    assert found.problems == ["it was ended early, by Ctrl-C"]
    assert "ended early" in (tmp_path / "out" / "evaluation.html").read_text()
    assert (found.profile is not None) == (after > 4)
    assert len(found.open_runs) == min(max(after - 8, 0), 2)


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--seconds", "0"), ("--slo-percentile", "101"), ("--trace", "2"), ("--slo-ms", "fast")],
)
def test_bad_flags(flag: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(["evaluate", "p", flag, value])
    assert caught.value.code == 2
    assert f"{value!r}; accepted: " in capsys.readouterr().err


def test_the_longest_trial_is_no_shorter_than_the_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["evaluate", "outer", "--seconds", "5", "--longest", "4"]) == 2
    assert "--longest is 4; accepted: at least the duration, 5" in capsys.readouterr().err


def test_a_server_that_did_not_start_leaves_room_for_another_try(tmp_path: Path) -> None:
    asked = Namespace(output=tmp_path, overwrite=False)
    (tmp_path / "server.log").touch()

    assert output_folder(asked, "p") == tmp_path

    (tmp_path / "thesis.tex").touch()
    with pytest.raises(LoadError, match="holds files that are no report"):
        output_folder(asked, "p")


@pytest.mark.parametrize(
    ("file", "is_report"),
    [
        ("search.json", True),
        ("rate-10-30s/report.json", True),
        ("profile-m/profile.json", True),
        # The folder of all reports, or of somebody's program.
        ("m-20261130-100000/report.json", False),
        ("coverage/report.json", False),
    ],
)
def test_only_a_report_is_overwritten(tmp_path: Path, file: str, is_report: bool) -> None:
    asked = Namespace(output=tmp_path, overwrite=True)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()

    if is_report:
        assert output_folder(asked, "m") == tmp_path
    else:
        with pytest.raises(LoadError, match="holds files that are no report"):
            output_folder(asked, "m")


@pytest.mark.parametrize("load", ["", "a"])
def test_records_of_a_run_that_was_cut_short_are_first_to_be_reported(
    tmp_path: Path, load: str
) -> None:
    (tmp_path / load / "partial").mkdir(parents=True)
    with pytest.raises(LoadError, match=f"first infergraph-load report {tmp_path}"):
        output_folder(Namespace(output=tmp_path, overwrite=True), "m")
