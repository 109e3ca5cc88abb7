"""The commands `run` and `search`: files, flags, reports, and input that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from infergraph_clients.load.cli.main import main
from tests.terminals import use_stdout

from ..server import PROXIES
from .runs import PROTOCOLS, Stub, arguments, run


def test_an_slo(stub: Stub, request_file: Path) -> None:
    met = run(stub.url("http"), "ok", request_file, "--slo-ms", "30000")
    assert met.summary["slo"]["attainment"] == 1
    # Answers to the last requests may come after the measured time.
    assert 60 < met.summary["rates"]["goodput"] <= 120
    assert met.status == 0
    missed = run(stub.url("http"), "ok", request_file, "--slo-ms", "0.000001")
    assert missed.summary["slo"]["attainment"] == 0
    assert missed.summary["rates"]["goodput"] == 0
    assert missed.status == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_proxy_of_the_environment_is_not_used(
    stub: Stub, request_file: Path, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in PROXIES.items():
        monkeypatch.setenv(name, value)
    result = run(stub.url(protocol), "ok", request_file)
    assert result.outcomes == {"ok": 60}


def test_letters_that_the_terminal_lacks_are_escaped(
    stub: Stub, request_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = request_file.parent / "Größe"
    load = ["--duration", "0.5", "--warmup", "0", "--arrivals", "constant:rate=40"]
    target = ["--url", stub.url("http"), "--model", "ok", "--payload", str(request_file)]
    printed = use_stdout(monkeypatch, "ascii")
    main(["run", *target, *load, "--output", str(folder)])
    assert "Gr\\u00f6\\u00dfe" in printed().splitlines()[-1]
    assert (folder / "report.json").exists()


def test_a_report_needs_nothing_else(stub: Stub, request_file: Path) -> None:
    result = run(stub.url("http"), "ok", request_file, "--slo-ms", "100")
    page = (result.folder / "report.html").read_text()
    assert "Latency over time" in page
    assert "<script src" not in page
    assert "<link" not in page.split("<script>")[0]
    rows = (result.folder / "seconds.csv").read_text().splitlines()
    assert rows[0].startswith("time,second,intended,sent,ok,failed,in_flight,")
    assert "Z,0,60," in rows[1]


def test_a_file_describes_a_run_and_flags_override_it(stub: Stub, request_file: Path) -> None:
    file = request_file.with_suffix(".yaml")
    file.write_text(
        f"""\
target:
  url: {stub.url("http")}
  model: hang
payload:
  path: {request_file}
arrivals:
  kind: constant
  rate: 30
