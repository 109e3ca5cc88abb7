from __future__ import annotations

from typing import Any

import pytest

from infergraph.errors import ConfigurationError
from infergraph.router import RouterSettings
from infergraph.router.settings import load_settings
from infergraph.settings import load_options


def urls(options: RouterSettings) -> dict[str, str]:
    return {step: each.url for step, each in options.endpoints.items()}


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
    assert urls(options) == {"*": "grpc://localhost:8081"}
    assert options.in_process is False
    assert options.timeout_ms == 1500
    assert options.optional_outputs == ["x"]


def test_the_environment_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERGRAPH_AUDIO_QA__ENDPOINTS", '{"a": "http://localhost:8080"}')
    monkeypatch.setenv("INFERGRAPH_AUDIO_QA__TIMEOUT_MS", "250")
    options = load_options(RouterSettings, "audio-qa", {"timeout_ms": 9})
    assert urls(options) == {"a": "http://localhost:8080"}
    assert options.timeout_ms == 250


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ({"endpoint": {}}, r"unknown setting 'endpoint'; did you mean 'endpoints'\? accepted"),
        ({"endpoints": {"a": "localhost:1"}}, "accepted: grpc://host:port"),
        ({"endpoints": "no JSON"}, "not JSON"),
        ({"endpoints": {"a": {"headers": {}}}}, r"setting 'endpoints.a.url': field required"),
        (
            {"endpoints": {"a": {"url": "grpc://a:1", "headers": {"host": "b"}}}},
            "endpoint 'grpc://a:1': header 'host' cannot be set",
        ),
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


def test_an_endpoint_may_have_headers() -> None:
    given = {"url": "grpc://mesh:80", "headers": {"Seldon-Model": "resnet"}}
    options = load_options(RouterSettings, "p", {"endpoints": {"a": given, "b": "http://b:1"}})
    key = {"x-api-key": "a key"}
    assert dict(options.endpoints["a"].endpoint(key).headers) == {
        "x-api-key": "a key",
        "seldon-model": "resnet",
    }
    assert options.endpoints["b"].endpoint().headers == ()


def test_headers_are_not_shown() -> None:
    secret = {"authorization": "Bearer secret"}
    given = {"a": {"url": "grpc://a:1", "headers": secret}, "b": {"url": "b:1", "headers": secret}}
    with pytest.raises(ConfigurationError) as caught:
        load_options(RouterSettings, "p", {"endpoints": given})
    assert "endpoint 'b:1': unknown scheme 'b'" in str(caught.value)
    assert "secret" not in str(caught.value)
    good = load_options(RouterSettings, "p", {"endpoints": {"a": given["a"]}})
    assert "secret" not in repr(good)


def test_endpoints_of_all_routers_go_before_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "INFERGRAPH_ENDPOINTS",
        '{"b": {"url": "http://shared-b:1", "headers": {"x-a": "1"}}, "elsewhere": "http://e:1",'
        ' "*": "http://any:1"}',
    )
    extra = {"endpoints": {"a": "http://own-a:1", "b": "http://own-b:1"}}
    options = load_settings("p_7", extra, ["a", "b"])
    assert urls(options) == {"a": "http://own-a:1", "b": "http://shared-b:1", "*": "http://any:1"}
    assert options.endpoints["b"].headers == {"x-a": "1"}

    monkeypatch.setenv("INFERGRAPH_P__ENDPOINTS", '{"b": "http://p-b:1"}')
    assert urls(load_settings("p_7", extra, ["a", "b"])) == {"b": "http://p-b:1"}


def test_wrong_endpoints_of_all_routers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERGRAPH_ENDPOINTS", '{"x": {"url": "mesh", "headers": {"a": "secret"}}}')
    with pytest.raises(ConfigurationError) as caught:
        load_settings("p", {}, ["a"])
    text = str(caught.value)
    assert text.startswith("INFERGRAPH_ENDPOINTS: x: endpoint 'mesh': it has no scheme")
    assert "secret" not in str(caught.value)
