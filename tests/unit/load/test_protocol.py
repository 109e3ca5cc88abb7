"""Messages between coordinator and workers, plans that travel, and who is let in."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from infergraph.v2 import Tensor
from infergraph.v2.request import RequestedOutput
from infergraph_clients.load.configuration import Target
from infergraph_clients.load.engine import protocol
from infergraph_clients.load.engine.coordinator import Clock, compare_clocks
from infergraph_clients.load.engine.plan import (
    ClosedPlan,
    LoadPlan,
    OpenPlan,
    Progress,
    WorkerPlan,
    WorkerResult,
)
from infergraph_clients.load.engine.protocol import Connection, Message, Parser, admit, connect
from infergraph_clients.load.errors import LoadError
from infergraph_clients.payloads import Payload

from .runs import records

KEY = b"a shared secret"


def through_the_wire(message: Message, step: int = 7) -> Message:
    """The message after it came in pieces of `step` bytes."""
    parser, data = Parser(), message.encode()
    found = [
        each
        for start in range(0, len(data), step)
        for each in parser.feed(data[start : start + step])
    ]
    (only,) = found
    return only


def test_messages_that_come_in_any_pieces() -> None:
    messages = [Message("a", {"x": [1, "ü"]}, (b"", b"\0" * 100)), Message("b"), Message("c")]
    data = b"".join(each.encode() for each in messages)
    for step in (1, 13, len(data)):
        parser = Parser()
        parts = [data[start : start + step] for start in range(0, len(data), step)]
        assert [each for part in parts for each in parser.feed(part)] == messages


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(LoadError, match="accepted: 100"):
        list(Parser(100).feed(Message("x", {}, [b"0" * 200]).encode()))
    with pytest.raises(LoadError, match="no message of a worker"):
        list(Parser().feed(protocol._HEAD.pack(2, 0) + b"{}"))


def test_a_plan_travels_whole() -> None:
    tensors = (
        Tensor.of_bytes("text", [b"", b"\xff\0"]),
        Tensor("number", "FP16", np.array([1.5, -2], np.float16), {"binary_data_size": 4}),
    )
    target = Target(url="grpc://h:1", model="m", headers={"a": "b"}, timeout_s=3)
    payloads = [
        Payload("p", tensors, {"trace": True}, [RequestedOutput.of("y", {"classification": 3})])
    ]
    closed = ClosedPlan(2, 1, None, 0.5, "exponential", False, "cycle", 0.1, 7, (3, 1), 1, 2)
    opened = OpenPlan(
        np.array([1, 5], np.int64), np.array([0, 0], np.int32), np.array([True, False]), 1, 2
    )
    plan = WorkerPlan(
        3,
        {
            0: LoadPlan(target, payloads, True, closed, 10, "valid", [], 0.1, 2.0),
            2: LoadPlan(
                target, payloads, False, opened, 10, "expected", [{"text": tensors[0]}], 0.1, 2.0
            ),
        },
    )
    found = WorkerPlan.of(through_the_wire(plan.message()))
    assert found.process == 3
    assert found.loads[0].arrivals == closed
    assert found.loads[0].target == target
    travelled = found.loads[2].arrivals
    assert isinstance(travelled, OpenPlan)
    assert travelled.times.tolist() == [1, 5]
    assert travelled.traced.tolist() == [True, False]
    assert (travelled.first_index, travelled.index_step) == (1, 2)
    (payload,) = found.loads[2].payloads
    assert (payload.name, payload.parameters) == ("p", {"trace": True})
    assert [(each.name, each.classification) for each in payload.outputs] == [("y", 3)]
    text, number = payload.tensors
    assert text.data.tolist() == [[b""], [b"\xff\0"]]
    assert number.data.dtype == np.float16
    assert number.data.tolist() == [1.5, -2]
    assert number.parameters == {"binary_data_size": 4}
    assert found.loads[2].expected[0]["text"].data.tolist() == text.data.tolist()


def test_reports_and_results_travel_whole() -> None:
    rows = records([1, 2, 3])
    progress = Progress.of(through_the_wire(Progress(1, 2, 9, 4, rows, [(0, {"x": 1})]).message()))
    assert (progress.process, progress.load, progress.sent, progress.in_flight) == (1, 2, 9, 4)
    assert (progress.records == rows).all()
    assert progress.latency_ns.tolist() == [1_000_000, 2_000_000, 3_000_000]
    result = WorkerResult(1, {0: {5: {"late": 2}}}, {0: 7}, 0.5, 0.6, np.array([3]), 8, [9])
    found = WorkerResult.of(through_the_wire(result.message()))
    assert (found.errors, found.unsent) == (result.errors, result.unsent)
    assert found.lag_ns.tolist() == [3]


@contextmanager
def listening(key: bytes, admitted: list[bool]) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            opened, _ = server.accept()
            with opened:
                admitted.append(admit(opened, key))

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_who_knows_the_token_is_let_in() -> None:
    admitted: list[bool] = []
    with listening(KEY, admitted) as address:
        connect(address, KEY).close()
    assert admitted == [True]


def test_who_does_not_is_not() -> None:
    admitted: list[bool] = []
    with (
        listening(KEY, admitted) as address,
        pytest.raises(LoadError, match="does not accept the token"),
    ):
        connect(address, b"another secret")
    assert admitted == [False]


def test_a_large_message_of_a_stranger_is_not_read() -> None:
    admitted: list[bool] = []
    with (
        listening(KEY, admitted) as address,
        socket.create_connection(protocol.address_of(address)) as stranger,
    ):
        stranger.sendall(protocol._HEAD.pack(1 << 31, 1 << 40))
        assert stranger.recv(10_000)
    assert admitted == [False]


@pytest.mark.parametrize("text", ["host", "host:", ":80", "host:port", "host:70000"])
def test_addresses(text: str) -> None:
    with pytest.raises(LoadError, match="accepted: HOST:PORT"):
        protocol.address_of(text)


def test_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(protocol.TOKEN, raising=False)
    with pytest.raises(LoadError, match="is not set"):
        protocol.token()
    monkeypatch.setenv(protocol.TOKEN, "short")
    with pytest.raises(LoadError, match="is too short"):
        protocol.token()
    monkeypatch.setenv(protocol.TOKEN, "long enough")
    assert protocol.token() == b"long enough"


def test_the_fastest_round_trip_tells_the_clocks_apart() -> None:
    """A worker whose clock is 5,000 ahead, and which one round trip of 20 finds faster."""
    ours, theirs = socket.socketpair()
    times = iter([0, 1_000] * 7 + [0, 10] + [0, 1_000] * 12)

    def answer() -> None:
        far = Connection(theirs, "coordinator")
        for number in range(20):
            assert far.next().kind == "ping"
            now = 5_005 if number == 7 else 5_900
            far.send(Message("pong", {"now": now}))

    thread = threading.Thread(target=answer)
    thread.start()
    found = compare_clocks(Connection(ours, "w"), lambda: next(times))
    thread.join()
    ours.close()
    theirs.close()
    assert found == Clock(5_000, 5)
