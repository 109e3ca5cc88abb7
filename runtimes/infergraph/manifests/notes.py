"""The notes beside manifests: what to upload and apply, what it rests on, how to call it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..catalog import SAMPLE
from .autoscaling import MODELS_IN_FLIGHT, MODELS_QUEUED, PIPELINES_IN_FLIGHT, can_scale
from .compose import OWN_MODELS, PORTS_APART, models_folder
from .container import METRICS, MODELS, REST, WRITABLE
from .deployment import Deployment, Part
from .folder import FIRST_LINE
from .quantity import GIB
from .seldon_v2 import CLAIM, STOCK_REQUIREMENT, claim_needed, servers
from .verdict import How


def notes(deployment: Deployment, files: Sequence[str]) -> str:
    """The text of NOTES.md."""
    sections = {
        "seldon-v2": _seldon_v2,
        "seldon-v1": _seldon_v1,
        "kubernetes": _kubernetes,
        "compose": _compose,
    }
    title = ", ".join(part.name for part in deployment.parts)
    lines = [FIRST_LINE, "", f"# {title} on {deployment.options.target}", ""]
    for part in deployment.parts:
        lines += _verdict(part, deployment.options.via_router)
    for heading, body in sections[deployment.options.target](deployment, files):
        lines += [f"## {heading}", "", *body, ""]
    return "\n".join(lines).rstrip("\n") + "\n"


Sections = Iterator[tuple[str, Sequence[str]]]


def _verdict(part: Part, via_router: bool) -> list[str]:
    how = part.verdict.how.value
    if via_router and part.verdict.how is not How.ROUTER:
        how = f"{How.ROUTER.value}, as asked for"
    lines = [f"`{part.name}` runs here: **{how}**.", ""]
    lines += [f"- {reason}" for reason in part.verdict.reasons]
    if not part.routed:
        lines += [f"- {remark}" for remark in part.verdict.remarks]
    return [*lines, ""]


def _seldon_v2(deployment: Deployment, files: Sequence[str]) -> Sections:
    options = deployment.options
    namespace = options.namespace or "NAMESPACE"
    storage = options.storage_uri.rstrip("/")
    yield "Upload", _block(f"rclone copy models/ {_remote(storage)}")
    rests = [
        f"- Seldon Core {options.seldon_version} in namespace `{namespace}`, with its ServerConfig "
        "`mlserver`.",
        f"- Images that start `mlserver start $MLSERVER_MODELS_DIR`, and write to {WRITABLE} only.",
    ]
    if any(not stage.is_ours for stage in deployment.models):
        rests.append(
            f"- Seldon's own Server `mlserver`, which offers `{STOCK_REQUIREMENT}` to the models "
            "of MLServer's runtime."
        )
    rests += [_kafka(part) for part in deployment.parts if not part.routed]
    alone = [f"`{stage.name}`" for stage in deployment.models if stage.one_item]
    if alone:
        rests.append(
            f"- Callers that send one item a request: {', '.join(alone)} refuse more, whoever asks."
        )
    if options.autoscale == "native":
        rests.append("- The installation's value `autoscalingModelEnabled: true`.")
    yield "It rests on", rests
    claim = claim_needed(deployment)
    if claim > CLAIM:
        size = f"{-(-claim // GIB)}Gi"
        body = ["The models need more than the volume of ServerConfig `mlserver`, so first:", ""]
        for name in servers(deployment):
            body += _block(
                "kubectl -n SELDON_NAMESPACE get serverconfig mlserver -o json | jq "
                f'\'.metadata = {{name: "{name}"}} | .spec.volumeClaimTemplates[0].spec.resources'
                f'.requests.storage = "{size}"\' | kubectl -n SELDON_NAMESPACE apply -f -'
            )
        yield "A larger volume", body
    yield "Apply", _block(*(f"kubectl -n {namespace} apply -f {file}" for file in files))
    calls = []
    for part in deployment.parts:
        name = part.name if part.routed else part.pipeline.name
        header = name if part.routed else f"{name}.pipeline"
        calls.append(
            _curl(
                f"http://seldon-mesh/v2/models/{name}/infer",
                part.sample,
                f"-H 'seldon-model: {header}' ",
            )
        )
    yield "Call", _block(*calls)
    if deployment.candidates:
        yield (
            "Experiment",
            [
                f"Half of the requests of `{default}` go to `{candidate}`, also from pipelines. An "
                "answer's header `x-seldon-route`, sent back, keeps a caller with one of them."
                for default, candidate in deployment.candidates.items()
            ],
        )
    yield from _watch(deployment)


def _kafka(part: Part) -> str:
    """What a broker has to let through for a pipeline."""
    largest = part.largest_message
    if largest is None:
        return f"- Kafka: `{part.name}` has no sample, so the limit that it needs is not known."
    unknown = "" if largest.is_measured else " Answers were not measured, and may be larger."
    return (
        f"- Kafka: of the sample of `{part.name}`, {largest.name} is the largest message, "
        f"{largest.size} bytes. Set `message.max.bytes` and `replica.fetch.max.bytes` to "
        f"{largest.needed_limit} at least: a message over the limit is never answered.{unknown}"
    )


def _remote(storage: str) -> str:
    """What rclone calls a place that a storageUri names."""
    scheme, separator, rest = storage.partition("://")
    return shlex.quote(f"{scheme}:{rest}" if separator else storage)


def _seldon_v1(deployment: Deployment, files: Sequence[str]) -> Sections:
    namespace = deployment.options.namespace or "NAMESPACE"
    yield from _models(deployment)
    yield "Apply", _block(*(f"kubectl -n {namespace} apply -f {file}" for file in files))
    single = [f"`{part.name}`" for part in deployment.parts if part.one_item_models]
    items = [f"One item a request: {', '.join(single)} refuse more."] if single else []
    yield (
        "Call",
        [
            "Without a model's name in the path: one would be used at every node.",
            *items,
            "",
            *_block(
                *(
                    _curl(
                        f"http://INGRESS/seldon/{namespace}/{part.name}/v2/models/infer",
                        part.sample,
                    )
                    for part in deployment.parts
                )
            ),
        ],
    )
    yield from _watch(deployment)


def _kubernetes(deployment: Deployment, files: Sequence[str]) -> Sections:
    options = deployment.options
    flag = f"-n {options.namespace} " if options.namespace else ""
    yield from _models(deployment)
    yield "Apply", _block(*(f"kubectl {flag}apply -f {file}" for file in files))
    calls = []
    for part in deployment.parts:
        calls += [
            f"kubectl {flag}port-forward service/{part.name} {REST}:{REST}",
            _curl(f"http://127.0.0.1:{REST}/v2/models/{part.name}/infer", part.sample),
        ]
    yield "Call", _block(*calls)
    yield from _watch(deployment)


def _compose(deployment: Deployment, files: Sequence[str]) -> Sections:
    yield from _models(deployment)
    yield "Start", _block("docker compose up --wait")
    calls = [
        _curl(
            f"http://127.0.0.1:{REST + PORTS_APART * number}/v2/models/{stage.name}/infer",
            stage.folder / SAMPLE,
        )
        for number, stage in enumerate(deployment.routers)
    ]
    yield "Call", _block(*calls)


def _models(deployment: Deployment) -> Sections:
    place = deployment.options.storage_uri
    scheme, _, rest = place.partition("://")
    if scheme == "oci":
        yield (
            "Models",
            _block(
                f"printf 'FROM scratch\\nCOPY . /\\n' | docker build -f - -t {rest} models",
                f"docker push {rest}",
            ),
        )
    elif scheme == "pvc":
        claim, _, folder = rest.partition("/")
        yield (
            "Models",
            [
                f"Copy what is in `models/` to {folder or 'the top'} of the claim `{claim}`, from "
                "a pod that mounts it: `kubectl cp models/. POD:FOLDER`. Containers find it at "
                f"`{MODELS}`.",
            ],
        )
    elif place and models_folder(place) != OWN_MODELS:
        yield "Models", _block(f"cp -r models/. {shlex.quote(models_folder(place))}")


def _watch(deployment: Deployment) -> Sections:
    options = deployment.options
    body = [f"Metrics are at port {METRICS}, path /metrics, of each pod."]
    unscaled = [stage.name for stage in deployment.stages if not can_scale(stage)]
    if options.autoscale in ("hpa", "keda", "native") and unscaled:
        body.append(
            f"Not scaled, for want of our metrics: {', '.join(unscaled)}; set their replicas."
        )
    if options.autoscale == "keda":
        body.append(
            f"KEDA asks {options.prometheus}. What it scrapes must keep the labels `namespace` and "
            "`pod`."
        )
    if options.autoscale == "hpa":
        body += [
            "The HPA's metrics come from an adapter of Prometheus. That project is being retired; "
            "`--autoscale keda` needs none. Its rules:",
            "",
            "```yaml",
            *_adapter_rules(deployment),
            "```",
        ]
    if options.autoscale == "vpa":
        body.append("The VPA sizes a pod when it is made: restart one to have it resized.")
    yield "Watch and scale", body


def _adapter_rules(deployment: Deployment) -> Iterator[str]:
    external = deployment.options.target == "seldon-v2"
    yield "externalRules:" if external else "rules:"
    for name in (MODELS_IN_FLIGHT, MODELS_QUEUED, PIPELINES_IN_FLIGHT):
        yield f"- seriesQuery: '{name}{{namespace!=\"\"}}'"
        yield "  resources:"
        if external:
            yield "    namespaced: false"
        else:
            yield "    overrides:"
            yield "      namespace: {resource: namespace}"
            yield "      pod: {resource: pod}"
        yield "  metricsQuery: 'sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)'"


def _curl(url: str, sample: Path, headers: str = "") -> str:
    return f"curl {headers}-H 'content-type: application/json' -d @{sample} {url}"


def _block(*commands: str) -> list[str]:
    return ["```sh", *commands, "```"]
