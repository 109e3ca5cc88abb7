"""What the objects of each target say, as far as answers depend on it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from infergraph.catalog import load_catalog
from infergraph.manifests.container import PORTS
from infergraph.manifests.deployment import plan_deployment
from infergraph.manifests.folder import Rendered
from infergraph.manifests.memory import PROCESS
from infergraph.manifests.options import read_options
from infergraph.manifests.quantity import MIB, parse_quantity
from infergraph.manifests.rendering import render
from infergraph.manifests.targets import Target
from tests.manifests import examples
from tests.unit.manifests.rendered import Objects, faults, load, objects, of

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def rendered(pipeline: str, target: Target, **given: object) -> Objects:
    return load(_render(pipeline, target, **given).text)


def _render(pipeline: str, target: Target, **given: object) -> Rendered:
    return render(examples.planned(pipeline, target, **given))


def container(found: Objects, name: str) -> dict[str, Any]:
    (one,) = of(found, "Deployment", name)["spec"]["template"]["spec"]["containers"]
    return dict(one)


def environment(one: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in one["env"]}


def test_a_router_calls_each_step_at_its_service() -> None:
    found = objects("audio-qa", "kubernetes")

    told = environment(container(found, "audio-qa"))

    assert json.loads(told["INFERGRAPH_ENDPOINTS"]) == {
        "speech-to-text": "http://speech-to-text:8080",
        "question-answering": "http://question-answering:8080",
    }
    assert told["MLSERVER_MODELS_DIR"] == "/mnt/models/audio-qa"
    assert of(found, "Service", "speech-to-text")["spec"]["clusterIP"] == "None"
    assert "clusterIP" not in of(found, "Service", "audio-qa")["spec"]


def test_servers_listen_to_others_with_the_settings_that_folders_share() -> None:
    data = of(objects("audio-qa", "kubernetes"), "ConfigMap")["data"]

    settings = json.loads((REPOSITORY / "model-settings" / "settings.json").read_text())
    assert data["MLSERVER_HOST"] == "0.0.0.0"
    assert data["MLSERVER_PARALLEL_WORKERS"] == str(settings["parallel_workers"]) == "0"
    assert data["MLSERVER_GZIP_ENABLED"] == data["MLSERVER_CACHE_ENABLED"] == "false"
    implementation = settings["model_repository_implementation"]
    assert data["MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION"] == implementation
    assert not {name for name in data if "LOGGING" in name or "PORT" in name}


@pytest.mark.parametrize("target", ["kubernetes", "compose", "seldon-v1", "seldon-v2"])
def test_no_server_takes_more_than_it_has_memory_for(target: Target) -> None:
    found = rendered("cascade", target, via_router=target.startswith("seldon") or None)

    if target == "compose":
        services = found[0]["services"].values()
        told = [each["environment"] for each in services]
        limits = [each["deploy"]["resources"]["limits"]["memory"] for each in services]
    else:
        pods = [each["spec"]["template"]["spec"] for each in found if each["kind"] == "Deployment"]
        for each in found:
            if each["kind"] == "SeldonDeployment":
                (predictor,) = each["spec"]["predictors"]
                pods += [component["spec"] for component in predictor["componentSpecs"]]
            if each["kind"] == "Server":
                pods.append(each["spec"]["podSpec"])
        containers = [pod["containers"][0] for pod in pods]
        shared = {} if target == "seldon-v2" else of(found, "ConfigMap")["data"]
        told = [{**shared, **environment(each)} for each in containers]
        limits = [each["resources"]["limits"]["memory"] for each in containers]

    assert limits
    for told_one, limit in zip(told, limits, strict=True):
        most = int(told_one["INFERGRAPH_MAX_BYTES_IN_FLIGHT"])
        assert int(told_one["INFERGRAPH_MAX_BODY_BYTES"]) <= most
        # What a message may have by either protocol goes in.
        assert int(told_one["MLSERVER_GRPC_MAX_MESSAGE_LENGTH"]) <= most
        assert parse_quantity(limit.replace("m", "Mi")) >= 175 * MIB + 7 * most


@pytest.mark.parametrize("target", ["kubernetes", "seldon-v1"])
def test_pods_are_made_anew_when_what_servers_are_told_is_another(
    target: Target, tmp_path: Path
) -> None:
    models = tmp_path / "model-settings"
    for each in ("resnet", "inception", "cascade"):
        shutil.copytree(REPOSITORY / "model-settings" / each, models / each)
    shutil.copytree(REPOSITORY / "pipelines", tmp_path / "pipelines")
    settings = json.loads((REPOSITORY / "model-settings" / "settings.json").read_text())

    def templates(**changed: object) -> list[dict[str, Any]]:
        (models / "settings.json").write_text(json.dumps({**settings, **changed}))
        options = read_options(target, {"storage_uri": "pvc://models"}, {})
        planned = plan_deployment(load_catalog(models), ["cascade"], models, options)
        found = load(render(planned).text)
        assert faults(found) == []
        if target == "kubernetes":
            return [each["spec"]["template"] for each in found if each["kind"] == "Deployment"]
        (predictor,) = of(found, "SeldonDeployment")["spec"]["predictors"]
        return list(predictor["componentSpecs"])

    before, again, after = templates(), templates(), templates(debug=True)

    assert before == again
    assert len(before) == len(after) == (3 if target == "kubernetes" else 2)
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_ready_is_the_model_and_alive_the_server() -> None:
    one = container(objects("audio-qa", "kubernetes"), "speech-to-text")

    assert one["readinessProbe"]["httpGet"]["path"] == "/v2/models/speech-to-text/ready"
    assert one["startupProbe"]["httpGet"]["path"] == "/v2/models/speech-to-text/ready"
    assert one["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert [each["containerPort"] for each in one["ports"]] == list(PORTS.values())


def test_a_roll_out_is_not_given_up_while_a_pod_may_still_load() -> None:
    def startup_s(one: dict[str, Any]) -> int:
        probe = one["startupProbe"]
        return int(probe["periodSeconds"] * probe["failureThreshold"])

    given = {"variant": {"resnet": "resnet18"}, "memory": {"resnet": "1Gi"}}
    found = rendered("cascade", "kubernetes", **given)
    waits = {}
    for name in ("resnet", "inception", "cascade"):
        waits[name] = of(found, "Deployment", name)["spec"]["progressDeadlineSeconds"]
        assert waits[name] >= startup_s(container(found, name)) + 600
    assert waits["resnet"] > waits["inception"] == waits["cascade"]
    (predictor,) = of(rendered("cascade", "seldon-v1", **given), "SeldonDeployment")["spec"][
        "predictors"
    ]
    assert predictor["progressDeadlineSeconds"] == waits["resnet"]


@pytest.mark.parametrize("status", [200, 503])
def test_a_health_check_of_compose_asks_the_server_itself(status: int) -> None:
    (file,) = objects("diamond-echo", "compose")
    _, _, flag, program = file["services"]["diamond-echo"]["healthcheck"]["test"]
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        port = server.server_address[1]
        # Nobody listens there.
        environment = {**os.environ, "http_proxy": "http://127.0.0.1:1"}
        here = [flag, program.replace("8080", str(port))]
        done = subprocess.run([sys.executable, *here], env=environment, check=False)
        if not asked:
            with socket.create_connection(("127.0.0.1", port)):
                pass
        thread.join()

    assert asked == ["/v2/models/diamond-echo/ready"]
    assert (done.returncode == 0) == (status == 200)


def test_only_routers_may_call_a_model_and_a_router_only_its_models() -> None:
    found = objects("audio-qa", "kubernetes")

    model = of(found, "NetworkPolicy", "speech-to-text")["spec"]
    (caller,) = model["ingress"][0]["from"]
    assert caller["podSelector"]["matchExpressions"][0]["values"] == ["audio-qa"]
    assert [rule.get("to") for rule in model["egress"]] == [None]
    assert {port["port"] for rule in model["egress"] for port in rule["ports"]} == {53}
    router = of(found, "NetworkPolicy", "audio-qa")["spec"]
    assert "from" not in router["ingress"][0]
    (called,) = router["egress"][1]["to"]
    values = called["podSelector"]["matchExpressions"][0]["values"]
    assert values == ["speech-to-text", "question-answering"]


def test_a_gpu_is_asked_for_whole_and_used() -> None:
    found = rendered("cascade", "kubernetes", gpu={"resnet": 2}, image={"gpu": "a:cuda"})

    one = container(found, "resnet")
    assert one["image"] == "a:cuda"
    assert one["resources"]["requests"]["nvidia.com/gpu"] == 2
    assert one["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert environment(one)["INFERGRAPH_RESNET__DEVICE"] == "cuda"
    deployment = of(found, "Deployment", "resnet")["spec"]
    assert deployment["strategy"] == {"type": "Recreate"}
    assert deployment["template"]["spec"]["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert "nvidia.com/gpu" not in container(found, "inception")["resources"]["limits"]


def test_what_is_fetched_from_a_hub_is_let_out_and_waited_for() -> None:
    given = {"variant": {"resnet": ["resnet18"]}, "memory": {"resnet": "1Gi"}}

    found = rendered("cascade", "kubernetes", **given)

    told = environment(container(found, "resnet"))
    assert told["INFERGRAPH_RESNET__VARIANT"] == "resnet18"
    assert "HF_HUB_OFFLINE" not in told
    assert environment(container(found, "inception"))["HF_HUB_OFFLINE"] == "1"
    egress = of(found, "NetworkPolicy", "resnet")["spec"]["egress"]
    assert {port["port"] for rule in egress for port in rule["ports"]} == {53, 443}
    startup = {name: container(found, name)["startupProbe"] for name in ("resnet", "inception")}
    assert startup["resnet"]["failureThreshold"] == 3 * startup["inception"]["failureThreshold"]


@pytest.mark.parametrize(
    ("uri", "volume"),
    [
        ("pvc://claim/a/b", {"persistentVolumeClaim": {"claimName": "claim", "readOnly": True}}),
        ("oci://registry/models:1", {"image": {"reference": "registry/models:1"}}),
    ],
)
def test_model_folders_come_from_a_volume(uri: str, volume: dict[str, Any]) -> None:
    found = _render("audio-qa", "kubernetes", storage_uri=uri)

    assert faults(load(found.text)) == []
    spec = of(load(found.text), "Deployment")["spec"]["template"]["spec"]
    (mounted,) = (each for each in spec["volumes"] if each["name"] == "models")
    for key, value in volume.items():
        assert value.items() <= mounted[key].items()
    mounts = {each["name"]: each for each in spec["containers"][0]["volumeMounts"]}
    assert mounts["models"]["mountPath"] == "/mnt/models"
    assert mounts["models"]["readOnly"] is True
    assert [each.name for each in found.stages] == [
        "speech-to-text",
        "question-answering",
        "audio-qa",
    ]


def test_a_model_that_several_pipelines_share_is_there_once() -> None:
    planned = examples.plan_deployment(
        examples.catalog(),
        ["audio-qa", "audio-sent"],
        examples.MODELS,
        examples.read_options("kubernetes", {"storage_uri": "pvc://models"}, {}),
    )

    found = load(render(planned).text)

    names = [each["metadata"]["name"] for each in found if each["kind"] == "Deployment"]
    assert sorted(names) == [
        "audio-qa",
        "audio-sent",
        "question-answering",
        "sentiment",
        "speech-to-text",
    ]
    policy = of(found, "NetworkPolicy", "speech-to-text")["spec"]["ingress"][0]
    selected = policy["from"][0]["podSelector"]["matchExpressions"][0]["values"]
    assert selected == ["audio-qa", "audio-sent"]


def test_a_server_has_the_memory_of_its_models_and_the_process_once() -> None:
    found = objects("audio-qa", "seldon-v2")

    models = [parse_quantity(m["spec"]["memory"]) for m in found if m["kind"] == "Model"]
    mlserver, agent = of(found, "Server")["spec"]["podSpec"]["containers"]
    size = parse_quantity(mlserver["resources"]["requests"]["memory"])
    assert PROCESS + sum(models) <= size < PROCESS + sum(models) + 2**20
    assert environment(agent)["MEMORY_REQUEST"] == str(sum(models))
    assert environment(agent)["SELDON_OVERCOMMIT_PERCENTAGE"] == "0"
    assert environment(mlserver)["INFERGRAPH_SELDON"] == "true"


def test_models_that_read_the_requests_of_a_per_item_pipeline_refuse_more_than_one() -> None:
    found = objects("cascade", "seldon-v2")

    for name in ("resnet", "inception"):
        assert {"name": "max_items", "value": "1"} in of(found, "Model", name)["spec"]["parameters"]
    nlp = {each["metadata"]["name"]: each["spec"] for each in objects("nlp", "seldon-v2")}
    assert "parameters" in nlp["language-identification"]
    assert "parameters" not in nlp["summarization"]


def test_a_router_on_seldon_2_finds_its_steps_at_the_mesh_by_header() -> None:
    found = objects("video-monitoring", "seldon-v2")

    assert not [each for each in found if each["kind"] == "Pipeline"]
    (parameter,) = of(found, "Model", "video-monitoring")["spec"]["parameters"]
    endpoints = json.loads(parameter["value"])
    assert parameter["name"] == "endpoints"
    assert endpoints["plate-reading"] == {
        "url": "http://seldon-mesh:80",
        "headers": {"seldon-model": "plate-reading"},
    }
    assert len(endpoints) == 4


def test_models_of_other_runtimes_run_on_seldons_own_server() -> None:
    found = objects("hf-audio-sent", "seldon-v2")

    assert of(found, "Model", "hf-sentiment")["spec"]["requirements"] == ["huggingface"]
    assert of(found, "Model", "hf-label")["spec"]["requirements"] == ["infergraph"]
    assert [each["metadata"]["name"] for each in found if each["kind"] == "Server"] == [
        "infergraph"
    ]


def test_a_gpu_model_gets_a_server_of_its_kind() -> None:
    found = rendered("cascade", "seldon-v2", gpu={"resnet": 1})

    assert of(found, "Model", "resnet")["spec"]["requirements"] == ["infergraph-gpu"]
    assert {"name": "device", "value": "cuda"} in of(found, "Model", "resnet")["spec"]["parameters"]
    server = of(found, "Server", "infergraph-gpu")["spec"]
    limits = server["podSpec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == 1
    assert server["capabilities"] == ["infergraph-gpu"]


def test_a_volume_that_is_too_small_gets_a_config_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("infergraph.manifests.seldon_v2.checkpoint_bytes", lambda _: 3 * 2**30)

    found = _render("audio-qa", "seldon-v2")

    server = of(load(found.text), "Server")
    assert server["spec"]["serverConfig"] == "infergraph"
    assert 'requests.storage = "12Gi"' in found.files["NOTES.md"]


def _nodes(found: Objects) -> dict[str, dict[str, Any]]:
    """The environments of a SeldonDeployment's containers, by name."""
    components = of(found, "SeldonDeployment")["spec"]["predictors"][0]["componentSpecs"]
    containers = [each["spec"]["containers"][0] for each in components]
    return {
        each["name"]: {variable["name"]: variable["value"] for variable in each["env"]}
        for each in containers
    }


