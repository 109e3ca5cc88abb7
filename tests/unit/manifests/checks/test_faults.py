"""Each fault that a cluster would meet is put into sound manifests, and found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infergraph.manifests.checks import check
from infergraph.manifests.resource import dump
from tests.unit.manifests.rendered import Change, Objects, faults, objects, of, read

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def pod(found: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = found["spec"]["template"]["spec"]
    return spec


def container(found: dict[str, Any]) -> dict[str, Any]:
    first: dict[str, Any] = pod(found)["containers"][0]
    return first


def gpu(found: Objects, request: int | None, limit: int | None) -> None:
    resources = container(of(found, "Deployment"))["resources"]
    if request is not None:
        resources["requests"]["nvidia.com/gpu"] = request
    if limit is not None:
        resources["limits"]["nvidia.com/gpu"] = limit


def rename(found: Objects, kind: str, name: str) -> None:
    of(found, kind)["metadata"]["name"] = name


def variable(found: Objects, name: str, value: str) -> None:
    env = container(of(found, "Deployment", "audio-qa"))["env"]
    env[:] = [each for each in env if each["name"] != name] + [{"name": name, "value": value}]


KUBERNETES: dict[str, tuple[str, Change]] = {
    "a probe of a port that is not there": (
        "unknown-port",
        lambda o: container(of(o, "Deployment"))["readinessProbe"]["httpGet"].update(port="rest"),
    ),
    "a Service that leads to a port that is not there": (
        "unknown-port",
        lambda o: of(o, "Service")["spec"]["ports"][0].update(targetPort="rest"),
    ),
    "a Service that leads to a number where nobody listens": (
        "unknown-port",
        lambda o: of(o, "Service")["spec"]["ports"][0].update(targetPort=9000),
    ),
    "a headless Service that maps ports": (
        "headless-port",
        lambda o: of(o, "Service")["spec"]["ports"][0].update(port=80),
    ),
    "a port name that is too long": (
        "bad-port-name",
        lambda o: container(of(o, "Deployment"))["ports"][0].update(name="a-port-of-sixteen"),
    ),
    "a selector of a Service that matches nothing": (
        "selector",
        lambda o: of(o, "Service")["spec"]["selector"].update({"app.kubernetes.io/name": "x"}),
    ),
    "a selector that is not the template's": (
        "selector",
        lambda o: of(o, "Deployment")["spec"]["selector"]["matchLabels"].update(version="1"),
    ),
    "a policy of pods that are not there": (
        "selector",
        lambda o: of(o, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].update(a="b"),
    ),
    "a policy that lets in pods that are not there": (
        "selector",
        lambda o: of(o, "NetworkPolicy")["spec"]["ingress"][0]["from"][0]["podSelector"][
            "matchExpressions"
        ][0].update(values=["nobody"]),
    ),
    "a policy that leaves a direction open": (
        "policy-types",
        lambda o: of(o, "NetworkPolicy")["spec"].update(policyTypes=["Ingress"]),
    ),
    "a budget that lets no node be drained": (
        "budget",
        lambda o: o.append(
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": "a"},
                "spec": {
                    "minAvailable": 1,
                    "selector": {"matchLabels": {"app.kubernetes.io/name": "audio-qa"}},
                },
            }
        ),
    ),
    "fewer GPUs asked for than the limit": ("gpu-request", lambda o: gpu(o, 1, 2)),
    "GPUs without a limit": ("gpu-request", lambda o: gpu(o, 1, None)),
    "more memory asked for than the limit": (
        "request-over-limit",
        lambda o: container(of(o, "Deployment"))["resources"]["requests"].update(memory="99Gi"),
    ),
    "a name that is not safe for DNS": ("bad-name", lambda o: rename(o, "Deployment", "A_B")),
    "a Service that begins with a digit": ("bad-name", lambda o: rename(o, "Service", "1x")),
    "a name that is too long": ("long-name", lambda o: rename(o, "Deployment", "x" * 47)),
    "a namespace that is none": (
        "bad-namespace",
        lambda o: of(o, "Deployment")["metadata"].update(namespace="My_Space"),
    ),
    "a label that is too long": (
        "bad-label",
        lambda o: of(o, "Deployment")["metadata"]["labels"].update(a="x" * 64),
    ),
    "an object that is there twice": (
        "repeated-object",
        lambda o: o.append(of(o, "Service")),
    ),
    "a variable that is set twice": (
        "repeated-variable",
        lambda o: container(of(o, "Deployment"))["env"].append(
            {"name": "MLSERVER_MODELS_DIR", "value": "/x"}
        ),
    ),
    "a mount of a volume that is not there": (
        "unknown-volume",
        lambda o: pod(of(o, "Deployment"))["volumes"].pop(),
    ),
    "two mounts at one place": (
        "repeated-mount",
        lambda o: container(of(o, "Deployment"))["volumeMounts"].append(
            {"name": "models", "mountPath": "/tmp"}
        ),
    ),
    "a ConfigMap that is not there": ("unknown-source", lambda o: o.remove(of(o, "ConfigMap"))),
    "a Secret that is not there": (
        "unknown-source",
        lambda o: container(of(o, "Deployment"))["env"].append(
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}}
        ),
    ),
    "less time to stop than it takes": (
        "short-grace",
        lambda o: pod(of(o, "Deployment")).update(terminationGracePeriodSeconds=30),
    ),
    "variables of a Service that are taken for settings": (
        "service-links",
        lambda o: (
            rename(o, "Service", "mlserver-http"),
            pod(of(o, "Deployment")).pop("enableServiceLinks"),
        ),
    ),
    "two handlers in a probe": (
        "probe-handlers",
        lambda o: container(of(o, "Deployment"))["livenessProbe"].update(tcpSocket={"port": 1}),
    ),
    "a step at an address where nobody is": (
        "unknown-endpoint",
        lambda o: variable(o, "INFERGRAPH_ENDPOINTS", '{"speech-to-text": "http://stt:8080"}'),
    ),
    "a field that does not exist": (
        "schema",
        lambda o: of(o, "Deployment")["spec"].update(replica=2),
    ),
    "an item that is null": (
        "schema",
        lambda o: container(of(o, "Deployment"))["env"].append(None),
    ),
    "a value of the wrong type": (
        "schema",
        lambda o: of(o, "Deployment")["spec"].update(replicas="2"),
    ),
    "a kind that nobody knows": (
        "unknown-kind",
        lambda o: o.append(
            {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}}
        ),
    ),
}

SCALED: dict[str, tuple[str, str, Change]] = {
    "a query for a metric that does not exist": (
        "keda",
        "unknown-metric",
        lambda o: of(o, "ScaledObject")["spec"]["triggers"][0]["metadata"].update(
            query='sum(infergraph_model_inflight{model="a"})'
        ),
    ),
    "a query by a label that does not exist": (
        "keda",
        "unknown-metric",
        lambda o: of(o, "ScaledObject")["spec"]["triggers"][0]["metadata"].update(
            query='sum(infergraph_model_in_flight{pipeline="a"})'
        ),
    ),
    "a metric of an HPA that does not exist": (
        "hpa",
        "unknown-metric",
        lambda o: of(o, "HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]["metric"].update(
            name="requests_per_second"
        ),
    ),
    "a number where KEDA takes a string": (
        "keda",
        "schema",
        lambda o: of(o, "ScaledObject")["spec"]["triggers"][0]["metadata"].update(threshold=3),
    ),
    "fewer at most than at least": (
        "keda",
        "bounds",
        lambda o: of(o, "ScaledObject")["spec"].update(minReplicaCount=9),
    ),
    "no replicas at all": (
        "hpa",
        "scale-to-zero",
        lambda o: of(o, "HorizontalPodAutoscaler")["spec"].update(minReplicas=0),
    ),
    "a target that is not there": (
        "hpa",
        "scale-target",
        lambda o: of(o, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(name="nobody"),
    ),
    "a target of another kind": (
        "hpa",
        "scale-target",
        lambda o: of(o, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(
            kind="StatefulSet"
        ),
    ),
    "two autoscalers of one target": (
        "keda",
        "two-scalers",
        lambda o: o.extend(
            each
            for each in objects("audio-qa", "kubernetes", "hpa")
            if each["kind"] == "HorizontalPodAutoscaler"
        ),
    ),
    "replicas beside an autoscaler": (
        "hpa",
        "two-scalers",
        lambda o: of(o, "Deployment")["spec"].update(replicas=1),
    ),
}


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


def assert_found(found: Objects, change: Change, rule: str, file: str = "objects.yaml") -> None:
    assert faults(found, file) == []
    change(found)
    findings = faults(found, file)
    assert rule in {finding.rule for finding in findings}
    for finding in findings:
        assert str(finding).startswith(f"{file}:")
        assert finding.fix


@pytest.mark.parametrize("fault", KUBERNETES)
def test_a_fault_of_kubernetes_objects_is_found(fault: str) -> None:
    rule, change = KUBERNETES[fault]
    assert_found(objects("audio-qa", "kubernetes"), change, rule)


@pytest.mark.parametrize("fault", SCALED)
def test_a_fault_of_an_autoscaler_is_found(fault: str) -> None:
    scaler, rule, change = SCALED[fault]
    assert_found(objects("audio-qa", "kubernetes", scaler), change, rule)


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


def test_a_finding_names_its_line() -> None:
    found = objects("audio-qa", "kubernetes")[:1]
    found[0]["metadata"]["namespace"] = "My_Space"

    (finding,) = faults(found)

    lines = dump(found).splitlines()
    assert finding.line == lines.index("  namespace: My_Space") + 1


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
