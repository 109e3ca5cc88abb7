from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from pydantic import Field

from infergraph.errors import ConfigurationError
from infergraph.settings import (
    ModelOptions,
    RuntimeOptions,
    environment_prefix,
    load_options,
    shared_endpoints,
)


class EveryKind(ModelOptions):
    """One field of every kind that a runtime uses."""

    flag: bool = False
    count: int = 1
    ratio: float = 0.5
    text: str = "plain"
    choice: Literal["a", "b"] = "a"
    maybe_count: int | None = None
    maybe_text: str | None = "default"
    names: list[str] = Field(default=[])
    pair: tuple[int, int] = (0, 0)
    unique: set[int] = Field(default=set())
    table: dict[str, str] = Field(default={})
    groups: dict[str, list[str]] = Field(default={})
    maybe_names: list[str] | None = None
    text_or_names: str | list[str] = ""


def load(cls: type[ModelOptions] = EveryKind, model: str = "my-model", **extra: Any) -> Any:
    return load_options(cls, model, extra)


def problem(cls: type[ModelOptions] = EveryKind, **extra: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(cls, **extra)
    return str(caught.value)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("flag", "true", True),
        ("flag", "False", False),
        ("flag", "1", True),
        ("flag", "no", False),
        ("count", "12", 12),
        ("count", "-3", -3),
        ("ratio", "0.25", 0.25),
        ("ratio", "1e-3", 0.001),
        ("ratio", "2", 2.0),
        ("text", "a text", "a text"),
        ("text", "12", "12"),
        ("text", "[1]", "[1]"),
        ("text", "none", "none"),
        ("text", "", ""),
        ("choice", "b", "b"),
        ("maybe_count", "7", 7),
        ("maybe_count", "none", None),
        ("maybe_count", "null", None),
        ("maybe_count", "", None),
        ("maybe_text", "None", None),
        ("maybe_text", "word", "word"),
        ("names", '["x", "y"]', ["x", "y"]),
        ("names", "[]", []),
        ("pair", "[3, 4]", (3, 4)),
        ("unique", "[1, 2, 1]", {1, 2}),
        ("table", '{"a": "b"}', {"a": "b"}),
        ("groups", '{"vehicle": ["car", "bus"]}', {"vehicle": ["car", "bus"]}),
        ("maybe_names", '["x"]', ["x"]),
        ("maybe_names", "null", None),
        ("text_or_names", "x", "x"),
    ],
)
def test_a_field_as_a_string(field: str, text: str, value: Any) -> None:
    assert getattr(load(**{field: text}), field) == value