def test_a_pipeline_is_a_graph_of_seldon_1_whose_nodes_know_their_places() -> None:
    found = objects("cascade", "seldon-v1")

    graph = of(found, "SeldonDeployment")["spec"]["predictors"][0]["graph"]
    inception = {"name": "inception", "type": "MODEL", "children": []}
    assert graph == {
        "name": "resnet",
        "type": "MODEL",
        "methods": ["ROUTE"],
        "children": [inception],
    }
    nodes = _nodes(found)
    assert json.loads(nodes["resnet"]["INFERGRAPH_RESNET__NODE"])["branches"] == [["escalate"]]
    assert nodes["resnet"]["INFERGRAPH_RESNET__MAX_ITEMS"] == "1"
    assert {each["kind"] for each in found} == {"ConfigMap", "SeldonDeployment"}


def test_a_model_has_a_place_in_each_of_several_graphs() -> None:
    options = read_options("seldon-v1", {"storage_uri": "pvc://models"}, {})
    pipelines = ["cascade", "ensemble"]
    text = render(plan_deployment(examples.catalog(), pipelines, examples.MODELS, options)).text

    found = [each for each in load(text) if each["kind"] == "SeldonDeployment"]
    cascade, ensemble = ([each] for each in found)
    single = "INFERGRAPH_RESNET__MAX_ITEMS"
    assert single in _nodes(cascade)["resnet"]
    assert single not in _nodes(ensemble)["resnet"]
    variable = "INFERGRAPH_RESNET__NODE"
    assert _nodes(cascade)["resnet"][variable] != _nodes(ensemble)["resnet"][variable]


