"""Runs from flags and files, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infergraph_clients.errors import UsageError
from infergraph_clients.load.arrivals.specification import Bursts, ClosedLoop, Gamma, Poisson, Step
from infergraph_clients.load.cli import flags
from infergraph_clients.load.cli.main import main, parse_arguments
from infergraph_clients.load.configuration import RunConfiguration
from infergraph_clients.load.errors import LoadError

TARGET = ("--url", "http://h:1", "--model", "m", "--payload", "p.json")
FILE = """\
target: {url: "grpc://h:1", model: m, headers: {a: "1"}}
payload: {path: p.json}
arrivals: {kind: gamma, rate: 5, cv: 4}
slo: {latency_ms: 20}
"""


def read(*arguments: str) -> RunConfiguration:
    return flags.configuration(parse_arguments(["run", *arguments]))


@pytest.mark.parametrize(
    ("arguments", "arrivals"),
    [
        (["--rate", "5"], Poisson(rate=5)),
        (["--concurrency", "3"], ClosedLoop(concurrency=3)),
        (["--arrivals", "gamma:rate=5,cv=4"], Gamma(rate=5, cv=4)),
        (["--arrivals", "gamma:cv=4", "--rate", "7"], Gamma(rate=7, cv=4)),
        (["--arrivals", "step:rates=[1,2.5],cv=0"], Step(rates=[1, 2.5], cv=0)),
        (
            ["--arrivals", "bursts:rate=1,burst_rate=9,calm_s=2"],
            Bursts(rate=1, burst_rate=9, calm_s=2),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_arrivals_from_flags(arguments: list[str], arrivals: object) -> None:
    assert read(*TARGET, *arguments).arrivals == arrivals


def test_a_header_of_a_flag_replaces_the_files_in_any_case(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(FILE)
    assert read(str(file), "--header", "A=2").target.headers == {"A": "2"}


def test_inputs_as_for_the_infer_command(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(FILE)
    found = read(str(file), "audio=@q.wav", "context=a=b")
    assert (found.payload.path, found.payload.inputs) == (None, ("audio=@q.wav", "context=a=b"))
    alone = read("text=a", "--url", "http://h:1", "--model", "m", "--rate", "1")
    assert (alone.payload.inputs, alone.target.url) == (("text=a",), "http://h:1")
    assert read(str(file)).payload.path == "p.json"
    with pytest.raises(SystemExit):
        read(str(file), "other.yaml")


def test_synthetic_inputs() -> None:
    target = ("--url", "http://h:1", "--model", "m", "--rate", "1")
    ranges = "payload.synthetic.ranges.n=[0, 9]"
    found = read(*target, "--synthetic", "count=3,batch=2", "--set", ranges).payload.synthetic
    assert found is not None
    assert (found.count, found.batch, found.ranges, found.words) == (3, 2, {"n": (0, 9)}, 12)
    assert read(*target, "--synthetic").payload.synthetic is not None


def test_how_a_server_is_reached() -> None:
    found = read(
        *("--url", "grpcs://h:1", "--model", "m", "--payload", "p.json", "--rate", "1"),
        *("--ca", "ca.pem", "--certificate", "c.pem", "--key", "k.pem", "--insecure"),
        *("--stream", "--traceparent", "--compression", "deflate", "--format", "typed"),
    ).target
    route = found.route()
    assert (route.tls.ca, route.tls.certificate, route.tls.key) == ("ca.pem", "c.pem", "k.pem")
    assert route.tls.insecure
    assert (route.stream, route.traceparent, route.compression) == (True, True, "deflate")
    assert route.format == "typed"


def test_flags_override_a_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(FILE)
    assert read(str(file)).arrivals == Gamma(rate=5, cv=4)
    found = read(
        str(file),
        *("--rate", "6", "--slo-ms", "30", "--header", "b=2=3", "--set", "limits.cpu=0.5"),
        *("--set", "drain_s=1"),
    )
    assert found.arrivals == Gamma(rate=6, cv=4)
    assert found.slo is not None
    assert (found.slo.latency_ms, found.slo.percentile) == (30, 99)
    # Headers are on top of the file's.
    assert found.target.headers == {"a": "1", "b": "2=3"}
    assert (found.limits.cpu, found.limits.dispatch_delay_ms, found.drain_s) == (0.5, 1, 1)


def test_another_kind_drops_the_files_settings(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(FILE)
    assert read(str(file), "--arrivals", "poisson:rate=2").arrivals == Poisson(rate=2)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "arrivals is missing"),
        (["--arrivals", "gamma:rate=5"], "arrivals.cv is missing"),
        (["--arrivals", "poisson:rate"], r"settings 'rate'; accepted: KEY=VALUE"),
        (["--arrivals", "poisson:rate=["], "is not YAML"),
        (["--arrivals", "poisson:rate=1,cv=2"], "arrivals.cv is not a setting"),
        (["--rate", "0"], "arrivals.rate is '0': input should be greater than 0"),
        (["--rate", "5", "--header", "x"], "--header .x.; accepted: NAME=VALUE"),
        (["--rate", "5", "--trace", "2"], "trace is '2'"),
        (["--rate", "5", "--duration", "inf"], "duration_s is 'inf': input should be a finite"),
        (["--rate", "5", "--timeout", "inf"], "timeout_s is 'inf': input should be a finite"),
        (["--arrivals", "closed:concurrency=1,think_s=.inf"], "think_s is inf: input should be a"),
        (["--rate", "5", "--check", "maybe"], "payload.check is 'maybe'"),
        (["--rate", "5", "--set", "model.x=1"], "model is not a setting; accepted: target"),
        (["--rate", "5", "--set", "seed.x=1", "--seed", "1"], "seed"),
        (["--arrivals", "single-stream", "--processes", "2"], "single-stream is one stream"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong(arguments: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        read(*TARGET, *arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [(None, "cannot be read"), ("a: [", "is not YAML"), ("- a", "is not a mapping of settings")],
)
def test_bad_files(tmp_path: Path, text: str | None, problem: str) -> None:
    file = tmp_path / "run.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(LoadError, match=problem) as caught:
        read(str(file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["target", "payload"])
def test_what_a_run_cannot_lack(kind: str) -> None:
    settings: dict[str, Any] = {
        "target": {"url": "http://h:1", "model": "m"},
        "payload": {"path": "p"},
        "arrivals": {"kind": "poisson", "rate": 1},
    }
    del settings[kind]
    with pytest.raises(ValueError, match=kind):
        RunConfiguration.model_validate(settings)


def test_inputs_may_stand_after_flags() -> None:
    found = read("text=a", "--url", "http://h:1", "--model", "m", "--rate", "5", "audio=@q.wav")
    assert found.payload.inputs == ("text=a", "audio=@q.wav")


def test_an_unknown_flag_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["run", *TARGET, "--colour", "red"])
    assert "unrecognized arguments: --colour" in capsys.readouterr().err


def loads(*arguments: str) -> dict[str, RunConfiguration]:
    return flags.loads(parse_arguments(["run", *arguments]))


def test_one_load_is_called_as_its_model() -> None:
    found = loads(*TARGET, "--rate", "5")
    assert list(found) == ["m"]
    assert found["m"] == read(*TARGET, "--rate", "5")


def test_loads_share_a_rate_by_weight_and_have_their_own(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        FILE
        + """\
