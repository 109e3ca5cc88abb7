"""Autoscalers: whether what they scale and what they ask for exists, and leaves one in charge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...graph import Finding
from ...graph.finding import did_you_mean
from ..documents import Document, Steps
from .inventory import Inventory
from .metrics import Use, known_series, unknown_labels, uses

_SCALERS = ("HorizontalPodAutoscaler", "ScaledObject", "VerticalPodAutoscaler")
_TARGETS = {
    "HorizontalPodAutoscaler": ("Deployment", "StatefulSet", "ReplicaSet", "Model", "Server"),
    "ScaledObject": ("Deployment", "StatefulSet", "Model", "Server"),
    "VerticalPodAutoscaler": ("Deployment", "StatefulSet", "DaemonSet", "Server"),
}
_SERVED = ("Model", "Server")
"""Seldon's kinds, which it scales itself as well."""


def check_scaling(inventory: Inventory) -> Iterator[Finding]:
    """Faults of all autoscalers, and of the bounds that Models and Servers have themselves."""
    owners: dict[tuple[str, str], Document] = {}
    for scaler in inventory.of(*_SCALERS):
        field = "targetRef" if scaler.kind == "VerticalPodAutoscaler" else "scaleTargetRef"
        target = scaler.spec.get(field) or {}
        kind, name = str(target.get("kind", "Deployment")), str(target.get("name"))
        yield from _check_target(scaler, field, kind, name, inventory)
        first = owners.setdefault((kind, name), scaler)
        if first is not scaler:
            yield scaler.finding(
                "two-scalers",
                ("spec", field),
                f"{kind} '{name}' has {first.title} already",
                "keep one autoscaler for each target",
            )
        yield from _check_bounds(scaler)
    for scaler in inventory.of("HorizontalPodAutoscaler"):
        yield from _check_metrics(scaler, ("spec", "metrics"), scaler.spec.get("metrics") or ())
    for scaler in inventory.of("ScaledObject"):
        yield from _check_triggers(scaler, ("spec", "triggers"), scaler.spec.get("triggers") or ())
    for document in inventory.of(*_SERVED):
        yield from _check_bounds(document)
    for document in inventory.of("SeldonDeployment"):
        yield from _check_components(document)


def _check_target(
    scaler: Document, field: str, kind: str, name: str, inventory: Inventory
) -> Iterator[Finding]:
    at: Steps = ("spec", field)
    if kind not in _TARGETS[scaler.kind]:
        yield scaler.finding(
            "scale-target",
            at,
            f"it cannot scale a {kind}",
            f"target one of {', '.join(_TARGETS[scaler.kind])}",
        )
        return
    target = inventory.named(kind, name)
    if target is None:
        yield scaler.finding(
            "scale-target",
            at,
            f"it scales {kind} '{name}', which is not in this folder",
            did_you_mean(name, (each.name for each in inventory.of(kind))),
        )
        return
    if scaler.kind == "VerticalPodAutoscaler":
        return
    native = [key for key in ("minReplicas", "maxReplicas") if key in target.spec]
    if kind == "Model" and native:
        yield scaler.finding(
            "two-scalers",
            at,
            f"Model '{name}' has {native[0]}, by which Seldon scales it too",
            "set replicas on the Model, and no bounds, or remove this autoscaler",
        )
    elif kind == "Model" and "replicas" not in target.spec:
        yield target.finding(
            "missing-replicas", ("spec",), "an autoscaler needs it", "set replicas"
        )
    elif kind not in _SERVED and "replicas" in target.spec:
        yield target.finding(
            "two-scalers",
            ("spec", "replicas"),
            f"replicas would undo what {scaler.title} has decided, each time that it is applied",
            "leave replicas out",
        )


