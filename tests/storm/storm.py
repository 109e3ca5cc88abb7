"""`rage`: sends the requests, judges the answers, and collects what was wrong by kind."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import grpc

from . import grpc_shots, rest_shots
from .connection import Connections
from .judge import Fault, judge_grpc, judge_rest
from .shots import GrpcShot, RestShot, Shot

_SERVICE = "inference.GRPCInferenceService"
_HOPS = "infergraph.Hops"
_CALLERS = 24
"""Requests at the same time."""
_GRPC_SHARE = 0.4
SLOW_SECONDS = 1.0
_LOST_SECONDS = 30.0
"""After so long a request is given up, and counts as one that was never answered."""
_SHOWN_BYTES = 300
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # Channels of equal options would share one connection.
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass
class Finding:
    """Something wrong, as often as it was seen, with the shortest request that showed it.

    Attributes:
        fault: What is wrong, and of the request that is shown what the server said.
        kind: The kind of request.
        count: How often.
        index: Of the request that is shown.
        shown: That request, as Python writes bytes.
        size: Its bytes.
    """

    fault: Fault
    kind: str
    count: int = 0
    index: int = -1
    shown: str = ""
    size: int = 0


@dataclass
class Outcome:
    """What the storm saw.

    Attributes:
        sent: How many requests by kind.
        answered: How many by status or code.
        findings: By fault and kind.
        slow: How many took longer than `SLOW_SECONDS`.
        slowest: Seconds, kind and index of the slowest.
        seconds: How long it took.
    """

    sent: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)
    slow: int = 0
    slowest: tuple[float, str, int] = (0.0, "", -1)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Requests per second."""
        return sum(self.sent.values()) / self.seconds

    def found(self, fault: Fault, index: int, shot: Shot) -> None:
        """Notes something wrong; of its kind the shortest request is kept."""
        kind = kind_of(shot)
        finding = self.findings.setdefault((fault.what, kind), Finding(fault, kind))
        finding.count += 1
        size = len(shot.data) if isinstance(shot, RestShot) else sum(map(len, shot.messages))
        if finding.index < 0 or size < finding.size:
            finding.index, finding.size = index, size
            finding.fault, finding.shown = fault, _shown(shot)

    def took(self, seconds: float, index: int, shot: Shot) -> None:
        """Notes how long an answer took."""
        self.slow += seconds > SLOW_SECONDS
        if seconds > self.slowest[0]:
            self.slowest = (seconds, kind_of(shot), index)


def kind_of(shot: Shot) -> str:
    return f"{'REST' if isinstance(shot, RestShot) else 'gRPC'} {shot.kind}"


def shot_of(seed: int, index: int) -> Shot:
    """The request of that index: the same for ever."""
    rng = random.Random(f"{seed}:{index}")
    if rng.random() < _GRPC_SHARE:
        return grpc_shots.make(rng, index)
    return rest_shots.make(rng, index)


async def rage(
    http_port: int,
    grpc_port: int,
    seed: int,
    indices: Iterator[int],
    alive: Callable[[], bool],
    progress: Callable[[int], None] = lambda done: None,
) -> Outcome:
    """Sends the requests of these indices, many at a time.

    Args:
        http_port, grpc_port: The server's.
        seed: With an index, it makes a request.
        indices: Which requests.
        alive: Whether the server's process is there; once it is not, nothing more is sent.
        progress: Told after each request how many are done.
    """
    outcome = Outcome()
    began = time.perf_counter()

    async def caller(rest: Connections, calls: _Calls) -> None:
        for index in indices:
            if not alive():
                return
            shot = shot_of(seed, index)
            outcome.sent[kind_of(shot)] += 1
            sent = time.perf_counter()
            sending = (
                _send_rest(rest, shot, outcome)
                if isinstance(shot, RestShot)
                else _send_grpc(calls, shot, outcome)
            )
            try:
                fault = await asyncio.wait_for(sending, _LOST_SECONDS)
            except asyncio.TimeoutError:
                fault = Fault(f"no answer within {_LOST_SECONDS:g} s")
            except OSError as error:
                fault = Fault("no connection", f"{type(error).__name__}: {error}")
            if fault is not None:
                outcome.found(fault, index, shot)
            outcome.took(time.perf_counter() - sent, index, shot)
            progress(sum(outcome.sent.values()))

    async with AsyncExitStack() as stack:
        callers = []
        for _ in range(_CALLERS):
            rest, calls = Connections(http_port), _Calls(grpc_port)
            stack.callback(rest.close)
            stack.push_async_callback(calls.close)
            callers.append(caller(rest, calls))
        await asyncio.gather(*callers)
    outcome.seconds = time.perf_counter() - began
    return outcome


class _Calls:
    """Calls of any method with messages as bytes, over one connection."""

    def __init__(self, port: int) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS)
        self._made: dict[str, object] = {}

    def __call__(self, shot: GrpcShot) -> object:
        method = shot.method
        if method not in self._made:
            make = self._channel.stream_stream if shot.streams else self._channel.unary_unary
            self._made[method] = make(f"/{_HOPS if shot.is_kept else _SERVICE}/{method}")
        return self._made[method]

    async def close(self) -> None:
        await self._channel.close()


async def _send_rest(rest: Connections, shot: RestShot, outcome: Outcome) -> Fault | None:
    reply = await rest.send(shot)
    if reply is None:
        outcome.answered["left"] += 1
        return None
    outcome.answered[str(reply.status or "ended")] += 1
    return judge_rest(shot, reply)


async def _send_grpc(calls: _Calls, shot: GrpcShot, outcome: Outcome) -> Fault | None:
    answers: list[bytes] = []
    made: object = calls(shot)
    options = {"metadata": shot.metadata, "timeout": shot.timeout}
    call = (
        made(iter(shot.messages), **options)  # type: ignore[operator]
        if shot.streams
        else made(shot.messages[0], **options)  # type: ignore[operator]
    )
    try:
        if shot.leaves == "at once":
            await asyncio.sleep(0)
            call.cancel()
        if shot.streams:
            async for answer in call:
                answers.append(answer)
                if shot.leaves == "after one":
                    call.cancel()
        else:
            answers.append(await call)
    except grpc.aio.AioRpcError:
        pass
    except asyncio.CancelledError:
        # Of the call, which was given up here; otherwise of this task.
        if not shot.leaves:
            raise
    code, details = await call.code(), await call.details()
    outcome.answered[code.name] += 1
    return judge_grpc(shot, code, details or "", answers)


def _shown(shot: Shot) -> str:
    if isinstance(shot, RestShot):
        return _cut(shot.data)
    messages = ", ".join(map(_cut, shot.messages))
    metadata = f" {shot.metadata!r}"[:_SHOWN_BYTES] if shot.metadata else ""
    return f"{shot.method}({messages}){metadata}"


def _cut(data: bytes) -> str:
    if len(data) <= _SHOWN_BYTES:
        return repr(data)
    return f"{data[:_SHOWN_BYTES]!r}... ({len(data)} bytes)"
