"""`list`, `lint` and `graph`, and how every command reports errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infergraph.cli import COMMANDS, main
from tests.terminals import use_stdout

BAD = """\
apiVersion: mlops.seldon.io/v1alpha1
kind: Pipeline
metadata:
  name: bad
spec:
  steps:
  - name: hear
    inputs: [bad.inputs.text]
  - name: reply
    inputs: [heer.outputs.text]
  output:
    steps: [reply]
"""


def test_list_shows_tensors(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    chain = lines.index("  chain")
    assert lines[0] == "Pipelines"
    assert lines[chain + 1 : chain + 5] == [
        "    pipelines/chain.yaml",
        "    in  text   BYTES  [-1, 1]",
        "    out text   BYTES  [-1, 1]",
        "    out heard  BYTES  [-1, 1]",
    ]
    assert lines.index("Models") > chain


def test_list_as_json(
    models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = models / "hear" / "model-settings.json"
    settings = json.loads(file.read_text())
    settings["parameters"]["extra"] = {
        "variant": "small",
        "variants": {"small": "./small", "large": "./large"},
        "optional_outputs": ["text"],
    }
    file.write_text(json.dumps(settings))
    monkeypatch.setenv("INFERGRAPH_HEAR__VARIANT", "large")
    assert main(["list", "--json"]) == 0
    listed = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert set(listed) == {"hear", "reply", "chain", "outer"}
    assert listed["hear"]["variant"] == "large"
    assert listed["hear"]["outputs"] == [
        {"name": "text", "datatype": "BYTES", "shape": [-1, 1], "optional": True}
    ]
    assert listed["reply"]["variant"] is None
    assert listed["chain"]["kind"] == "pipeline"
    assert listed["chain"]["pipeline"] == "pipelines/chain.yaml"


@pytest.mark.parametrize("variants", ["{bad", [1], 7, "[1]"])
def test_list_names_variants_that_are_none(
    models: Path, variants: object, capsys: pytest.CaptureFixture[str]
) -> None:
    file = models / "hear" / "model-settings.json"
    settings = json.loads(file.read_text())
    settings["parameters"]["extra"] = {"variants": variants}
    file.write_text(json.dumps(settings))
    assert main(["list"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "key 'parameters.extra.variants' is " in line
    assert "accepted: an object of names and checkpoints" in line


def test_lint_of_good_pipelines(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint"]) == 0
    assert capsys.readouterr().out == "2 pipelines checked: no findings\n"


def test_lint_prints_file_line_rule_and_fix(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pipelines" / "bad.yaml").write_text(BAD)
    assert main(["lint"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("pipelines/bad.yaml:10: unknown-step: ")
    assert "'heer'" in line
    assert "fix: did you mean 'hear'?" in line


def test_lint_checks_edges_against_declared_tensors(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pipelines" / "chain.yaml"
    file.write_text(file.read_text().replace("[hear.outputs.text]", "[hear.outputs.txt]"))
    assert main(["lint", str(file)]) == 1
    assert "pipelines/chain.yaml:10: " in capsys.readouterr().out


def test_lint_of_one_file_checks_only_that(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pipelines" / "bad.yaml").write_text(BAD)
    assert main(["lint", "pipelines/chain.yaml"]) == 0
    assert capsys.readouterr().out == "1 pipeline checked: no findings\n"


@pytest.mark.parametrize("pipeline", ["chain", "pipelines/chain.yaml"])
def test_graph_by_name_or_file(
    models: Path, pipeline: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["graph", pipeline]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "pipeline chain"
    assert lines[1].split() == ["1.", "hear", "<-", "inputs:", "text"]
    assert "hear: text → heard" in lines[3]


@pytest.mark.parametrize(
    ("form", "start"), [("text", "pipeline chain"), ("mermaid", "flowchart LR"), ("svg", "<svg")]
)
def test_graph_to_a_file(models: Path, tmp_path: Path, form: str, start: str) -> None:
    output = tmp_path / "picture"
    assert main(["graph", "chain", "--format", form, "--output", str(output)]) == 0
    assert output.read_text().startswith(start)


def test_graph_of_a_file_needs_no_models(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bare.yaml").write_text(BAD.replace("heer", "hear"))
    assert main(["graph", "bare.yaml"]) == 0
    assert capsys.readouterr().out.startswith("pipeline bad\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["list", "--models-dir", "nowhere"], "'nowhere' is not a folder"),
        (["lint", "nowhere.yaml"], "nowhere.yaml: cannot be read: No such file or directory"),
        (["graph", "nothing"], "'nothing' is not in model-settings; accepted: chain, outer"),
        (["graph", "nowhere.yaml"], "no such file: nowhere.yaml"),
        (["graph", "hear"], "'hear' is a model; accepted: chain, outer"),
        (["graph", "chain", "--output", "no/where"], "--output no/where: No such file"),
        (["serve", "nothing"], "no model or pipeline 'nothing'"),
        (["serve", "chain", "--set", "hear=1"], "--set hear=1: accepted: model.field=value"),
        (["serve", "chain", "--http-port", "9", "--grpc-port", "9"], "ports 9 (REST), 9 (gRPC)"),
        (["serve", "chain", "--set", "her.x=1"], "--set her.x=1: no model or pipeline 'her'"),
        (["demo", "hear"], "'hear' has no sample request"),
        (["demo", "chain", "--url", "127.0.0.1:1"], "endpoint '127.0.0.1:1'"),
    ],
)
def test_an_error_is_one_line_and_status_2(
    models: Path, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"infergraph {arguments[0]}: ")
    assert text in line


def test_every_finding_of_a_bad_file_is_a_line(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.yaml").write_text(BAD.replace("steps: [reply]", "steps: [replay]"))
    assert main(["graph", "bad.yaml"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("infergraph graph: bad.yaml:10: unknown-step: ")
    assert second.startswith("infergraph graph: bad.yaml:12: unknown-step: ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["lend"],
        ["serve"],
        ["serve", "x", "--http-port", "x"],
        *(["serve", "x", "--load-timeout", each] for each in ("nan", "0", "-5", "soon")),
    ],
)
def test_usage_errors_are_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: infergraph" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"usage: infergraph {command}" in capsys.readouterr().out


def test_a_closed_pipe_is_no_error(models: Path) -> None:
    program = [sys.executable, "-m", "infergraph.cli", "list", "--json"]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full disk to write to")
@pytest.mark.parametrize("arguments", [["list"], ["graph", "chain"], ["lint"]])
def test_a_full_disk_is_one_line_and_status_2(models: Path, arguments: list[str]) -> None:
    program = [sys.executable, "-m", "infergraph.cli", *arguments]
    with open("/dev/full", "w") as full:
        done = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == f"infergraph {arguments[0]}: No space left on device\n"
    assert done.returncode == 2


def test_a_file_that_may_not_be_read_is_named(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(args: object) -> int:
        raise PermissionError(13, "Permission denied", "model-settings/hear")

    monkeypatch.setattr(COMMANDS["list"], "run", run)
    assert main(["list"]) == 2
    assert capsys.readouterr().err == "infergraph list: model-settings/hear: Permission denied\n"


def test_a_command_may_have_no_stdout(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["list"]) == 0
    assert main(["list", "--models-dir", "nowhere"]) == 2


def test_a_working_folder_that_is_gone_is_no_error(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = models.parent / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["graph", "chain", "--models-dir", str(models)]) == 0
    capsys.readouterr()
    assert main(["list", "--json", "--models-dir", str(models)]) == 0
    listed = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert listed["hear"]["folder"] == str(models / "hear")


def test_letters_that_the_terminal_lacks_are_escaped(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = use_stdout(monkeypatch, "ascii")
    assert main(["graph", "chain"]) == 0
    assert "hear: text \\u2192 heard" in printed().splitlines()[3]


def test_importing_the_command_is_light() -> None:
    code = (
        "import sys, infergraph.cli\n"
        "heavy = {'mlserver', 'torch', 'numpy', 'grpc', 'pydantic', 'yaml'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_package_that_is_missing_is_named(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(args: object) -> int:
        raise ModuleNotFoundError("No module named 'torch'", name="torch.nn")

    monkeypatch.setattr(COMMANDS["lint"], "run", run)
    assert main(["lint"]) == 2
    assert capsys.readouterr().err == (
        "infergraph lint: it needs the package 'torch', which is not installed; what models need "
        "is installed with: pip install 'infergraph[models]'\n"
    )

    def broken(args: object) -> int:
        raise ModuleNotFoundError("No module named 'infergraph.nothing'", name="infergraph.nothing")

    monkeypatch.setattr(COMMANDS["lint"], "run", broken)
    with pytest.raises(ModuleNotFoundError):
        main(["lint"])
