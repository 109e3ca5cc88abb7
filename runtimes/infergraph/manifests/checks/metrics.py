"""The metrics that can be asked for, and the names that a query of Prometheus uses."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

_MODULES = ("metrics.py", "front_door/metrics.py")
"""Where ours are defined; they are read, since importing one needs MLServer."""
_SERIES: Mapping[str, tuple[str, ...]] = {
    "Counter": ("_total", "_created"),
    "Gauge": ("",),
    "Histogram": ("_bucket", "_sum", "_count", "_created"),
}
_OTHERS: Mapping[str, frozenset[str]] = {
    "seldon_model_infer_total": frozenset(
        {"model", "model_internal", "server", "server_replica", "method_type", "code"}
    ),
}
"""Those of Seldon's agents that say how busy a Model is."""
_TARGET_LABELS = frozenset({"namespace", "pod", "container", "job", "instance", "service", "le"})
"""Labels that come with what Prometheus scrapes."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SERIES_USE = re.compile(r"(?<![\w:])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(?!\s*\()(?![\w:])")
_MATCHER = re.compile(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring"})


@dataclass(frozen=True, slots=True)
class Use:
    """A series in a query, and the labels by which it is chosen."""

    name: str
    labels: tuple[str, ...]


def uses(query: str) -> Iterator[Use]:
    """The series that a query reads."""
    text = _GROUPING.sub(" ", _STRING.sub('""', query))
    text = re.sub(r"\[[^\]]*\]", " ", text)
    for found in _SERIES_USE.finditer(text):
        if found[1] not in _WORDS:
            yield Use(found[1], tuple(_MATCHER.findall(found[2] or "")))


@functools.cache
def known_series() -> Mapping[str, frozenset[str]]:
    """Series -> its labels, of all that our servers export, and of those of others that we use."""
    found = dict(_OTHERS)
    package = resources.files(__package__.partition(".")[0])
    for module in _MODULES:
        for call in ast.walk(ast.parse(package.joinpath(module).read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                for ending in _SERIES.get(call.func.id, ()):
                    name = ast.literal_eval(call.args[0])
                    labels = ast.literal_eval(call.args[2]) if len(call.args) > 2 else []
                    found[f"{name}{ending}"] = frozenset(labels)
    return found


def unknown_labels(use: Use) -> list[str]:
    """The labels of a series that neither it nor what scrapes it has."""
    known = known_series()[use.name] | _TARGET_LABELS
    return [label for label in use.labels if label not in known]
