"""Every pipeline on every target: the same each time, without faults, and as the examples show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from infergraph.cli import main
from infergraph.manifests.checks import check
from infergraph.manifests.documents import Document, read_documents, read_folder
from infergraph.manifests.folder import Rendered
from infergraph.manifests.options import Options
from infergraph.manifests.rendering import render
from infergraph.manifests.targets import AUTOSCALERS_OF, TARGETS, Target
from tests.drill.kinds import one_of_each_kind
from tests.exhaustive import one_in

from . import examples, seldon_v1_page

REPOSITORY = Path(__file__).parents[2]
PIPELINES = sorted(file.stem for file in (REPOSITORY / "pipelines").glob("*.yaml"))
EACH = [(target, pipeline) for target in TARGETS for pipeline in PIPELINES]
SCALED = [(target, scaler) for target in TARGETS for scaler in AUTOSCALERS_OF[target]]
NEW_SELDON = (2, 10, 0)


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def documents_of(rendered: Rendered) -> list[Document]:
    return [
        document
        for name, text in rendered.files.items()
        if name.endswith(".yaml")
        for document in read_documents(name, text)
    ]


def test_the_examples_are_of_all_pipelines() -> None:
    assert examples.pipelines() == PIPELINES


@pytest.mark.parametrize(("target", "pipeline"), EACH)
def test_an_example_is_what_is_rendered_and_has_no_faults(target: Target, pipeline: str) -> None:
    rendered = render(examples.planned(pipeline, target))

    again = render(examples.planned(pipeline, target))
    assert dict(rendered.files) == dict(again.files)
    folder = examples.EXAMPLES / target / pipeline
    shown = {file.name: file.read_text() for file in folder.iterdir() if file.is_file()}
    assert dict(rendered.files) == shown, "run: make manifests"
    documents = read_folder(folder)
    assert len(documents) == len(documents_of(rendered)) > 0
    assert check(documents, (2, 6, 0)) == []


@pytest.mark.parametrize(("target", "scaler"), one_in(4, SCALED))
def test_a_pipeline_of_each_kind_passes_the_checks_with_each_autoscaler(
    target: Target, scaler: str
) -> None:
    for pipeline in one_of_each_kind():
        rendered = render(
            examples.planned(
                pipeline, target, autoscale=scaler, seldon_version="2.10.0", replicas=2
            )
        )

        documents = documents_of(rendered)
        assert check(documents, NEW_SELDON) == []
        scaling = {"native": "minReplicas", "vpa": "VerticalPodAutoscaler"}
        scaling |= {"hpa": "averageValue", "keda": "prometheus"}
        assert scaling[scaler] in rendered.text


def test_a_pipeline_file_goes_to_seldon_unchanged() -> None:
    rendered = render(examples.planned("audio-qa", "seldon-v2"))

    file = REPOSITORY / "pipelines" / "audio-qa.yaml"
    assert rendered.files["30-pipeline-audio-qa.yaml"] == file.read_text()


def test_the_page_has_the_verdicts() -> None:
    page = examples.PAGE.read_text()

    assert examples.with_verdicts(page) == page, "run: make manifests"


def test_the_page_has_the_graphs_of_the_first_generation() -> None:
    page = seldon_v1_page.PAGE.read_text()

    assert seldon_v1_page.with_graphs(page) == page, "run: make manifests"


def test_the_values_of_the_page_render(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", examples.PAGE.read_text(), re.M | re.S)
    file = tmp_path / "values.yaml"
    file.write_text(block)

    assert main(["manifests", "--values", str(file)]) == 0

    assert "image: registry/infergraph-router:1" in capsys.readouterr().out
    accepted = {name.replace("_", "-") for name in Options.model_fields} | {"pipelines"}
    assert set(yaml.safe_load(block)) <= accepted
