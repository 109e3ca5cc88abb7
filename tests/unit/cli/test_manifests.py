from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infergraph.cli import main
from tests.unit.cli.manifests_command import (
    KUBERNETES,
    REPOSITORY,
    SELDON,
    SELDON_1,
    line_of,
    write_pipeline,
)
from tests.unit.cli.workspaces import write_workspace


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def test_a_pipeline_in_a_pipeline_is_a_router_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = write_pipeline(tmp_path, "inner")
    settings = json.loads((models / "inner" / "model-settings.json").read_text())
    (models / "outer").mkdir()
    (models / "outer" / "model-settings.json").write_text(
        json.dumps({**settings, "name": "outer", "parameters": {"uri": "../../outer.yaml"}})
    )
    text = (tmp_path / "pipeline.yaml").read_text()
    (tmp_path / "outer.yaml").write_text(text.replace("inner", "outer").replace("echo", "inner"))

    assert main(["manifests", "outer", *KUBERNETES, "--models-dir", str(models)]) == 0

    found = list(yaml.safe_load_all(capsys.readouterr().out))
    told = {
        each["metadata"]["name"]: [
            json.loads(variable["value"])
            for variable in each["spec"]["template"]["spec"]["containers"][0]["env"]
            if variable["name"] == "INFERGRAPH_ENDPOINTS"
        ]
        for each in found
        if each["kind"] == "Deployment"
    }
    assert told == {
        "echo": [],
        "inner": [{"echo": "http://echo:8080"}],
        "outer": [{"inner": "http://inner:8080"}],
    }


def test_objects_are_printed_in_the_order_of_their_files(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["manifests", "audio-qa", *SELDON, "--namespace", "ml"]) == 0

    found = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [each["kind"] for each in found] == ["Server", "Model", "Model", "Pipeline"]
    assert {each["metadata"].get("namespace") for each in found[:3]} == {"ml"}


