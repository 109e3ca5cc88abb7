from __future__ import annotations

from typing import Any

import pytest

from infergraph.errors import ConfigurationError
from infergraph.router import RouterSettings
from infergraph.settings import load_options


def test_defaults() -> None:
    options = load_options(RouterSettings, "p", None)
    assert (options.endpoints, options.in_process, options.timeout_ms) == ({}, True, None)


def test_every_field_may_be_a_string() -> None:
    options = load_options(
        RouterSettings,
        "p",
        {
            "endpoints": '{"*": "grpc://localhost:8081"}',
            "in_process": "false",
            "timeout_ms": "1500",
            "optional_outputs": '["x"]',
        },
    )
    assert options.endpoints == {"*": "grpc://localhost:8081"}
    assert options.in_process is False
    assert options.timeout_ms == 1500
    assert options.optional_outputs == ["x"]


def test_the_environment_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERGRAPH_AUDIO_QA__ENDPOINTS", '{"a": "http://localhost:8080"}')
    monkeypatch.setenv("INFERGRAPH_AUDIO_QA__TIMEOUT_MS", "250")
    options = load_options(RouterSettings, "audio-qa", {"timeout_ms": 9})
    assert options.endpoints == {"a": "http://localhost:8080"}
    assert options.timeout_ms == 250


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ({"endpoint": {}}, r"unknown setting 'endpoint'; did you mean 'endpoints'\? accepted"),
        ({"endpoints": {"a": "localhost:1"}}, "accepted: grpc://host:port"),
        ({"endpoints": "no JSON"}, "not JSON"),
        ({"endpoints": ["grpc://localhost:1"]}, "setting 'endpoints'"),
        ({"timeout_ms": 0}, "setting 'timeout_ms' = 0: input should be greater than 0"),
        ({"timeout_ms": "soon"}, "setting 'timeout_ms' = 'soon'"),
        ({"timeout_ms": "inf"}, "finite"),
        ({"in_process": "perhaps"}, "setting 'in_process' = 'perhaps'"),
    ],
)
def test_wrong_settings_say_what_is_accepted(extra: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        load_options(RouterSettings, "p", extra)
