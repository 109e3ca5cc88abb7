"""Each fault of Seldon's objects and of Compose files is put into sound manifests, and found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infergraph.manifests.checks import check
from tests.unit.manifests.rendered import Change, Objects, assert_found, objects, of, read

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


SELDON_1: dict[str, tuple[str, Change]] = {
    "a node below another without a container": (
        "graph-node",
        lambda o: predictor(o)["graph"]["children"][0].update(name="nobody"),
    ),
    "a type of a node below another": (
        "graph-node",
        lambda o: predictor(o)["graph"]["children"][0].update(type="SWITCH"),
    ),
    "a field of a node below another": (
        "graph-node",
        lambda o: predictor(o)["graph"]["children"][0].update(chlidren=[]),
    ),
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
def test_a_fault_of_a_seldondeployment_is_found(fault: str) -> None:
    rule, change = SELDON_1[fault]
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
