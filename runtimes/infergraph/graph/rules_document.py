"""Rules on the document: that it is a Pipeline resource, with known fields of the right types."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from .document import Document, Path, Report
from .finding import did_you_mean
from .resource import ANNOTATION_PREFIX, API_VERSION, KIND, SETTINGS, Pipeline

_TYPES = {
    "string_type": "a string (put it in quotes)",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}


def check_document(document: Document, report: Report) -> Pipeline | None:
    """Reports what is wrong with fields; the pipeline is None unless they all are right."""
    value = document.value
    if not isinstance(value, dict):
        report(
            "not-a-pipeline",
            (),
            f"the document is {_kind_of(value)}, not a mapping",
            f"write a resource with apiVersion: {API_VERSION} and kind: {KIND}",
        )
        return None
    is_pipeline = True
    for field, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        if value.get(field) != wanted:
            is_pipeline = False
            shown = f"{field} is {value[field]!r}" if field in value else f"it has no {field}"
            report("not-a-pipeline", (field,), shown, f"write {field}: {wanted}")
    if not is_pipeline:
        return None
    try:
        pipeline = Pipeline.model_validate(value)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=False):
            _report_detail(detail, report)
        return None
    _check_settings(pipeline, report)
    return pipeline


def _report_detail(detail: Any, report: Report) -> None:
    kind, path, given = detail["type"], tuple(detail["loc"]), detail["input"]
    if path and path[-1] == "[key]":
        path = (*path[:-2], str(path[-2]))
        report("wrong-type", path, f"key {given!r} is {_kind_of(given)}", "put the key in quotes")
        return
    where = _shown(path)
    if kind == "extra_forbidden":
        fields = _fields_at(path[:-1])
        report("unknown-field", path, f"unknown field {where}", did_you_mean(str(path[-1]), fields))
    elif kind == "missing":
        report("missing-field", path, f"{where} is missing", f"add {path[-1]}")
    elif kind == "literal_error":
        report("bad-join", path, f"{where} is {given!r}", "write inner, outer or any")
    elif kind in ("greater_than_equal", "less_than_equal"):
        report(
            "bad-value", path, f"{where} is {given}", "write a whole number from 0 to 2147483647"
        )
    else:
        wanted = _TYPES.get(kind, "another type")
        fix = "remove the field, or give it a value" if given is None else f"write {wanted}"
        report("wrong-type", path, f"{where} is {_kind_of(given)}, not {wanted}", fix)


def _fields_at(path: Path) -> list[str]:
    """The fields of the part of the resource that a path leads to."""
    model: Any = Pipeline
    for key in path:
        if isinstance(key, int):
            continue
        fields = {field.alias: field.annotation for field in model.model_fields.values()}
        model = _model_in(fields[key])
    return [field.alias for field in model.model_fields.values()]


def _model_in(annotation: Any) -> type[BaseModel]:
    """The model inside ``Model``, ``Model | None`` or ``tuple[Model, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (part for part in annotation.__args__ if isinstance(part, type))
    return next(part for part in inner if issubclass(part, BaseModel))


def _check_settings(pipeline: Pipeline, report: Report) -> None:
    for name, text in pipeline.metadata.annotations.items():
        if not name.startswith(ANNOTATION_PREFIX):
            continue
        path = ("metadata", "annotations", name)
        read = SETTINGS.get(name)
        if read is None:
            report(
                "unknown-setting", path, f"unknown setting '{name}'", did_you_mean(name, SETTINGS)
            )
            continue
        try:
            read(text)
        except ValueError as error:
            report("bad-setting", path, f"{name}: {error}", "write a value that it accepts")


def _shown(path: Path) -> str:
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text or "the document"


def _kind_of(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the string {value!r}"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else f"a {type(value).__name__}"
