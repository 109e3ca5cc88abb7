"""Headers and other flags that commands share."""

from __future__ import annotations

import pytest

from infergraph.v2 import Parameter
from infergraph_clients.errors import UsageError
from infergraph_clients.flags import parse_parameters
from infergraph_clients.transports import masked, parse_headers
from infergraph_clients.transports.headers import deadline_header, joined


def test_a_header_keeps_its_value_as_it_is() -> None:
    headers = parse_headers(["authorization=Bearer a=b==", "X-Empty="])
    assert headers == {"authorization": "Bearer a=b==", "X-Empty": ""}


@pytest.mark.parametrize("name", ["two words", "a:b", "naïve", "a\n"])
def test_what_is_no_header_name_is_named(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_headers([f"{name}=x"])
    assert f"header {name!r} is no header name" in str(caught.value)


@pytest.mark.parametrize("value", ["sécret", "secret\r\nhost: evil", "secret\0"])
def test_a_header_value_that_cannot_travel_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_headers([f"authorization={value}"])
    assert "header authorization: its value is not printable ASCII" in str(caught.value)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("argument", ["authorization", "=x", ""])
def test_a_header_has_a_name_and_a_value(argument: str) -> None:
    with pytest.raises(UsageError, match=r"--header '.*'; accepted: NAME=VALUE"):
        parse_headers([argument])


def test_secrets_are_masked() -> None:
    secret = ["Authorization", "proxy-authorization", "Cookie", "x-api-key", "X-Auth-Token",
              "x-amz-security-token", "client-secret", "x-session-id", "x-password"]  # fmt: skip
    plain = ["x-team", "content-type", "traceparent", "infergraph-timeout-ms", "seldon-model"]
    shown = masked(dict.fromkeys([*secret, *plain], "value"))
    assert shown == {**dict.fromkeys(secret, "***"), **dict.fromkeys(plain, "value")}


def test_of_one_name_the_last_header_counts() -> None:
    assert joined([{"X-Team": "a", "x-b": "1"}, {"x-team": "b"}]) == {"x-team": "b", "x-b": "1"}


@pytest.mark.parametrize(
    ("given", "header"), [(250, "250"), (0.001, "0.001"), (1e3, "1000"), (1.5, "1.5")]
)
def test_a_deadline(given: float, header: str) -> None:
    assert deadline_header(given) == {"infergraph-timeout-ms": header}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("4", 4),
        ("-4", -4),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("greedy", "greedy"),
        ('"4"', "4"),
        ("", ""),
        ("a=b", "a=b"),
        # Not values of V2 parameters, so text as they stand.
        ("null", "null"),
        ("[1, 2]", "[1, 2]"),
        ('{"a": 1}', '{"a": 1}'),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
    ],
)
def test_a_parameter_is_json_or_else_text(text: str, value: Parameter) -> None:
    parsed = parse_parameters([f"summarization.num_beams={text}"])
    assert parsed == {"summarization.num_beams": value}
    assert type(parsed["summarization.num_beams"]) is type(value)


def test_the_last_of_equal_parameters_holds() -> None:
    assert parse_parameters(["a=1", "b=2", "a=3"]) == {"a": 3, "b": 2}


@pytest.mark.parametrize("argument", ["num_beams", "=4", ""])
def test_a_parameter_has_a_name_and_a_value(argument: str) -> None:
    with pytest.raises(UsageError, match=r"--parameter '.*'; accepted: NAME=VALUE"):
        parse_parameters([argument])
