from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infergraph.cli import main

REPOSITORY = Path(__file__).parents[3]
SELDON = ["--target", "seldon-v2", "--storage-uri", "gs://bucket/models"]
SELDON_1 = ["--target", "seldon-v1", "--storage-uri", "pvc://models"]
KUBERNETES = ["--target", "kubernetes", "--storage-uri", "pvc://models"]


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def line_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line in which `infergraph manifests` refuses something; nothing is printed."""
    assert main(["manifests", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line.removeprefix("infergraph manifests: ")


@pytest.mark.parametrize(
    ("arguments", "problem", "cure"),
    [
        (["--target", "kubernetes"], "a PIPELINE is missing", "infergraph manifests audio-qa"),
        (["audio-qa"], "--target is missing", "--target kubernetes"),
        (["nobody", "--target", "compose"], "'nobody' is not in model-settings", "audio-qa"),
        (["resnet", "--target", "compose"], "'resnet' is a model", "accepted: audio-qa"),
        (["audio-qa", "--target", "seldon-v2"], "needs --storage-uri", "gs://bucket/models"),
        (["audio-qa", "--target", "kubernetes"], "needs --storage-uri", "pvc://CLAIM"),
        (
            ["video-monitoring", *SELDON],
            "'video-monitoring' cannot run on Seldon Core 2 as it is: the output is an outer join",
            "use --via-router",
        ),
        (["audio-qa", "--target", "compose", "--via-router"], "is for target seldon-v2", "leave"),
        (
            ["audio-qa", *KUBERNETES, "--autoscale", "native"],
            "--autoscale native",
            "accepted: hpa, keda, vpa",
        ),
        (
            ["audio-qa", *SELDON_1, "--autoscale", "vpa"],
            "--autoscale vpa",
            "accepted: hpa, keda",
        ),
        (
            ["audio-qa", "--target", "compose", "--autoscale", "keda"],
            "--autoscale keda",
            "use --replicas",
        ),
        (
            ["audio-qa", *SELDON, "--autoscale", "hpa"],
            "Models of Seldon Core 2.6.0 have no selector",
            "--seldon-version 2.8.5",
        ),
        (
            ["cascade", *SELDON, "--autoscale", "vpa", "--gpu", "resnet"],
            "it cannot size GPUs",
            "leave out --gpu",
        ),
        (["audio-qa", *SELDON, "--seldon-version", "new"], "--seldon-version new", "2.6.0"),
        (["nlp", "--target", "compose", "--gpu", "english-text"], "no network", "leave it out"),
        (
            ["hf-audio-qa", "--target", "compose", "--gpu", "hf-question-answering"],
            "is of another runtime",
            "leave it out",
        ),
        (["audio-qa", "--target", "compose", "--gpu", "resnet"], "no such model", "accepted:"),
        (["cascade", "--target", "compose", "--gpu", "resnet=0"], "--gpu resnet=0", "MODEL=N"),
        (
            ["cascade", "--target", "compose", "--variant", "resnet=gigantic"],
            "'variant' = 'gigantic' is unknown",
            "accepted: embedded, resnet101",
        ),
        (["cascade", "--target", "compose", "--variant", "resnet"], "--variant resnet", "MODEL="),
        (
            ["nlp", "--target", "compose", "--variant", "english-text=embedded"],
            "has no variants",
            "leave it out",
        ),
        (
            ["cascade", "--target", "compose", "--variant", "resnet=resnet152"],
            "'torchvision/resnet152', which is not on this machine",
            "memory: {resnet: 2Gi}",
        ),
        (
            [
                *("cascade", *KUBERNETES),
                *("--variant", "resnet=embedded", "--variant", "resnet=resnet18"),
            ],
            "two variants are an Experiment",
            "name one",
        ),
        (
            ["cascade", *SELDON, "--variant", "resnet=embedded", "--variant", "resnet=embedded"],
            "two different variants",
            "--variant resnet",
        ),
        (
            ["audio-qa", "--target", "kubernetes", "--storage-uri", "s3://bucket"],
            "--storage-uri s3://bucket",
            "pvc://CLAIM",
        ),
        (
            ["audio-qa", "--target", "compose", "--storage-uri", "s3://bucket"],
            "--storage-uri s3://bucket",
            "a folder",
        ),
        (["audio-qa", "--target", "compose", "--namespace", "ml"], "Compose has none", "leave"),
        (
            ["audio-qa", *KUBERNETES, "--namespace", "My_Space"],
            "'My_Space' is no namespace",
            "use small letters",
        ),
        (["--check", "nowhere"], "'nowhere' is not a folder", "name one"),
        (["--check", "mlserver", "audio-qa"], "a folder that is there", "leave out PIPELINE"),
        (["audio-qa", "--target", "compose", "--values", "none.yaml"], "none.yaml", "cannot be"),
    ],
)
def test_what_cannot_be_is_one_line_with_its_cure(
    arguments: list[str], problem: str, cure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = line_of(arguments, capsys)

    assert problem in line
    assert cure in line


def test_two_autoscalers_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["manifests", "audio-qa", *SELDON, "--autoscale", "native", "--autoscale", "hpa"])

    assert ended.value.code == 2
    assert "two would fight over the same replicas; keep one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "problem", "cure"),
    [
        ({"broker-limit": "20Ki"}, "over the broker-limit of 20480", "message.max.bytes"),
        ({"memry": {}}, "unknown value 'memry'", "accepted: target, image"),
        ({"memory": {"sentiment": "much"}}, "'much' is no size", "512Mi"),
        ({"memory": {"resnet": "1Gi"}}, "memory resnet", "accepted: speech-to-text"),
        ({"pipelines": "audio-qa"}, "pipelines = 'audio-qa'", "a list of names"),
        ({"replicas": 3, "max-replicas": 2}, "max-replicas 2 is below", "raise it"),
        ({"target": "compose"}, "is for target 'compose'", "change one"),
        ({"image": {"gpus": "a"}}, "unknown role 'gpus'", "accepted: models, gpu"),
    ],
)
def test_values_that_cannot_be_are_one_line_with_their_cure(
    values: dict[str, object],
    problem: str,
    cure: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))

    named = [] if "pipelines" in values else ["audio-qa"]
    line = line_of([*named, *SELDON, "--values", str(file)], capsys)

    assert problem in line
    assert cure in line


def test_a_payload_over_the_limit_may_go_through_the_router(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("broker-limit: 20Ki\n")

    assert main(["manifests", "audio-qa", *SELDON, "--via-router", "--values", str(file)]) == 0

    assert "kind: Pipeline" not in capsys.readouterr().out


def write_pipeline(root: Path, name: str) -> Path:
    """A workspace with one pipeline of one model, so named."""
    models = root / "model-settings"
    for each in ("echo", name):
        (models / each).mkdir(parents=True)
    shutil.copy(REPOSITORY / "model-settings" / "echo" / "model-settings.json", models / "echo")
    (root / "pipeline.yaml").write_text(
        "apiVersion: mlops.seldon.io/v1alpha1\nkind: Pipeline\n"
        f"metadata: {{name: {name}}}\n"
        f"spec: {{steps: [{{name: echo, inputs: [{name}.inputs.a]}}], output: {{steps: [echo]}}}}\n"
    )
    settings = {
        "name": name,
        "implementation": "infergraph.router.PipelineRouter",
        "parameters": {"uri": "../../pipeline.yaml"},
    }
    (models / name / "model-settings.json").write_text(json.dumps(settings))
    (models / name / "request.json").write_text('{"inputs": []}')
    return models


def test_a_name_that_is_too_long_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "long-" * 10 + "name"
    models = write_pipeline(tmp_path, name)

    line = line_of([name, *KUBERNETES, "--models-dir", str(models)], capsys)

    assert line == f"Deployment '{name}': its name has 54 characters; use at most 46"


def test_pipelines_that_are_steps_of_each_other_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = write_pipeline(tmp_path, "loop")
    settings = json.loads((models / "loop" / "model-settings.json").read_text())
    (models / "echo" / "model-settings.json").write_text(
        json.dumps({**settings, "name": "echo", "parameters": {"uri": "../../inner.yaml"}})
    )
    text = (tmp_path / "pipeline.yaml").read_text()
    inner = text.replace("echo", "other").replace("loop", "echo").replace("other", "loop")
    (tmp_path / "inner.yaml").write_text(inner)

    line = line_of(["loop", *KUBERNETES, "--models-dir", str(models)], capsys)

    assert line == "pipelines are steps of each other: loop -> echo -> loop; leave one out"


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


def test_a_gpu_for_a_model_of_the_cpu_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "model-settings"
    for each in ("resnet", "inception", "cascade"):
        shutil.copytree(REPOSITORY / "model-settings" / each, models / each)
    shutil.copytree(REPOSITORY / "pipelines", tmp_path / "pipelines")
    file = models / "resnet" / "model-settings.json"
    settings = json.loads(file.read_text())
    settings["parameters"]["extra"]["device"] = "cpu"
    file.write_text(json.dumps(settings))
    arguments = ["cascade", *KUBERNETES, "--models-dir", str(models)]

    line = line_of([*arguments, "--gpu", "resnet"], capsys)

    assert "the settings of model 'resnet' say device cpu; set device to auto or cuda" in line


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
    assert container["resources"]["limits"]["memory"] == "4224Mi"


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


def test_a_check_prints_what_it_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "service.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  selector: {app: a}\n"
    )

    assert main(["manifests", "--check", str(tmp_path)]) == 1

    problem = "selector: Service 'a': no pod has the labels app=a"
    cure = "select the labels of a template of this folder"
    assert capsys.readouterr().out == f"{file}:5: {problem}; fix: {cure}\n"


def test_a_check_knows_the_brokers_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "values.yaml"
    arguments = ["manifests", "--check", "mlserver/seldon-v2/audio-qa", "--values", str(file)]
    file.write_text("broker-limit: 1Mi\n")
    assert main(arguments) == 0
    file.write_text("broker-limit: 20Ki\n")
    capsys.readouterr()

    assert main(arguments) == 1

    found = capsys.readouterr().out
    assert "broker-limit: Pipeline 'audio-qa': its sample is" in found
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