duration_s: 1
warmup_s: 0.5
"""
    )
    folder = request_file.parent / "report"
    more = ["--model", "ok", "--rate", "40", "--quiet", "--output", str(folder)]
    main(["run", str(file), *more])
    report = json.loads((folder / "report.json").read_text())
    assert report["summary"]["requests"] == {
        "scheduled": 40,
        "sent": 40,
        "unsent": 0,
        "warmup": 20,
        "measured": 20,
        "failed": 0,
    }
    assert report["configuration"]["arrivals"] == {"kind": "constant", "rate": 40.0}


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--model", "absent"], "has no model 'absent'"),
        (["--model", "bad-request"], "refused the first request: HTTP 400: told to answer 400"),
        (["--url", "http://127.0.0.1:9"], "cannot be reached"),
        (["--url", "grpc://127.0.0.1:9"], "cannot be reached"),
        (["--url", "nowhere"], "url 'nowhere': it has no scheme"),
        (["--payload", "EMPTY"], "has no file to send"),
        (["--payload", "NOWHERE"], "does not exist"),
        (["--rate", "-1"], "arrivals.rate is '-1'"),
        (["--arrivals", "trace:file=none.csv"], "trace 'none.csv' cannot be read"),
        (["--arrivals", "sometimes:rate=1"], "'sometimes'"),
        (["--duration", "0"], "duration_s is '0'"),
        (["--warmup", "5"], "warmup_s is 5"),
        (["--format", "raw"], "http sends json or base64"),
        (["--set", "target.colour=red"], "target.colour is not a setting; accepted: url, model"),
        (["--check", "expected"], "payload.expected"),
        (["--processes", "0"], "processes is '0'"),
        (["--output", "/proc/report"], "report '/proc/report' cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_before_any_load(
    stub: Stub,
    request_file: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    problem: str,
) -> None:
    empty = request_file.parent / "empty"
    empty.mkdir()
    places = {"EMPTY": str(empty), "NOWHERE": str(empty / "none.json")}
    more = [places.get(each, each) for each in more]
    folder = request_file.parent / "report"
    rate = [] if "--arrivals" in more else ["--rate", "10"]
    before = stub.count("ok")
    status = main(arguments(stub.url("http"), "ok", request_file, folder, *rate, *more))
    lines = capsys.readouterr().err.splitlines()
    assert status == 2
    assert len(lines) == 1, lines
    assert lines[0].startswith("infergraph-load run: ")
    assert problem in lines[0]
    assert not folder.exists()
    # Nothing but the question whether it answers at all.
    assert stub.count("ok") <= before + 1


def test_a_search(stub: Stub, request_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = request_file.parent / "search"
    command = arguments(stub.url("http"), "ok", request_file, folder)
    command = ["search", *(each for each in command[1:] if each != "--quiet")]
    limits = ("--slo-ms", "30000", "--rate", "40", "--highest-rate", "80", "--precision", "0.5")
    assert main([*command, *limits]) == 0
    output = capsys.readouterr().out
    assert "highest rate within the SLO: 80.0/s (no higher rate was tried)" in output
    found = json.loads((folder / "search.json").read_text())
    assert {step["rate"] for step in found["steps"]} == {40, 80}
    reports = {each.name.rpartition("-")[0] for each in folder.iterdir() if each.is_dir()}
    assert reports == {"rate-40", "rate-80"}
    assert main([*command, *limits[2:]]) == 2
    assert "slo is missing" in capsys.readouterr().err


def test_a_search_finds_the_capacity_of_a_server(stub: Stub, request_file: Path) -> None:
    """100 a second. The 90th percentile, that a busy machine's own pauses do not decide."""
    folder = request_file.parent / "search"
    command = ["search", *arguments(stub.url("http"), "fifo", request_file, folder)[1:]]
    command = [each for each in command if each != "--quiet"]
    load = ("--arrivals", "constant:rate=85", "--duration", "1", "--precision", "0.25")
    slo = ("--slo-ms", "300", "--slo-percentile", "90", "--longest", "10")
    assert main([*command, *load, *slo]) == 0
    found = json.loads((folder / "search.json").read_text())
    assert 90 <= found["rate"] <= 110, found
    assert found["limited_by"] == "server"
    # In a second, an overload by 6 of a hundred is no more than 60 ms late.
    assert max(step["seconds"] for step in found["steps"] if step["verdict"] == "fail") > 1


def test_verdicts_for_ci(stub: Stub, request_file: Path) -> None:
    file = request_file.parent / "junit.xml"
    more = ("--threshold", "p99<60000", "--threshold", "rate>=100000", "--junit", str(file))
    result = run(stub.url("http"), "ok", request_file, *more)
    assert result.status == 1
    met = {each["threshold"]: each["met"] for each in result.summary["thresholds"]}
    assert met == {"p99<60000": True, "rate>=100000": False, "failed<=1%": True}
    cases = ElementTree.parse(file).getroot().iter("testcase")
    failed = {case.attrib["name"] for case in cases if case.find("failure") is not None}
    assert failed == {"threshold rate>=100000"}


def test_the_report_on_standard_output(
    stub: Stub, request_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(stub.url("http"), "ok", request_file, "--json")
    assert json.loads(capsys.readouterr().out) == result.report
