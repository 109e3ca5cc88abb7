from __future__ import annotations

import pytest

from infergraph.errors import DeadlineExceeded
from infergraph.request import Deadline, RequestContext
from infergraph.transports import hop
from infergraph.v2 import Message


def test_headers_go_on_in_lower_case() -> None:
    context = RequestContext(headers={"X-Request-Id": "7", "traceparent": "00-1-2-01"})
    assert hop.headers("m", context, None) == {
        "x-request-id": "7",
        "traceparent": "00-1-2-01",
        "seldon-model": "m",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-data-bin", "AAAA"),
        ("x-name", "Zürich"),
        ("x-name", "a\r\nauthorization: b"),
        ("x name", "a"),
        ("x-name\n", "a"),
    ],
)
def test_headers_that_a_wire_cannot_carry_stay_behind(name: str, value: str) -> None:
    context = RequestContext(headers={name: value})
    assert hop.headers("m", context, None) == {"seldon-model": "m"}


def test_what_is_left_goes_on_in_milliseconds() -> None:
    assert hop.headers("m", RequestContext(), 1.23456)["infergraph-timeout-ms"] == "1234.560"


def test_no_deadline_leaves_no_limit() -> None:
    assert hop.seconds_left(RequestContext(), "there") is None


def test_a_deadline_that_passed_is_an_error() -> None:
    passed = Deadline(at=0.0, budget_ms=5)
    with pytest.raises(DeadlineExceeded, match="there: the deadline of 5 ms passed"):
        hop.seconds_left(RequestContext(deadline=passed), "there")


def test_a_trace_is_asked_for_by_parameter() -> None:
    message = Message([], parameters={"top_k": 3, "none": None})  # type: ignore[dict-item]
    assert hop.request_parameters(message, trace=False) == {"top_k": 3}
    assert hop.request_parameters(message, trace=True) == {"top_k": 3, "trace": True}


def test_answers_lose_what_servers_put_beside_their_parameters() -> None:
    parameters, trace = hop.answer_parameters(
        {
            "label": "x",
            "headers": {"Ce-Id": "1"},
            "Ce-Modelid": "m",
            "ce-id": "1",
            "content_type": "np",
            "none": None,
            "trace": '{"model":"m","queue_us":1}',
        }
    )
    assert parameters == {"label": "x"}
    assert trace == {"model": "m", "queue_us": 1}


@pytest.mark.parametrize("value", ["no JSON", "[1]", "1", True, 3])
def test_a_parameter_trace_of_another_meaning_is_no_trace(value: object) -> None:
    assert hop.answer_parameters({"trace": value}) == ({}, None)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ('["a", "b"]', {"a", "b"}),
        (["a"], {"a"}),
        ("no JSON", set()),
        ("{}", set()),
        (None, set()),
    ],
)
def test_optional_tensors(value: object, names: set[str]) -> None:
    assert hop.optional_tensors({"optional_outputs": value}, "optional_outputs") == names


def test_an_endpoint_s_own_headers_come_first() -> None:
    context = RequestContext(headers={"x-tenant": "a", "x-other": "b"})
    own = {"seldon-model": "m.pipeline", "x-tenant": "c"}
    assert hop.headers("m", context, None, own) == {
        "x-tenant": "c",
        "x-other": "b",
        "seldon-model": "m.pipeline",
    }
