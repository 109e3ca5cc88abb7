"""The tables of the documentation say what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from prometheus_client.metrics import MetricWrapperBase
from pydantic.fields import FieldInfo

from infergraph.front_door import metrics
from infergraph.front_door.settings import FrontDoorSettings
from infergraph.graph import RULES
from infergraph.node import Node
from infergraph.request import RequestContext
from infergraph.router import RouterSettings
from infergraph.settings import ModelOptions, RuntimeOptions
from infergraph.tasks.echo import EchoOptions
from infergraph.tasks.ensemble_combine import EnsembleCombineOptions
from infergraph.tasks.image_captioning import ImageCaptioningOptions
from infergraph.tasks.image_classification import ImageClassificationOptions
from infergraph.tasks.json_fields import JsonFieldsOptions
from infergraph.tasks.object_detection import ObjectDetectionOptions
from infergraph.tasks.operations.filters import Filter
from infergraph.tasks.operators import OperatorsOptions
from infergraph.tasks.plate_reading import PlateReadingOptions
from infergraph.tasks.question_answering import QuestionAnsweringOptions
from infergraph.tasks.recommendation import RecommendationOptions
from infergraph.tasks.reject import RejectOptions
from infergraph.tasks.speech_to_text import SpeechToTextOptions
from infergraph.tasks.text_classification import TextClassificationOptions
from infergraph.tasks.text_detection import TextDetectionOptions
from infergraph.tasks.text_recognition import TextRecognitionOptions
from infergraph.tasks.text_to_speech import TextToSpeechOptions
from infergraph.tasks.token_classification import TokenClassificationOptions
from infergraph.v2 import Message, Tensor
from tests.unit.runtime.workbench import load

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = [
    *REPOSITORY.glob("*.md"),
    *REPOSITORY.glob("docs/*.md"),
    *REPOSITORY.glob("model-settings/*/README.md"),
    REPOSITORY / "mlserver/README.md",
    REPOSITORY / "zoo/README.md",
]


def rows(document: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    text = (REPOSITORY / "docs" / document).read_text()
    section = re.split(r"^## ", text.split(f"\n## {heading}\n")[1], maxsplit=1, flags=re.M)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_lint_rules() -> None:
    assert rows("graph.md", "Lint") == [
        [
            f"`{rule.name}`",
            rule.summary,
            rule.severity,
            "yes" if rule.origin == "seldon" else "",
            "yes" if rule.needs_catalog else "",
        ]
        for rule in RULES.values()
    ]


def test_fields_of_a_node() -> None:
    assert [name for name, _ in rows("settings.md", "Nodes")] == [
        f"`{name}`" for name in Node.model_fields
    ]


async def test_the_task_that_contributors_are_shown(tmp_path: Path) -> None:
    page = (REPOSITORY / "CONTRIBUTING.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```$", page, flags=re.M | re.S)
    shown: dict[str, Any] = {}
    exec(block, shown)
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "words.txt").write_text("gulls lamp\nkeeper")
    column = [-1, 1]

    model = await load(
        shown["KnownWords"],
        inputs={"text": ("BYTES", column)},
        outputs={"known": ("INT64", column)},
        folder=tmp_path,
        variants={"embedded": "./words"},
    )
    asked = Message([Tensor.of_bytes("text", [b"the keeper counts gulls", b"nothing"])])
    answer = await model.infer(asked, RequestContext())
    await model.unload()

    assert answer.tensors[0].data.tolist() == [[2], [0]]


@pytest.mark.parametrize(
    ("heading", "options", "base"),
    [
        ("Every model", RuntimeOptions, None),
        ("speech-to-text, speech-to-text-de", SpeechToTextOptions, RuntimeOptions),
        ("sentiment, language-identification", TextClassificationOptions, RuntimeOptions),
        ("unsupported-language", RejectOptions, RuntimeOptions),
        ("token-classification", TokenClassificationOptions, RuntimeOptions),
        ("text-to-speech, text-to-speech-de", TextToSpeechOptions, RuntimeOptions),
        ("question-answering", QuestionAnsweringOptions, RuntimeOptions),
        ("object-detection", ObjectDetectionOptions, RuntimeOptions),
        (
            "alexnet, resnet, inception, vehicle-classification, human-classification, "
            "content-safety, digit-reading",
            ImageClassificationOptions,
            RuntimeOptions,
        ),
        ("plate-reading", PlateReadingOptions, RuntimeOptions),
        ("image-captioning", ImageCaptioningOptions, RuntimeOptions),
        ("ensemble-combine", EnsembleCombineOptions, RuntimeOptions),
        ("hf-answer, hf-label", JsonFieldsOptions, RuntimeOptions),
        ("text-detection", TextDetectionOptions, ObjectDetectionOptions),
        ("text-recognition", TextRecognitionOptions, RuntimeOptions),
        (
            "aggregate-text, annotation-filter, assistant-reply, game-regions, game-join, "
            "image-sentence",
            OperatorsOptions,
            RuntimeOptions,
        ),
        (
            "dlrm, bottom-mlp, embedding-bags, interaction, top-mlp",
            RecommendationOptions,
            RuntimeOptions,
        ),
        (
            "echo, echo-source, echo-short, echo-deep, echo-deeper, echo-join",
            EchoOptions,
            RuntimeOptions,
        ),
        ("Pipelines", RouterSettings, None),
    ],
)
def test_settings_and_their_defaults(
    heading: str, options: type[ModelOptions], base: type[ModelOptions] | None
) -> None:
    documented = {row[0].strip("`"): row[1].strip("`") for row in rows("settings.md", heading)}
    inherited = set(base.model_fields) if base else set()
    own = {name: field for name, field in options.model_fields.items() if name not in inherited}
    assert documented == {
        name: "" if field.is_required() else _text(field.get_default(call_default_factory=True))
        for name, field in own.items()
    }


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def test_the_readme_has_every_pipeline_and_every_model() -> None:
    text = (REPOSITORY / "README.md").read_text()
    section = text.split("\n## What there is\n")[1].split("\n## ")[0]
    listed = section.split("| model |")[0]
    pipelines = {file.stem for file in REPOSITORY.glob("pipelines/*.yaml")}
    first_cells = ",".join(re.findall(r"^\| ([\w, -]+) \|", listed, re.M)).split(",")
    assert {name.strip() for name in first_cells} - {"pipeline"} == pipelines

    for group, names in re.findall(r"(?<![\w-])(\S*\{([\w,]+)\}\S*)", section):
        section += " " + " ".join(group.replace(f"{{{names}}}", name) for name in names.split(","))
    models = {file.parent.name for file in REPOSITORY.glob("model-settings/*/model-settings.json")}
    unnamed = models - pipelines - set(re.findall(r"[\w-]+", section))
    assert all(name.startswith("echo-") for name in unnamed), unnamed


def test_answers_of_the_vision_pipelines() -> None:
    for name, batch, answers in rows("vision.md", "Pipelines"):
        settings = REPOSITORY / "model-settings" / name / "model-settings.json"
        outputs = {each["name"] for each in json.loads(settings.read_text())["outputs"]}
        shown = set(re.findall(r"`(\w+)`", answers)) - {"threshold", "classes"}
        if "detector's tensors" in answers:
            shown |= {"num_detections", "num_found", "boxes", "scores", "labels"}
        assert shown == outputs, name
        per_item = "infergraph.io/per-item" in (REPOSITORY / f"pipelines/{name}.yaml").read_text()
        assert (batch == "per item") == per_item, name


def test_limits_of_the_front_door() -> None:
    for name, default, _ in rows("front-door.md", "What is let in"):
        assert default == _text(FrontDoorSettings.model_fields[name.strip("`")].default)


def test_metrics_of_the_front_door_and_their_labels() -> None:
    labels = {
        next(iter(each.describe())).name: set(each._labelnames)
        for each in vars(metrics).values()
        if isinstance(each, MetricWrapperBase)
    }
    documented = {
        name.removesuffix("_total"): set(re.findall(r"`(\w+)`", row[1]))
        for row in rows("front-door.md", "What is seen")
        for name in re.findall(r"`(\w+)`", row[0])
        if not name.startswith(("model_infer_", "_"))  # MLServer's own
    }
    assert documented == labels


def test_operations_and_their_fields() -> None:
    (operation,) = get_args(OperatorsOptions.model_fields["operations"].annotation)
    kinds = {get_args(each.model_fields["kind"].annotation)[0]: each for each in _union(operation)}
    table = {row[0].strip("`"): row[2] for row in rows("settings.md", "Operations")}
    assert table.keys() == kinds.keys()
    for kind, options in kinds.items():
        of_all = {"kind", *(Filter.model_fields if issubclass(options, Filter) else ())}
        for name, field in options.model_fields.items():
            if name not in of_all:
                shown = re.search(rf"(\**)`{name}`\**( \((?:`([^`]*)`|([^);:]+)))?", table[kind])
                assert shown is not None, (kind, name)
                assert bool(shown[1]) == field.is_required(), (kind, name)
                value = "" if shown[4] == "in place" else shown[3] or shown[4] or ""
                assert value == _default(field), (kind, name)


def _default(field: FieldInfo) -> str:
    value = None if field.is_required() else field.get_default(call_default_factory=True)
    return "" if value in ([], {}) else _text(value)


def _union(annotated: Any) -> tuple[Any, ...]:
    return get_args(get_args(annotated)[0])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        page = document.parent / file if file else document
        assert page.exists(), target
        assert not anchor or anchor in anchors(page), target


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may end with, as GitHub makes it of the headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    headings = (line.lower() for line in re.findall(r"^#+ (.*)$", text, flags=re.M))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_files_that_are_named_exist(document: Path) -> None:
    """Paths from the repository's root, but for patterns and what a reader replaces."""
    folders = "clients|docs|mlserver|model-settings|pipelines|runtimes|tests|zoo"
    for path in re.findall(rf"(?<![\w./-])(?:{folders})/[\w./<>*-]+", document.read_text()):
        if path.startswith("zoo/.cache") or re.search(r"[<*]|[A-Z]{2,}(?!\w*\.md)", path):
            continue
        assert (REPOSITORY / path.rstrip(".")).exists(), path
