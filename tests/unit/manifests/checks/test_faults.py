"""Each fault of Kubernetes objects is put into sound manifests, and found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infergraph.manifests.resource import dump
from tests.unit.manifests.rendered import Change, Objects, assert_found, faults, objects, of

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
    "a port that no container can have": (
        "bad-port",
        lambda o: container(of(o, "Deployment"))["ports"][0].update(containerPort=65536),
    ),
    "a port that no Service can have": (
        "bad-port",
        lambda o: of(o, "Service", "audio-qa")["spec"]["ports"][0].update(port=0),
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
    "a mount of what is not in its volume": (
        "bad-sub-path",
        lambda o: container(of(o, "Deployment"))["volumeMounts"][0].update(subPath="a/../../b"),
    ),
    "a claim that no cluster has": (
        "bad-name",
        lambda o: pod(of(o, "Deployment"))["volumes"][1].update(
            persistentVolumeClaim={"claimName": "My_Claim"}
        ),
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


@pytest.mark.parametrize("fault", KUBERNETES)
def test_a_fault_of_kubernetes_objects_is_found(fault: str) -> None:
    rule, change = KUBERNETES[fault]
    assert_found(objects("audio-qa", "kubernetes"), change, rule)


@pytest.mark.parametrize("fault", SCALED)
def test_a_fault_of_an_autoscaler_is_found(fault: str) -> None:
    scaler, rule, change = SCALED[fault]
    assert_found(objects("audio-qa", "kubernetes", scaler), change, rule)


def test_a_finding_names_its_line() -> None:
    found = objects("audio-qa", "kubernetes")[:1]
    found[0]["metadata"]["namespace"] = "My_Space"

    (finding,) = faults(found)

    lines = dump(found).splitlines()
    assert finding.line == lines.index("  namespace: My_Space") + 1