@pytest.mark.parametrize("field", EveryKind.model_fields)
def test_a_field_as_its_own_type_and_by_the_environment(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values: dict[str, Any] = {
        "optional_inputs": ["a"],
        "optional_outputs": ["b"],
        "flag": True,
        "count": 5,
        "ratio": 0.75,
        "text": "other",
        "choice": "b",
        "maybe_count": 3,
        "maybe_text": None,
        "names": ["x"],
        "pair": (1, 2),
        "unique": {4},
        "table": {"k": "v"},
        "groups": {"g": ["m"]},
        "maybe_names": ["n"],
        "text_or_names": ["t"],
    }
    value = values[field]
    assert getattr(load(**{field: value}), field) == value
    if field == "text_or_names":
        return  # A string is a value of its own there.

    plain = list(value) if isinstance(value, (set, tuple)) else value
    as_text = value if isinstance(value, str) else json.dumps(plain)
    monkeypatch.setenv(f"INFERGRAPH_MY_MODEL__{field.upper()}", as_text)

    assert getattr(load(), field) == value


def test_the_environment_overrides_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERGRAPH_MY_MODEL__COUNT", "9")
    monkeypatch.setenv("INFERGRAPH_MY_MODEL__FLAG", "yes")
    monkeypatch.setenv("INFERGRAPH_OTHER_MODEL__RATIO", "0.1")
    monkeypatch.setenv("INFERGRAPH_GRACE_SECONDS", "3")

    options = load(count=2, text="kept")

    assert (options.count, options.flag, options.ratio, options.text) == (9, True, 0.5, "kept")


@pytest.mark.parametrize(
    ("model", "prefix"),
    [
        ("asr", "INFERGRAPH_ASR__"),
        ("speech-to-text", "INFERGRAPH_SPEECH_TO_TEXT__"),
        ("opus.mt v2/é", "INFERGRAPH_OPUS_MT_V2____"),
    ],
)
def test_the_variables_name_of_a_model(model: str, prefix: str) -> None:
    assert environment_prefix(model) == prefix


def test_without_settings_the_defaults_hold() -> None:
    options = load_options(RuntimeOptions, "asr", None)

    assert options == RuntimeOptions()
    assert (options.device, options.dtype, options.variant) == ("auto", "auto", "embedded")


def test_options_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().count = 3


def test_an_unknown_setting_suggests_the_nearest() -> None:
    text = problem(RuntimeOptions, max_batchsize=4)

    assert text == (
        "model 'my-model': unknown setting 'max_batchsize'; did you mean 'max_batch_size'? "
        "accepted: compile, device, drain_seconds, dtype, engine, max_batch_size, max_items, "
        "max_queue_bytes, max_queue_size, memory_fraction, node, optional_inputs, "
        "optional_outputs, threads, timeout_ms, variant, variants"
    )


def test_an_unknown_setting_like_no_other_only_lists_them() -> None:
    text = problem(RuntimeOptions, zzz=1)

    assert "unknown setting 'zzz'; accepted: compile, " in text
    assert "did you mean" not in text


def test_an_unknown_setting_of_the_environment_names_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INFERGRAPH_MY_MODEL__DEVCE", "cpu")

    assert problem(RuntimeOptions).startswith(
        "model 'my-model': unknown setting 'devce' (from INFERGRAPH_MY_MODEL__DEVCE); "
        "did you mean 'device'? "
    )


def test_a_wrong_value_of_the_environment_names_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INFERGRAPH_MY_MODEL__MAX_BATCH_SIZE", "many")

    assert problem(RuntimeOptions, max_batch_size=2) == (
        "model 'my-model': setting 'max_batch_size' = 'many' "
        "(from INFERGRAPH_MY_MODEL__MAX_BATCH_SIZE): "
        "input should be a valid integer, unable to parse string as an integer"
    )


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("device", "gpu", "setting 'device' = 'gpu': accepted: auto, cpu, cuda, cuda:N, mps"),
        ("device", "cuda:x", "accepted: auto, cpu, cuda, cuda:N, mps"),
        ("dtype", "int4", "setting 'dtype' = 'int4': input should be 'auto', 'fp32', 'bf16', "),
        ("memory_fraction", 0, "setting 'memory_fraction' = 0: input should be greater than 0"),
        ("memory_fraction", "1.5", "'1.5': input should be less than or equal to 1"),
        ("max_batch_size", -1, "setting 'max_batch_size' = -1: input should be greater than or"),
        ("max_items", 0, "setting 'max_items' = 0: input should be greater than 0"),
        ("max_queue_bytes", 0, "setting 'max_queue_bytes' = 0: input should be greater than 0"),
        ("timeout_ms", 0, "setting 'timeout_ms' = 0: input should be greater than 0"),
        ("timeout_ms", "inf", "setting 'timeout_ms' = 'inf': input should be a finite number"),
        ("drain_seconds", -1, "setting 'drain_seconds' = -1: input should be greater than or eq"),
        ("max_queue_size", "1.5", "setting 'max_queue_size' = '1.5': input should be a valid int"),
        ("threads", -1, "setting 'threads' = -1: input should be greater than 0"),
        ("compile", "maybe", "setting 'compile' = 'maybe': input should be a valid boolean"),
        ("variants", "{base", "setting 'variants' = '{base': not JSON (Expecting property name"),
        ("variants", "[1]", "setting 'variants' = [1]: input should be a valid dictionary"),
        ("variants", {"base": 3}, "setting 'variants.base' = 3: input should be a valid string"),
        ("optional_inputs", "audio", "setting 'optional_inputs' = 'audio': not JSON ("),
        ("variant", 3, "setting 'variant' = 3: input should be a valid string"),
    ],
)
def test_a_wrong_value_says_what_is_accepted(field: str, value: Any, said: str) -> None:
    text = problem(RuntimeOptions, **{field: value})

    assert text.startswith("model 'my-model': ")
    assert said in text


def test_all_problems_come_at_once() -> None:
    text = problem(RuntimeOptions, device="gpu", dtype="int4", batch=1)

    assert "setting 'device' = 'gpu': " in text
    assert "; setting 'dtype' = 'int4': " in text
    assert "; unknown setting 'batch'; " in text


def test_a_tasks_own_settings_are_accepted_beside_the_shared_ones() -> None:
    class TaskOptions(RuntimeOptions):
        num_beams: int | None = Field(default=None, ge=1)

    options = load(TaskOptions, num_beams="4", device="cpu")

    assert (options.num_beams, options.device) == (4, "cpu")
    assert "unknown setting 'num_beams'" in problem(RuntimeOptions, num_beams=4)


def test_overrides_are_for_all_generations_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERGRAPH_MY_MODEL__COUNT", "5")
    monkeypatch.setenv("INFERGRAPH_MY_MODEL__RATIO", "2")
    monkeypatch.setenv("INFERGRAPH_MY_MODEL_3__RATIO", "3")
    first, third = load(model="my-model_1"), load(model="my-model_3")
    assert (first.count, first.ratio) == (5, 2)
    assert (third.count, third.ratio) == (5, 3)
    assert load(model="other_1").count == 1


class Secret(ModelOptions):
    table: dict[str, int] = Field(default={}, repr=False)


def test_what_is_hidden_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    text = problem(Secret, table={"a": "no number, but a key"})
    assert text.startswith("model 'my-model': setting 'table.a': input should be a valid integer")
    assert "key" not in text


@pytest.mark.parametrize("text", ["no JSON, a key", '["a key"]'])
def test_shared_endpoints_that_are_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert shared_endpoints() == {}
    monkeypatch.setenv("INFERGRAPH_ENDPOINTS", text)
    with pytest.raises(ConfigurationError, match="INFERGRAPH_ENDPOINTS") as caught:
        shared_endpoints()
    assert "key" not in str(caught.value)
