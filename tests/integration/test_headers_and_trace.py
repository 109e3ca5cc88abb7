"""What accompanies a request through a pipeline: headers, the time left, the trace."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from .conftest import FRONT_ENDS, SPENT_MS, TRANSPORTS, Connect, Echoes
from .v2 import Answer

SENT = {
    "authorization": "Bearer secret-token",
    "cookie": "session=secret-token",
    "proxy-authorization": "Basic secret-token",
    "api-key": "secret-token",
    "x-request-id": "request-7",
    "x-tenant": "blue",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


def seen(answer: Answer) -> dict[str, str]:
    """The headers that the last stage saw."""
    headers: dict[str, str] = json.loads(answer.texts("headers")[0])
    return headers


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_only_headers_meant_to_go_on_reach_a_stage(
    echoes: Echoes, connect: Connect, transport: str, front_end: str
) -> None:
    client = connect(echoes.servers[transport], front_end)
    answer = await client.infer("through-headers", {"text": ["a"]}, headers=SENT)
    headers = seen(answer)
    assert headers["x-request-id"] == "request-7"
    assert headers["x-tenant"] == "blue"
    assert SENT["traceparent"].split("-")[1] in headers["traceparent"]
    assert "secret-token" not in json.dumps(headers)
    assert "secret-token" not in answer.body


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_headers_of_one_request_do_not_reach_another(
    echoes: Echoes, connect: Connect, transport: str, front_end: str
) -> None:
    client = connect(echoes.servers[transport], front_end)
    with_header = await client.infer("through-headers", {"text": ["a"]}, headers={"x-user": "ann"})
    without = await client.infer("through-headers", {"text": ["a"]})
    assert seen(with_header)["x-user"] == "ann"
    assert "x-user" not in seen(without)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_stage_is_told_what_is_left_of_the_deadline(
    echoes: Echoes, connect: Connect, transport: str, front_end: str
) -> None:
    client = connect(echoes.servers[transport], front_end)
    headers = {"infergraph-timeout-ms": "20000"}
    answer = await client.infer("spend-time", {"text": ["a"]}, headers=headers)
    assert 0 < float(seen(answer)["infergraph-timeout-ms"]) <= 20000 - SPENT_MS
    without = await client.infer("spend-time", {"text": ["a"]})
    assert "infergraph-timeout-ms" not in seen(without)


def assert_reconciles(trace: dict[str, Any]) -> None:
    """Every step lies within its pipeline, and what it waited and computed within the step."""
    for step in trace["steps"]:
        assert step["start_us"] >= 0
        assert step["start_us"] + step["duration_us"] <= trace["duration_us"]
        assert step["queue_us"] >= 0
        assert step["queue_us"] + step["compute_us"] <= step["duration_us"]


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_trace_names_each_step_and_adds_up(
    echoes: Echoes, connect: Connect, transport: str, front_end: str
) -> None:
    client = connect(echoes.servers[transport], front_end)
    answer = await client.infer("two-batched", {"text": ["a", "b"]}, parameters={"trace": True})
    trace = answer.trace
    assert trace["pipeline"] == "two-batched"
    assert_reconciles(trace)
    quick, slow = trace["steps"]
    for step, name in ((quick, "quick"), (slow, "slow")):
        assert (step["name"], step["model"], step["transport"]) == (name, name, transport)
        assert step["batch_size"] == 2
    # They sleep 1 and 3 ms.
    assert quick["compute_us"] >= 1000
    assert slow["compute_us"] >= 3000
    assert quick["start_us"] + quick["duration_us"] <= slow["start_us"]
    assert quick["duration_us"] + slow["duration_us"] <= trace["duration_us"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_trace_holds_the_steps_that_fired_and_no_others(
    echoes: Echoes, connect: Connect, transport: str
) -> None:
    client = connect(echoes.servers[transport], "grpc")
    for text, fired in (("easy", ["sorter"]), ("hard", ["sorter", "heavy"])):
        answer = await client.infer("cascade", {"text": [text]}, parameters={"trace": True})
        assert [step["name"] for step in answer.trace["steps"]] == fired
        assert_reconciles(answer.trace)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_a_header_asks_for_a_trace_and_without_one_there_is_none(
    echoes: Echoes, connect: Connect, front_end: str
) -> None:
    client = connect(echoes.stages, front_end)
    numbers = {"numbers": np.ones((1, 3), np.float32)}
    asked = await client.infer("chain", numbers, headers={"x-infergraph-trace": "1"})
    assert [step["name"] for step in asked.trace["steps"]] == ["first", "second"]
    assert "trace" not in (await client.infer("chain", numbers)).parameters


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_a_model_alone_says_what_it_waited_and_computed(
    echoes: Echoes, connect: Connect, front_end: str
) -> None:
    client = connect(echoes.stages, front_end)
    answer = await client.infer("slow", {"text": ["a", "b", "c"]}, parameters={"trace": True})
    trace = answer.trace
    assert trace["model"] == "slow"
    assert trace["batch_size"] == 3
    assert trace["compute_us"] >= 3000
    assert trace["queue_us"] >= 0
