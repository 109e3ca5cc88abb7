"""What `infergraph manifests` refuses, each in one line that says what to do instead."""

from __future__ import annotations

import json
import shutil
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


@pytest.mark.parametrize(
    ("arguments", "problem", "cure"),
    [
        (["--target", "kubernetes"], "a PIPELINE is missing", "infergraph manifests audio-qa"),
        (["audio-qa"], "--target is missing", "--target kubernetes"),
        (["nobody", "--target", "compose"], "'nobody' is not in model-settings", "audio-qa"),
        (
            ["resnet", "--target", "compose"],
            "'resnet' is a model",
            "accepted: asr-summarization, assistant",
        ),
        (["audio-qa", "--target", "seldon-v2"], "needs --storage-uri", "gs://bucket/models"),
        (["audio-qa", "--target", "kubernetes"], "needs --storage-uri", "pvc://CLAIM"),
        (
            ["video-monitoring", *SELDON],
            "'video-monitoring' cannot run on Seldon Core 2 as it is: the output is an outer join",
            "use --via-router",
        ),
        (["audio-qa", "--target", "compose", "--via-router"], "is for Seldon's targets", "leave"),
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
        (
            ["audio-qa", "--target", "compose", "--gpu", "audio-qa"],
            "--gpu audio-qa: these pipelines have no such model",
            "accepted: speech-to-text, question-answering",
        ),
        (
            ["audio-qa", "--target", "compose", "--variant", "audio-qa=embedded"],
            "--variant audio-qa: these pipelines have no such model",
            "accepted: speech-to-text, question-answering",
        ),
        (["cascade", "--target", "compose", "--gpu", "resnet=0"], "--gpu resnet=0", "MODEL=N"),
        (["cascade", "--target", "compose", "--gpu", "resnet=" + "9" * 5000], "--gpu", "MODEL=N"),
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
        (
            ["audio-qa", "--target", "compose", "--storage-uri", "C:/models"],
            "--storage-uri C:/models",
            "has no colon",
        ),
        (
            ["audio-qa", "--target", "seldon-v1", "--storage-uri", "oci://registry/models:1"],
            "no volumes of images",
            "pvc://CLAIM[/FOLDER]",
        ),
        (
            ["audio-qa", "--target", "seldon-v2", "--storage-uri", "pvc://models"],
            "which knows no such place",
            "gs://bucket/models",
        ),
        (
            ["audio-qa", "--target", "kubernetes", "--storage-uri", "pvc://models//a"],
            "it mounts '/a' of volume 'models'",
            "a path inside the volume",
        ),
        (
            ["audio-qa", "--target", "seldon-v1", "--storage-uri", "pvc://models/../a"],
            "it mounts '../a' of volume 'models'",
            "a path inside the volume",
        ),
        (
            ["audio-qa", "--target", "kubernetes", "--storage-uri", "pvc://My_Models"],
            "the claim 'My_Models' of a volume has a bad name",
            "small letters",
        ),
        (["audio-qa", "--target", "compose", "--namespace", "ml"], "Compose has none", "leave"),
        (
            ["audio-qa", *KUBERNETES, "--namespace", "My_Space"],
            "'My_Space' is no namespace",
            "use small letters",
        ),
        (
            ["audio-qa", *KUBERNETES, "--image", "routr=registry/router:1"],
            "unknown role 'routr'",
            "accepted: models, gpu, router",
        ),
        (["audio-qa", *KUBERNETES, "--image", "router="], "'' is no image", "REGISTRY/NAME:TAG"),
        (["audio-qa", *KUBERNETES, "--image", "my image"], "'my image' is no", "REGISTRY/NAME:TAG"),
        (
            ["audio-qa", *KUBERNETES, "--image", "a:1", "--image", "models=a:2"],
            "--image models=a:2",
            "'a:1' is given for it too",
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
        ({"pipelines": [{"audio-qa": 1}]}, "pipelines = [{'audio-qa': 1}]", "a list of names"),
        ({"seldon-version": "2.6.0", "seldon_version": "2.7.0"}, "stands twice", "keep one"),
        ({"replicas": 10**9}, "replicas = 1000000000", "less than or equal to 100000"),
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


@pytest.mark.parametrize(
    "text", ["namespace: 2026-99-99\n", "replicas: " + "9" * 5000, "a: " + "[" * 9999, "{", "!!x 1"]
)
def test_a_file_of_values_that_is_no_yaml_is_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(text)

    line = line_of(["audio-qa", *SELDON, "--values", str(file)], capsys)

    assert line.startswith(f"--values {file}: no YAML: ")


def test_a_check_refuses_values_that_it_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("broker-limt: 1Mi\n")

    line = line_of(["--check", "mlserver/seldon-v2/audio-qa", "--values", str(file)], capsys)

    assert line.startswith("unknown value 'broker-limt'; accepted: target, ")


def test_what_a_step_answers_may_be_over_the_limit_where_the_request_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("broker-limit: 100Ki\n")

    line = line_of(["preprocess", *SELDON, "--values", str(file)], capsys)

    assert "what step 'alexnet' is sent of its sample is 331868 bytes in Kafka" in line
    assert "raise message.max.bytes" in line
    assert main(["manifests", "audio-qa", *SELDON, "--values", str(file)]) == 0


def test_a_payload_over_the_limit_may_go_through_the_router(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("broker-limit: 20Ki\n")

    assert main(["manifests", "audio-qa", *SELDON, "--via-router", "--values", str(file)]) == 0

    assert "kind: Pipeline" not in capsys.readouterr().out


def test_a_name_that_is_too_long_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "long-" * 10 + "name"
    models = write_pipeline(tmp_path, name)

    line = line_of([name, *KUBERNETES, "--models-dir", str(models)], capsys)

    assert line == f"Deployment '{name}': its name has 54 characters; use at most 46"


@pytest.mark.parametrize("target", [KUBERNETES, SELDON, SELDON_1])
@pytest.mark.parametrize("pipeline", ["chain", "outer"])
def test_a_pipeline_that_its_router_would_not_load_is_refused(
    pipeline: str, target: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = write_workspace(tmp_path)
    file = tmp_path / "pipelines" / "chain.yaml"
    file.write_text(file.read_text().replace("[hear.outputs.text]", "[hear.outputs.words]"))
    through = [] if target == KUBERNETES else ["--via-router"]

    assert main(["manifests", pipeline, *target, *through, "--models-dir", str(models)]) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    found = printed.err.splitlines()
    assert all(each.startswith(f"infergraph manifests: {file}:") for each in found)
    assert any(":10: unknown-tensor: " in each for each in found)


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
