"""Messages between coordinator and workers, plans that travel, and who is let in."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from typing import Any

import numpy as np
import pytest

from infergraph.v2 import Tensor
from infergraph_clients.load.configuration import Target
from infergraph_clients.load.engine import coordinator, protocol
from infergraph_clients.load.engine.coordinator import (
    Clock,
    Interrupts,
    compare_clocks,
    run_workers,
)
from infergraph_clients.load.engine.plan import (
    ClosedPlan,
    LoadPlan,
    OpenPlan,
    Progress,
    WorkerPlan,
    WorkerResult,
)
from infergraph_clients.load.engine.protocol import Message, admit, connect, receive, send
from infergraph_clients.load.engine.records import trace_lines
from infergraph_clients.load.errors import LoadError
from infergraph_clients.payloads import Payload
from infergraph_clients.transports import Codec, Tls

from .runs import records

KEY = b"a shared secret"


def through_the_wire(message: Message) -> Message:
    ours, theirs = Pipe()
    with ours, theirs:
        send(ours, message)
        return receive(theirs)


def test_messages_come_as_they_were_sent() -> None:
    values = {"x": [1, "ü"], "y": {"z": b"", "more": [b"\0" * 100]}}
    for message in (Message("a", values), Message("b")):
        assert through_the_wire(message) == message


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\2{}", b"\0\0\0\2[]", b"\0\0\0\1{"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(LoadError, match="no message of a worker"):
        Message.decode(data)


def test_a_plan_travels_whole() -> None:
    target = Target(
        url="grpcs://h:1",
        model="m",
        headers={"authorization": "b"},
        timeout_s=3,
        tls=Tls(ca="ca.pem"),
    )
    payload = Payload("p", [Tensor.of_bytes("text", [b"", b"\xff\0"])])
    codec = Codec(target.route())
    requests, traced = [codec.encode(payload)], [codec.encode(payload, trace=True)]
    closed = ClosedPlan(2, 1, None, 0.5, "exponential", False, "cycle", 0.1, 7, (3, 1), 1, 2)
    opened = OpenPlan(
        np.array([1, 5], np.int64), np.array([0, 0], np.int32), np.array([True, False]), 1, 2
    )
    answer = b'{"outputs": []}'
    plan = WorkerPlan(
        3,
        {
            0: LoadPlan(target, requests, [], closed, 10, "valid", [], 0.1, 2.0),
            2: LoadPlan(target, requests, traced, opened, 10, "expected", [answer], 0.1, 2.0),
        },
    )
    found = through_the_wire(Message.of("plan", plan)).read(WorkerPlan)
    assert found.process == 3
    first, second = found.loads[0], found.loads[2]
    assert (first.arrivals, first.target, first.requests) == (closed, target, requests)
    assert first.target.headers == {"authorization": "b"}
    assert isinstance(second.arrivals, OpenPlan)
    assert second.arrivals.times.tolist() == [1, 5]
    assert second.arrivals.traced.tolist() == [True, False]
    assert (second.arrivals.first_index, second.arrivals.index_step) == (1, 2)
    assert (second.traced_requests, second.expected) == (traced, [answer])
    # They are sent, byte for byte, as they would have been here.
    (there,), (here,) = second.traced_requests, traced
    assert there.request(7, there.id(7)) == here.request(7, here.id(7))


def test_reports_and_results_travel_whole() -> None:
    rows, traces = records([1, 2, 3]), trace_lines([(0, {"x": 1})])
    sent = Message.of("progress", Progress(1, 2, 4, 9, rows, traces))
    progress = through_the_wire(sent).read(Progress)
    assert (progress.process, progress.load, progress.sent, progress.in_flight) == (1, 2, 9, 4)
    assert (progress.records == rows).all()
    assert progress.traces == traces
    assert progress.latency_ns.tolist() == [1_000_000, 2_000_000, 3_000_000]
    result = WorkerResult(1, {0: {5: {"late": 2}}}, {0: 7}, 0.5, 0.6, np.array([3]), 8, [9])
    found = through_the_wire(Message.of("result", result)).read(WorkerResult)
    assert (found.errors, found.unsent) == (result.errors, result.unsent)
    assert found.lag_ns.tolist() == [3]


@pytest.mark.parametrize("values", [{"process": 1}, {"process": "x", "loads": {}}])
def test_a_plan_that_is_none_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="WorkerPlan"):
        Message("plan", values).read(WorkerPlan)


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


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    admitted: list[bool] = []
    with listening(KEY, admitted) as address:
        real = Message.decode

        def older(data: bytes) -> Message:
            found = real(data)
            return Message(found.kind, {"version": 1}) if found.kind == "hello" else found

        monkeypatch.setattr(Message, "decode", older)
        with pytest.raises(LoadError, match="another version"):
            connect(address, KEY)


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
        stranger.sendall(struct.pack("!i", 1 << 30))
        # It is asked for the token, and then left alone.
        assert stranger.recv(10_000)
        assert stranger.recv(10_000) == b""
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
    ours, theirs = Pipe()
    times = iter([0, 1_000] * 7 + [0, 10] + [0, 1_000] * 12)

    def answer() -> None:
        for number in range(20):
            assert receive(theirs).kind == "ping"
            now = 5_005 if number == 7 else 5_900
            send(theirs, Message("pong", {"now": now}))

    thread = threading.Thread(target=answer)
    thread.start()
    found = compare_clocks(ours, lambda: next(times))
    thread.join()
    ours.close()
    theirs.close()
    assert found == Clock(5_000, 5)


HALF_A_MESSAGE = """\
import os, signal, socket, sys
from infergraph_clients.load.engine.protocol import Message, connection_of, receive, send
connection = connection_of(socket.socket(fileno=int(sys.argv[1])))
assert receive(connection).kind == "plan"
send(connection, Message("ready"))
assert receive(connection).kind == "start"
os.write(connection.fileno(), b"\\0\\0\\1\\0half")
signal.pause()
"""


def test_a_worker_that_falls_silent_in_a_message_is_lost_and_the_run_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(inherited: socket.socket) -> subprocess.Popen[bytes]:
        descriptor = inherited.fileno()
        command = [sys.executable, "-c", HALF_A_MESSAGE, str(descriptor)]
        return subprocess.Popen(command, pass_fds=[descriptor])

    monkeypatch.setattr(coordinator, "start_worker", start)
    monkeypatch.setattr(coordinator, "_SILENT_SECONDS", 1)
    monkeypatch.setattr(coordinator, "_END_SECONDS", 0.01)
    found = run_workers([WorkerPlan(0, {})], [], lambda progress: None, Interrupts())
    assert (found.died, found.results) == ({0: -9}, [])
