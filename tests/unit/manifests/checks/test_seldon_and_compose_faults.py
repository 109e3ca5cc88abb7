"""Each fault of Seldon's objects and of Compose files is put into sound manifests, and found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infergraph.manifests.checks import check
from tests.unit.manifests.rendered import Change, Objects, assert_found, faults, objects, of, read

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def scaled_model(found: Objects) -> dict[str, Any]:
    return of(found, "Model", "speech-to-text")


SELDON: dict[str, tuple[str | None, str, Change]] = {
    "a VPA of a Model": (
        "vpa",
        "scale-target",
        lambda o: of(o, "VerticalPodAutoscaler")["spec"]["targetRef"].update(
            kind="Model", name="speech-to-text"
        ),
    ),
    "an HPA beside Seldon's own": (
        "hpa",
        "two-scalers",
        lambda o: scaled_model(o)["spec"].update(minReplicas=1, maxReplicas=2),
    ),
    "an HPA of a Model without replicas": (
        "hpa",
        "missing-replicas",
        lambda o: scaled_model(o)["spec"].pop("replicas"),
    ),
    "metrics of the pods of a Model": (
        "hpa",
        "model-metric",
        lambda o: of(o, "HorizontalPodAutoscaler")["spec"]["metrics"][0]["external"].update(
            target={"type": "Value", "value": "3"}
        ),
    ),
    "a requirement that no Server offers": (
        None,
        "no-server",
        lambda o: scaled_model(o)["spec"].update(requirements=["infergraph-gpu"]),
    ),
    "more memory than the Server has": (
        None,
        "memory",
        lambda o: scaled_model(o)["spec"].update(memory="64Gi"),
    ),
    "no memory": (None, "memory", lambda o: scaled_model(o)["spec"].pop("memory")),
    "a step without a Model": (None, "unknown-model", lambda o: o.remove(scaled_model(o))),
    "a Pipeline that does not pass the lint": (
        None,
        "unknown-step",
        lambda o: of(o, "Pipeline")["spec"]["steps"][1]["inputs"].append("nobody"),
    ),
    "an Experiment of a Model that is not there": (
        None,
        "unknown-candidate",
        lambda o: o.append(experiment("speech-to-text", "nobody")),
    ),
    "an Experiment whose default is no candidate": (
        None,
        "unknown-candidate",
        lambda o: o.append(experiment("nobody", "speech-to-text", default="nobody")),
    ),
    "an Experiment of a Model with itself": (
        None,
        "repeated-candidate",
        lambda o: o.append(experiment("speech-to-text", "speech-to-text")),
    ),
    "more replicas than at most": (
        "native",
        "bounds",
        lambda o: scaled_model(o)["spec"].update(replicas=9),
    ),
    "a field that a Model does not have": (
        None,
        "schema",
        lambda o: scaled_model(o)["spec"].update(memry="1Gi"),
    ),
    "a field deep in a Server": (
        None,
        "schema",
        lambda o: of(o, "Server")["spec"]["podSpec"]["containers"][0]["resources"].update(gpu=1),
    ),
}


def experiment(*names: str, default: str | None = None) -> dict[str, Any]:
    candidates = [{"name": name, "weight": 50} for name in names]
    return {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": "two"},
        "spec": {"default": default or names[0], "candidates": candidates},
    }


def predictor(found: Objects) -> dict[str, Any]:
    first: dict[str, Any] = of(found, "SeldonDeployment")["spec"]["predictors"][0]
    return first


def node(found: Objects, *path: int) -> dict[str, Any]:
    """A node of the graph, by the positions of children that lead to it."""
    one: dict[str, Any] = predictor(found)["graph"]
    for position in path:
        one = one["children"][position]
    return one


def place(found: Objects, name: str, **change: object) -> None:
    """Changes what a node's container is told of its place."""
    components = predictor(found)["componentSpecs"]
    containers = (each["spec"]["containers"][0] for each in components)
    env = next(each["env"] for each in containers if each["name"] == name)
    variable = next(each for each in env if each["name"].endswith("__NODE"))
    variable["value"] = json.dumps({**json.loads(variable["value"]), **change})


