"""The front door's settings: where they come from, what is refused, and that keys stay secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from mlserver import Settings

from infergraph.errors import ConfigurationError
from infergraph.front_door.settings import FrontDoorSettings, read_settings
from infergraph.v2.request import Limits

DOCS = Path(__file__).parents[3] / "docs"
KEY = "a-secret-key-1234"


def read(**given: Any) -> FrontDoorSettings:
    return read_settings(Settings(model_repository_implementation_args={"front_door": given}))


def refusal(**given: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(**given)
    return str(caught.value)


def test_defaults_need_no_settings() -> None:
    assert read_settings(Settings()) == FrontDoorSettings() == read()


def test_the_file_comes_before_the_default_and_the_environment_before_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert read(max_in_flight=5).max_in_flight == 5
    monkeypatch.setenv("INFERGRAPH_MAX_IN_FLIGHT", "7")
    assert read(max_in_flight=5).max_in_flight == 7
    assert read(max_tensors="9").max_tensors == 9


def test_settings_of_models_in_the_environment_are_left_to_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INFERGRAPH_ASR__DEVICE", "cpu")
    monkeypatch.setenv("INFERGRAPH_SOMETHING", "else")

    assert read() == FrontDoorSettings()


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        (f"{KEY}, {KEY}2", (KEY, KEY + "2")),
        (f'["{KEY}", "{KEY},2"]', (KEY, KEY + ",2")),
        (KEY, (KEY,)),
        ("", ()),
        (" , ", ()),
    ],
)
def test_keys_stand_between_commas_or_in_a_list(
    monkeypatch: pytest.MonkeyPatch, given: str, keys: tuple[str, ...]
) -> None:
    assert read(control_keys=given).control_keys == keys
    assert read(control_keys=keys).control_keys == keys
    monkeypatch.setenv("INFERGRAPH_CONTROL_KEYS", given)
    assert read().control_keys == keys


@pytest.mark.parametrize("field", ["inference_keys", "control_keys", "metrics_keys"])
@pytest.mark.parametrize("value", ["short", ["secret", KEY], '["secret"', [3], {"a": "secret"}])
def test_keys_that_are_refused_are_not_repeated(field: str, value: Any) -> None:
    text = refusal(**{field: value})

    assert f"setting '{field}" in text
    assert not any(word in text for word in ("short1", "secret", KEY, "[3]"))


def test_a_short_key_is_named_as_such() -> None:
    assert refusal(inference_keys="tooshort") == (
        "front door: setting 'inference_keys' (INFERGRAPH_INFERENCE_KEYS): a key is shorter than "
        "16 characters"
    )


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"max_in_flight": 0},
            "setting 'max_in_flight' (INFERGRAPH_MAX_IN_FLIGHT) = 0: input should be greater than",
        ),
        ({"max_body_bytes": "many"}, "setting 'max_body_bytes' (INFERGRAPH_MAX_BODY_BYTES) = "),
        ({"body_timeout_s": float("inf")}, "setting 'body_timeout_s'"),
        ({"body_timeout_s": 0}, "setting 'body_timeout_s'"),
        ({"grace_seconds": -1}, "setting 'grace_seconds'"),
        ({"grace_seconds": "soon"}, "(INFERGRAPH_GRACE_SECONDS) = 'soon': input should be a"),
        ({"access_log": "xml"}, "'access_log' (INFERGRAPH_ACCESS_LOG) = 'xml': input should be 'o"),
        ({"grpc_stream": "both"}, "setting 'grpc_stream'"),
        ({"max_inflight": 3}, "unknown setting 'max_inflight'; accepted: access_log, body_timeout"),
        ({"tls_key": "a.pem"}, "tls_certificate and tls_key are needed both, or neither"),
        ({"tls_client_ca": "a.pem"}, "tls_client_ca needs tls_certificate and tls_key"),
    ],
)
def test_a_wrong_value_is_named(given: dict[str, Any], text: str) -> None:
    said = refusal(**given)

    assert said.startswith("front door: ")
    assert text in said


def test_all_wrong_values_are_named_at_once() -> None:
    text = refusal(max_in_flight=-1, max_tensors="x", nothing=1)

    assert all(f"'{name}'" in text for name in ("max_in_flight", "max_tensors", "nothing"))


def test_a_wrong_value_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERGRAPH_GRACE_SECONDS", "")

    assert "(INFERGRAPH_GRACE_SECONDS) = ''" in refusal()


@pytest.mark.parametrize("value", [5, "x", [1]])
def test_settings_that_are_no_object(value: Any) -> None:
    settings = Settings(model_repository_implementation_args={"front_door": value})

    with pytest.raises(ConfigurationError, match="front_door"):
        read_settings(settings)


def test_keys_are_not_shown() -> None:
    settings = FrontDoorSettings(inference_keys=[KEY], control_keys=KEY, metrics_keys=[KEY])

    assert KEY not in repr(settings)
    assert KEY not in str(settings)


@pytest.mark.parametrize(("value", "seconds"), [("0", 0.0), ("3", 3.0), ("12.5", 12.5)])
def test_grace(monkeypatch: pytest.MonkeyPatch, value: str, seconds: float) -> None:
    monkeypatch.setenv("INFERGRAPH_GRACE_SECONDS", value)

    assert read().grace_seconds == seconds


def test_grace_by_default_is_shorter_than_kubernetes_gives() -> None:
    assert read().grace_seconds == 25.0


def test_limits_of_tensors() -> None:
    assert read(max_tensors=1, max_elements=2, max_strings=3).limits == Limits(1, 2, 3)
    assert read().limits == Limits()


def test_the_documentation_names_each_setting_and_its_default() -> None:
    text = (DOCS / "front-door.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", text, re.MULTILINE))

    for name, field in FrontDoorSettings.model_fields.items():
        assert f"`{name}" in text, name
        if name in rows:
            assert float(rows[name]) == field.default