def _check_bounds(document: Document) -> Iterator[Finding]:
    spec = document.spec
    low = spec.get("minReplicas", spec.get("minReplicaCount"))
    high = spec.get("maxReplicas", spec.get("maxReplicaCount"))
    if low is not None and high is not None and low > high:
        yield document.finding(
            "bounds",
            ("spec",),
            f"its fewest replicas, {low}, are above its most, {high}",
            "swap them",
        )
    count = spec.get("replicas")
    if document.kind in _SERVED and count is not None and (low or 0) > count:
        yield document.finding(
            "bounds", ("spec",), f"replicas {count} are below {low}", "raise them"
        )
    if document.kind in _SERVED and count is not None and high is not None and count > high:
        yield document.finding(
            "bounds", ("spec",), f"replicas {count} are above {high}", "lower them"
        )
    if document.kind == "HorizontalPodAutoscaler" and low == 0:
        yield document.finding(
            "scale-to-zero",
            ("spec", "minReplicas"),
            "a Service holds no requests back while there are no pods",
            "set minReplicas to 1 or more",
        )


def _check_metrics(document: Document, at: Steps, metrics: Any) -> Iterator[Finding]:
    on_model = (document.spec.get("scaleTargetRef") or {}).get("kind") == "Model"
    for position, metric in enumerate(metrics):
        metric = metric or {}
        kind = str(metric.get("type", ""))
        source = metric.get(kind[:1].lower() + kind[1:]) or {}
        if on_model and (
            kind not in ("Object", "External")
            or (source.get("target") or {}).get("type") != "AverageValue"
        ):
            yield document.finding(
                "model-metric",
                (*at, position),
                "a Model has no pods of its own",
                "use a metric of type External or Object with an AverageValue",
            )
        name = (source.get("metric") or {}).get("name")
        if name is not None:
            labels = ((source["metric"].get("selector") or {}).get("matchLabels")) or {}
            yield from _check_use(document, (*at, position), Use(name, tuple(labels)))


def _check_triggers(document: Document, at: Steps, triggers: Any) -> Iterator[Finding]:
    for position, trigger in enumerate(triggers):
        metadata = trigger.get("metadata") or {}
        if trigger.get("type") == "prometheus":
            for use in uses(str(metadata.get("query", ""))):
                yield from _check_use(document, (*at, position, "metadata", "query"), use)


def _check_use(document: Document, at: Steps, use: Use) -> Iterator[Finding]:
    if use.name not in known_series():
        yield document.finding(
            "unknown-metric",
            at,
            f"no model exports '{use.name}'",
            did_you_mean(use.name, known_series()),
        )
        return
    for label in unknown_labels(use):
        yield document.finding(
            "unknown-metric",
            at,
            f"'{use.name}' has no label '{label}'",
            did_you_mean(label, sorted(known_series()[use.name])),
        )


def _check_components(document: Document) -> Iterator[Finding]:
    """What a SeldonDeployment says of autoscaling in each of its components."""
    for i, predictor in enumerate(document.spec.get("predictors") or ()):
        for k, component in enumerate(predictor.get("componentSpecs") or ()):
            at: Steps = ("spec", "predictors", i, "componentSpecs", k)
            hpa, keda = component.get("hpaSpec") or {}, component.get("kedaSpec") or {}
            scaled = [key for key in ("hpaSpec", "kedaSpec") if component.get(key)]
            if len(scaled) > 1 or (scaled and "replicas" in component):
                yield document.finding(
                    "two-scalers",
                    at,
                    f"it has {scaled[0]} beside {scaled[1] if len(scaled) > 1 else 'replicas'}",
                    "keep one of them",
                )
            metrics = hpa.get("metricsv2") or ()
            yield from _check_metrics(document, (*at, "hpaSpec", "metricsv2"), metrics)
            triggers = keda.get("triggers") or ()
            yield from _check_triggers(document, (*at, "kedaSpec", "triggers"), triggers)
            for spec, low, high in (
                (hpa, "minReplicas", "maxReplicas"),
                (keda, "minReplicaCount", "maxReplicaCount"),
            ):
                if spec.get(low, 0) > spec.get(high, spec.get(low, 0)):
                    yield document.finding(
                        "bounds", at, f"{low} {spec[low]} is above {high} {spec[high]}", "swap them"
                    )