def deep(found: Objects) -> None:
    """Nodes that run in the executor itself, each below the other."""
    last = node(found, 0)
    for number in range(60):
        below = {"name": f"n{number}", "implementation": "SIMPLE_MODEL", "children": []}
        last["children"] = [below]
        last = below


SELDON_1: dict[str, tuple[str, str, Change]] = {
    "a node below another without a container": (
        "preprocess",
        "has no container of its name",
        lambda o: node(o, 0).update(name="nobody"),
    ),
    "a type of a node below another": (
        "preprocess",
        "has type 'SWITCH'",
        lambda o: node(o, 0).update(type="SWITCH"),
    ),
    "a field of a node below another": (
        "preprocess",
        "has a field 'chlidren'",
        lambda o: node(o, 0).update(chlidren=[]),
    ),
    "a method of a node below another": (
        "preprocess",
        "has method 'ROUTER'",
        lambda o: node(o, 0).update(methods=["ROUTER"]),
    ),
    "a parameter without a type": (
        "preprocess",
        "say name, value and type",
        lambda o: node(o, 0).update(parameters=[{"name": "a", "value": "1"}]),
    ),
    "a parameter of another type": (
        "preprocess",
        "has type 'LONG'",
        lambda o: node(o, 0).update(parameters=[{"name": "a", "value": "1", "type": "LONG"}]),
    ),
    "a server that loads nothing": (
        "preprocess",
        "is a SKLEARN_SERVER without modelUri",
        lambda o: node(o, 0).update(implementation="SKLEARN_SERVER"),
    ),
    "two nodes of one name": (
        "preprocess",
        "two nodes are named 'image-preprocess'",
        lambda o: node(o, 0).update(name="image-preprocess"),
    ),
    "children that are no list": (
        "preprocess",
        "a node is",
        lambda o: node(o, 0).update(children={"name": "x"}),
    ),
    "a node without a name": ("preprocess", "a node's name is", lambda o: node(o, 0).pop("name")),
    "nodes that are too deep": ("preprocess", "more than 50 deep", deep),
    "a graph that no argument holds": (
        "preprocess",
        "bytes in base64",
        lambda o: node(o, 0).update(
            parameters=[{"name": "a", "value": "x" * 100_000, "type": "STRING"}]
        ),
    ),
    "a router without children": (
        "cascade",
        "routes, and has no children",
        lambda o: node(o).update(children=[]),
    ),
    "a leaf that routes": (
        "cascade",
        "routes, and has no children",
        lambda o: node(o, 0).update(type="ROUTER"),
    ),
    "a combiner of one child": (
        "ensemble",
        "joins the answers of 1 children",
        lambda o: node(o).update(children=node(o)["children"][:1]),
    ),
    "an output transformer of nothing": (
        "nlp",
        "transforms the output of its children, and has none",
        lambda o: node(o, 0).update(children=[]),
    ),
    "children whose answers are lost": (
        "social-media",
        "only the first child's answer is kept",
        lambda o: node(o).update(methods=[]),
    ),
    "fewer branches than children": (
        "video-monitoring",
        "routes among 3 children, and INFERGRAPH_OBJECT_DETECTION__NODE has 1 branches",
        lambda o: place(o, "object-detection", branches=[["vehicle_boxes"]]),
    ),
    "branches among which nobody chooses": (
        "video-monitoring",
        "does not route",
        lambda o: node(o).update(methods=["AGGREGATE"]),
    ),
    "a node that would compute twice": (
        "video-monitoring",
        "its model would compute again",
        lambda o: place(o, "object-detection", gives=None),
    ),
    "a place that is none": (
        "cascade",
        "INFERGRAPH_RESNET__NODE: pases",
        lambda o: place(o, "resnet", pases={}),
    ),
}
OTHERS_OF_SELDON_1: dict[str, tuple[str, Change]] = {
    "two predictors of one name": (
        "repeated-predictor",
        lambda o: of(o, "SeldonDeployment")["spec"]["predictors"].append(predictor(o)),
    ),
    "traffic that does not sum to 100": (
        "traffic",
        lambda o: of(o, "SeldonDeployment")["spec"]["predictors"].append(
            {**predictor(o), "name": "canary", "traffic": 10}
        ),
    ),
    "replicas beside an autoscaler": (
        "two-scalers",
        lambda o: predictor(o)["componentSpecs"][0].update(
            hpaSpec={"minReplicas": 1, "maxReplicas": 2}
        ),
    ),
    "a field that a SeldonDeployment does not have": (
        "schema",
        lambda o: predictor(o).update(replcas=2),
    ),
}