loads:
- {weight: 3, target: {headers: {b: "2"}}, slo: {percentile: 50}}
- {name: alone, arrivals: {kind: closed, concurrency: 2}}
"""
    )
    found = loads(str(file), "--rate", "8", "--load", "name=more,model=n,slo-ms=7")
    assert {name: each.arrivals for name, each in found.items()} == {
        "m": Gamma(rate=6, cv=4),
        "alone": ClosedLoop(concurrency=2),
        "more": Gamma(rate=2, cv=4),
    }
    assert found["m"].target.headers == {"b": "2"}
    slos = {
        name: each.slo and (each.slo.latency_ms, each.slo.percentile)
        for name, each in found.items()
    }
    assert slos == {"m": (20, 50), "alone": (20, 99), "more": (7, 99)}
    assert found["more"].target.model == "n"
    assert len({each.seed for each in found.values()}) == 3


@pytest.mark.parametrize(
    ("listed", "problem"),
    [
        ("loads: 3", "loads is not a list"),
        ("loads: [{duration_s: 3}]", "loads[0].duration_s is not a load's own; accepted: target"),
        ("loads: [{weight: -1}]", "weight is -1; accepted: a number above 0"),
        ("loads: [{weight: 1, arrivals: {kind: poisson, rate: 1}}]", "arrivals and a weight"),
        ("loads: [{}, {}]", "loads[1].name is 'm'; accepted: .* no name twice"),
        ("loads: [{name: ../x}]", "loads[0].name is '../x'"),
        ("loads: [{target: {port: 3}}]", "loads[0]: target.port is not a setting"),
    ],
)
def test_loads_that_are_wrong(tmp_path: Path, listed: str, problem: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(FILE + listed)
    with pytest.raises(LoadError, match=problem.replace("[", r"\[")):
        loads(str(file))


def test_a_rate_that_cannot_be_shared_out() -> None:
    with pytest.raises(LoadError, match="'closed' have no rate to share out"):
        loads(*TARGET, "--concurrency", "3", "--load", "model=a", "--load", "model=b")


@pytest.mark.parametrize("command", ["search", "profile"])
def test_metrics_that_nobody_would_sample_are_refused(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, *TARGET, "--metrics-url", "http://h:1/metrics"]) == 2
    said = "metrics are http://h:1/metrics, which only infergraph-load run samples"
    assert said in capsys.readouterr().err


def test_a_load_of_flags_may_have_thresholds_of_its_own() -> None:
    command = ["run", *TARGET, "--rate", "4", "--threshold", "max<9s"]
    own = "model=a,threshold=p99<300,threshold=rate>=1"
    found = flags.loads(parse_arguments([*command, "--load", own, "--load", "model=b"]))
    assert {name: each.thresholds for name, each in found.items()} == {
        "a": ["p99<300", "rate>=1"],
        "b": ["max<9s"],
    }
    with pytest.raises(
        LoadError, match="--load has key 'duration'; accepted: name, weight"
    ) as caught:
        flags.loads(parse_arguments([*command, "--load", "model=a,duration=3"]))
    assert "warmup" not in str(caught.value)