@pytest.mark.parametrize("pipeline", ["hf-audio-qa", "audio-qa"])
def test_our_router_is_the_one_node_of_seldon_1_where_it_has_to_or_is_to(pipeline: str) -> None:
    routed = rendered(pipeline, "seldon-v1", via_router=True if pipeline == "audio-qa" else None)

    graph = of(routed, "SeldonDeployment")["spec"]["predictors"][0]["graph"]
    assert graph == {"name": pipeline, "type": "MODEL", "children": []}
    names = {each["metadata"]["name"] for each in routed if each["kind"] == "Deployment"}
    assert "speech-to-text" in names
    environment = _nodes(routed)[pipeline]
    assert "speech-to-text" in json.loads(environment["INFERGRAPH_ENDPOINTS"])


def test_compose_opens_routers_to_the_machine_only() -> None:
    (file,) = objects("audio-qa", "compose")
    services = file["services"]

    assert services["audio-qa"]["ports"] == [f"127.0.0.1:{p}:{p}" for p in PORTS.values()]
    assert "ports" not in services["speech-to-text"]
    assert services["speech-to-text"]["volumes"] == ["./models:/mnt/models:ro"]
    assert services["audio-qa"]["depends_on"]["speech-to-text"] == {"condition": "service_healthy"}
    (file,) = rendered(
        "audio-qa", "compose", gpu={"speech-to-text": 1}, storage_uri="/srv", replicas=2
    )
    speech = file["services"]["speech-to-text"]
    assert speech["volumes"] == ["/srv:/mnt/models:ro"]
    (device,) = speech["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert speech["deploy"]["replicas"] == 2


def test_a_model_scales_by_half_a_batch_and_a_router_by_its_requests() -> None:
    found = objects("video", "kubernetes", "keda")

    metadata = of(found, "ScaledObject", "object-detection")["spec"]["triggers"][0]["metadata"]
    assert metadata["threshold"] == "8"
    assert 'infergraph_model_in_flight{model="object-detection"}' in metadata["query"]
    assert 'infergraph_model_queued{model="object-detection"}' in metadata["query"]
    router = of(found, "ScaledObject", "video")["spec"]["triggers"]
    assert [each["metadata"]["query"] for each in router] == [
        'sum(infergraph_pipeline_in_flight{pipeline="video"})'
    ]
    assert "replicas" not in of(found, "Deployment", "video")["spec"]


def test_bounds_of_an_autoscaler_follow_the_replicas() -> None:
    found = rendered("audio-qa", "kubernetes", autoscale="hpa", replicas=3, namespace="ml")

    spec = of(found, "HorizontalPodAutoscaler", "audio-qa")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 12)
    assert of(found, "PodDisruptionBudget", "audio-qa")["spec"]["maxUnavailable"] == 1
    assert {each["metadata"]["namespace"] for each in found} == {"ml"}


def test_models_without_our_metrics_are_not_scaled() -> None:
    found = _render("hf-audio-sent", "kubernetes", autoscale="keda", replicas=2)
    objects_ = load(found.text)

    scaled = {each["metadata"]["name"] for each in objects_ if each["kind"] == "ScaledObject"}
    assert scaled == {"speech-to-text", "hf-label", "hf-audio-sent"}
    assert of(objects_, "Deployment", "hf-sentiment")["spec"]["replicas"] == 2
    assert "Not scaled, for want of our metrics: hf-sentiment" in found.files["NOTES.md"]


@pytest.mark.parametrize("scaler", ["native", "hpa", "keda"])
def test_a_server_grows_with_its_models(scaler: str) -> None:
    found = objects("audio-qa", "seldon-v2", scaler)

    bounds = {"replicas": 1, "minReplicas": 1, "maxReplicas": 4}
    assert bounds.items() <= of(found, "Server")["spec"].items()
    model = of(found, "Model", "speech-to-text")["spec"]
    assert model["replicas"] == 1
    assert ("maxReplicas" in model) is (scaler == "native")