def service(found: Objects, name: str = "audio-qa") -> dict[str, Any]:
    one: dict[str, Any] = found[0]["services"][name]
    return one


COMPOSE: dict[str, tuple[str, Change]] = {
    "a service that is not there": (
        "unknown-service",
        lambda o: service(o)["depends_on"].update(nobody={"condition": "service_healthy"}),
    ),
    "a wait for health that nobody tells": (
        "no-healthcheck",
        lambda o: service(o, "speech-to-text").pop("healthcheck"),
    ),
    "less time to stop than it takes": (
        "short-grace",
        lambda o: service(o).pop("stop_grace_period"),
    ),
    "a step at an address where nobody is": (
        "unknown-endpoint",
        lambda o: service(o)["environment"].update(INFERGRAPH_ENDPOINTS='{"a": "http://a:8080"}'),
    ),
    "a volume that is not there": (
        "unknown-volume",
        lambda o: service(o).update(volumes=["models:/mnt/models:ro"]),
    ),
    "a volume that is not there, in full": (
        "unknown-volume",
        lambda o: service(o).update(
            volumes=[{"type": "volume", "source": "models", "target": "/mnt/models"}]
        ),
    ),
    "a port that is open to the network": (
        "open-port",
        lambda o: service(o)["ports"].append("9000:8080"),
    ),
    "a field that does not exist": ("schema", lambda o: service(o).update(imge="x")),
}


@pytest.mark.parametrize("fault", SELDON)
def test_a_fault_of_seldons_objects_is_found(fault: str) -> None:
    scaler, rule, change = SELDON[fault]
    assert_found(objects("audio-qa", "seldon-v2", scaler), change, rule)


@pytest.mark.parametrize("fault", SELDON_1)
def test_a_fault_of_a_graph_is_found(fault: str) -> None:
    pipeline, text, change = SELDON_1[fault]
    found = objects(pipeline, "seldon-v1")

    assert_found(found, change, "graph-node")

    assert any(text in f"{finding}" for finding in faults(found)), faults(found)


@pytest.mark.parametrize("fault", OTHERS_OF_SELDON_1)
def test_a_fault_of_a_seldondeployment_is_found(fault: str) -> None:
    rule, change = OTHERS_OF_SELDON_1[fault]
    assert_found(objects("preprocess", "seldon-v1"), change, rule)


@pytest.mark.parametrize("fault", COMPOSE)
def test_a_fault_of_a_compose_file_is_found(fault: str) -> None:
    rule, change = COMPOSE[fault]
    found = objects("audio-qa", "compose")
    assert_found(found, change, rule, file="compose.yaml")


@pytest.mark.parametrize(
    ("kind", "field", "value", "since"),
    [
        ("Pipeline", "allowCycles", True, (2, 7)),
        ("Pipeline", "dataflow", {"cleanTopicsOnDelete": True}, (2, 9, 1)),
        ("Model", "dataflow", {"cleanTopicsOnDelete": True}, (2, 9, 1)),
        ("Server", "deploymentStrategy", {"type": "Recreate"}, (2, 10)),
    ],
)
def test_a_field_is_one_since_its_version(
    kind: str, field: str, value: object, since: tuple[int, ...]
) -> None:
    found = objects("audio-qa", "seldon-v2")
    of(found, kind)["spec"][field] = value
    documents = read(found)

    assert check(documents, since) == []
    (finding,) = check(documents, (2, 6, 0))
    assert f"'{field}' was unexpected" in finding.message