def test_the_command_line_goes_before_the_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(
        "pipelines: [audio-sent]\ntarget: kubernetes\nstorage-uri: pvc://a\nreplicas: 2\n"
        "image: {models: a:1}\nmemory: {sentiment: 3Gi}\n"
    )

    assert main(["manifests", "--values", str(file), "--replicas", "3"]) == 0

    found = list(yaml.safe_load_all(capsys.readouterr().out))
    deployments = {each["metadata"]["name"]: each for each in found if each["kind"] == "Deployment"}
    assert sorted(deployments) == ["audio-sent", "sentiment", "speech-to-text"]
    assert {each["spec"]["replicas"] for each in deployments.values()} == {3}
    (container,) = deployments["sentiment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "a:1"
    assert container["resources"]["limits"]["memory"] == "4288Mi"


def test_a_router_has_the_memory_that_it_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "values.yaml"

    def limit(memory: str) -> int:
        file.write_text(f"memory: {{audio-qa: {memory}}}\n")
        assert main(["manifests", "audio-qa", *KUBERNETES, "--values", str(file)]) == 0
        found = list(yaml.safe_load_all(capsys.readouterr().out))
        (spec,) = (
            each["spec"]["template"]["spec"]
            for each in found
            if each["kind"] == "Deployment" and each["metadata"]["name"] == "audio-qa"
        )
        (container,) = spec["containers"]
        return int(container["resources"]["limits"]["memory"].removesuffix("Mi"))

    assert limit("1Gi") - limit("24Mi") == 1000


def test_a_pipeline_may_be_named_otherwise_than_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "model-settings"
    for each in ("resnet", "inception", "cascade"):
        shutil.copytree(REPOSITORY / "model-settings" / each, models / each)
    (tmp_path / "pipelines").mkdir()
    text = (REPOSITORY / "pipelines" / "cascade.yaml").read_text()
    file = tmp_path / "pipelines" / "cascade.yaml"
    file.write_text(text.replace("name: cascade", "name: stages").replace("cascade.", "stages."))
    folder = tmp_path / "out"
    arguments = ["--models-dir", str(models), "--output", str(folder)]

    assert main(["manifests", "cascade", *SELDON, *arguments]) == 0

    found = list(yaml.safe_load_all((folder / "20-models.yaml").read_text()))
    single = [{"name": "max_items", "value": "1"}]
    assert [each["spec"].get("parameters") for each in found] == [single, single]
    assert "'seldon-model: stages.pipeline'" in (folder / "NOTES.md").read_text()
    assert "/v2/models/stages/infer" in (folder / "NOTES.md").read_text()

    assert main(["manifests", "cascade", *SELDON_1, *arguments]) == 0

    (found,) = yaml.safe_load_all((folder / "40-seldondeployment-cascade.yaml").read_text())
    first = found["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"][0]
    told = {each["name"]: each["value"] for each in first["env"]}
    assert told["INFERGRAPH_RESNET__MAX_ITEMS"] == "1"
    assert json.loads(told["INFERGRAPH_RESNET__NODE"])["request"] == {"image": True}


def test_two_variants_are_an_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("memory: {resnet-resnet18: 1Gi}\n")
    arguments = ["--variant", "resnet=embedded", "--variant", "resnet=resnet18"]

    assert main(["manifests", "cascade", *SELDON, *arguments, "--values", str(file)]) == 0

    found = list(yaml.safe_load_all(capsys.readouterr().out))
    models = {each["metadata"]["name"]: each["spec"] for each in found if each["kind"] == "Model"}
    assert sorted(models) == ["inception", "resnet", "resnet-resnet18"]
    first, second = models["resnet"], models["resnet-resnet18"]
    assert first["storageUri"] == second["storageUri"] == "gs://bucket/models/resnet"
    assert {"name": "variant", "value": "resnet18"} in second["parameters"]
    (experiment,) = (each["spec"] for each in found if each["kind"] == "Experiment")
    assert experiment["default"] == "resnet"
    assert [each["name"] for each in experiment["candidates"]] == ["resnet", "resnet-resnet18"]


def test_a_folder_is_written_whole_and_replaced_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    arguments = ["audio-sent", *SELDON, "--output", str(folder)]

    assert main(["manifests", *arguments, "--autoscale", "native", "--via-router"]) == 0

    settings = json.loads((folder / "models/audio-sent/model-settings.json").read_text())
    assert settings["parameters"]["uri"] == "./pipeline.yaml"
    pipeline = REPOSITORY / "pipelines" / "audio-sent.yaml"
    assert (folder / "models/audio-sent/pipeline.yaml").read_text() == pipeline.read_text()
    assert (folder / "models/sentiment/embedded/model.safetensors").is_file()
    assert not list(folder.rglob("settings.json"))
    assert main(["manifests", *arguments]) == 0
    assert not (folder / "models/audio-sent").exists()
    assert (folder / "30-pipeline-audio-sent.yaml").is_file()
    assert [each.name for each in tmp_path.iterdir()] == ["out"]
    capsys.readouterr()
    assert main(["manifests", "--check", str(folder)]) == 0
    assert capsys.readouterr().out == "4 objects checked: no findings\n"


def test_what_links_lead_to_is_uploaded_and_a_servers_own_settings_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "out"

    assert main(["manifests", "hf-audio-sent", "--target", "compose", "--output", str(folder)]) == 0

    uploaded = folder / "models" / "hf-sentiment"
    weights = REPOSITORY / "model-settings" / "sentiment" / "embedded" / "model.safetensors"
    assert (uploaded / "model.safetensors").read_bytes() == weights.read_bytes()
    assert {"config.json", "tokenizer.json"} <= {each.name for each in uploaded.iterdir()}
    assert not [each for each in folder.rglob("*") if each.is_symlink()]
    # They say host 127.0.0.1, and would go before the environment.
    assert (REPOSITORY / "model-settings" / "hf-sentiment" / "settings.json").is_file()
    assert not list(folder.rglob("settings.json"))


@pytest.mark.parametrize(
    ("storage", "source"),
    [
        ("weights", "./weights"),
        ("../weights", "../weights"),
        ("/srv/$weights", "/srv/$$weights"),
        ("models", "./models"),
    ],
)
def test_a_folder_is_mounted_as_a_folder_and_not_as_a_volume(
    storage: str, source: str, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    arguments = ["--target", "compose", "--storage-uri", storage, "--output", str(folder)]

    assert main(["manifests", "diamond-echo", *arguments]) == 0

    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    assert {volume for each in services.values() for volume in each["volumes"]} == {
        f"{source}:/mnt/models:ro"
    }
    assert ("cp -r models/. " in (folder / "NOTES.md").read_text()) == (storage != "models")
    assert main(["manifests", "--check", str(folder)]) == 0


def test_a_folder_of_somebody_else_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    line = line_of(["audio-sent", *SELDON, "--output", str(tmp_path)], capsys)

    assert "it holds what this command did not write; name an empty folder" in line
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]


def test_nothing_is_left_of_what_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    folder = tmp_path / "out"

    line = line_of(["audio-sent", *SELDON, "--output", str(folder)], capsys)

    assert "No space left on device" in line
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_replaced_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    arguments = ["audio-sent", "--target", "compose", "--output", str(folder)]
    assert main(["manifests", *arguments]) == 0
    before = (folder / "compose.yaml").read_text()
    capsys.readouterr()

    def busy(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "rename", busy)
    line = line_of([*arguments, "--replicas", "2"], capsys)

    assert "Device or resource busy" in line
    assert (folder / "compose.yaml").read_text() == before
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_who_serves_the_folder_can_read_it(tmp_path: Path) -> None:
    models = write_workspace(tmp_path)
    (models / "hear" / "words.txt").touch(0o600)
    arguments = ["manifests", "chain", "--target", "compose", "--models-dir", str(models)]
    before = os.umask(0o077)
    try:
        assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    finally:
        os.umask(before)

    for each in (tmp_path / "out", *(tmp_path / "out").rglob("*")):
        wanted = 0o755 if each.is_dir() else 0o644
        assert each.stat().st_mode & wanted == wanted, each


def test_a_router_needs_no_parameters(tmp_path: Path) -> None:
    models = write_workspace(tmp_path)
    (tmp_path / "pipelines" / "chain.yaml").rename(models / "chain" / "pipeline.yaml")
    file = models / "chain" / "model-settings.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps({**settings, "parameters": None}))
    (models / "outer" / "model-settings.json").unlink()
    folder = tmp_path / "out"
    arguments = ["--models-dir", str(models), "--output", str(folder)]

    assert main(["manifests", "chain", *KUBERNETES, *arguments]) == 0

    uploaded = json.loads((folder / "models" / "chain" / "model-settings.json").read_text())
    assert uploaded["parameters"] == {"uri": "./pipeline.yaml"}


def test_what_cannot_be_copied_is_named_and_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = write_workspace(tmp_path)
    (models / "hear" / "weights").symlink_to("nowhere")
    before = sorted(tmp_path.iterdir())
    arguments = ["--models-dir", str(models), "--output", str(tmp_path / "out")]

    line = line_of(["chain", *KUBERNETES, *arguments], capsys)

    assert line.startswith(f"{models / 'hear' / 'weights'}: cannot be copied: ")
    assert "No such file or directory" in line
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_is_written_through_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "out")
    arguments = ["manifests", "diamond-echo", "--target", "compose", "--output", str(link)]

    for _ in range(2):
        assert main(arguments) == 0

        assert link.is_symlink()
        assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "out"]
        assert (tmp_path / "out" / "compose.yaml").is_file()


def test_notes_of_somebody_else_are_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "NOTES.md").write_bytes(b"\xff\xfe mine")

    line = line_of(["audio-sent", *SELDON, "--output", str(tmp_path)], capsys)

    assert "it holds what this command did not write" in line


def test_what_is_replaced_comes_back_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    arguments = ["manifests", "diamond-echo", "--target", "compose", "--output", str(folder)]
    assert main(arguments) == 0
    before = (folder / "compose.yaml").read_text()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupted)
    assert main([*arguments, "--replicas", "2"]) == 130

    assert (folder / "compose.yaml").read_text() == before
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_a_check_prints_what_it_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "service.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  selector: {app: a}\n"
    )

    assert main(["manifests", "--check", str(tmp_path)]) == 1

    problem = "selector: Service 'a': no pod has the labels app=a"
    cure = "select the labels of a template of this folder"
    assert capsys.readouterr().out == f"{file}:5: {problem}; fix: {cure}\n"


@pytest.mark.parametrize("name", ["broker-limit", "broker_limit"])
def test_a_check_knows_the_brokers_limit(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "values.yaml"
    arguments = ["manifests", "--check", "mlserver/seldon-v2/audio-qa", "--values", str(file)]
    file.write_text(f"pipelines: [audio-qa]\n{name}: 1Mi\n")
    assert main(arguments) == 0
    file.write_text(f"pipelines: [audio-qa]\n{name}: 20Ki\n")
    capsys.readouterr()

    assert main(arguments) == 1

    found = capsys.readouterr().out
    assert "broker-limit: Pipeline 'audio-qa': the request of its sample is" in found
    assert "or use --via-router" in found


def test_neither_mlserver_nor_torch_is_imported() -> None:
    program = (
        "import sys; from infergraph.cli import main; "
        f"main(['manifests', 'audio-qa', *{KUBERNETES}, '--autoscale', 'keda']); "
        "main(['manifests', '--check', 'mlserver/seldon-v2/audio-qa']); "
        "print(sorted({'mlserver', 'torch', 'transformers'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert done.stdout.decode().splitlines()[-2:] == ["4 objects checked: no findings", "[]"]
