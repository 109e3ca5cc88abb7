"""Measures every form of one content against one stage."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...transports.endpoint import Endpoint
from ..corpus.check import difference
from ..errors import LoadError
from ..v2.payload import Answer, Payload
from .contents import Content
from .cpu import CpuClock
from .encodings import Encoding
from .relay import Relay
from .rows import Cell, Row
from .session import Refused, Session
from .stages import Stage
from .wires import Codec, Protocol, Wire

_COUNTED = 3
"""Requests whose bytes are counted; the median leaves out gRPC's pings."""
_TOLERANCE = 1e-3
"""Of a stage's answers; an echo's must be exact."""


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        seconds: For each form without a relay, from which CPU times come.
        rounds: In so many parts, all forms in turn, so that a drift of the machine hits all alike.
        requests: For each form and bandwidth, at most.
        longest: Seconds; a request that would take longer is computed, not sent, and the requests
            of one form and bandwidth end after so long.
        timeout: Seconds to wait for any answer.
    """

    seconds: float = 0.5
    rounds: int = 5
    requests: int = 5
    longest: float = 2.0
    timeout: float = 60.0


@dataclass(frozen=True)
class Bench:
    """Where and how forms are measured.

    Attributes:
        endpoints: The server's, by protocol.
        wires: Of these protocols.
        encodings: In order.
        bandwidths: Bits per second of the links.
        round_trip: What the links add to an exchange, in seconds.
        gzip_level: Over REST.
        clock: The server's CPU, if anything says it.
        effort: How much is measured.
    """

    endpoints: Mapping[Protocol, Endpoint]
    wires: Sequence[Wire]
    encodings: Sequence[Encoding]
    bandwidths: Sequence[float]
    round_trip: float = 0.0
    gzip_level: int = 6
    clock: CpuClock | None = None
    effort: Effort = field(default_factory=Effort)


@dataclass
class _Form:
    """A form that the stage accepts, and what its rounds took."""

    encoding: Encoding
    wire: Wire
    row: Row
    asked: int = 0
    wall: list[float] = field(default_factory=list)
    encode: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)

    @property
    def per_round(self) -> list[float]:
        server = self.server or [0.0] * len(self.client)
        parts = zip(self.encode, self.client, server, strict=True)
        return [sum(part) for part in parts]


async def measure(
    bench: Bench, stage: Stage, content: Content, progress: Callable[[str], None]
) -> list[Row]:
    """A row for each form; those that the stage refuses have a `problem`.

    Raises:
        LoadError: the server is lost, or its CPU time can no longer be read.
    """
    about = f"{stage.model}, {content.kind} {content.label}"
    try:
        rows, forms = await _look(bench, stage, content, progress, about)
        for turn in range(bench.effort.rounds):
            for form in forms:
                progress(f"{about}: round {turn + 1} of {bench.effort.rounds}, {form.row.name}")
                await _round(bench, stage, content, form)
        for form in forms:
            form.row = _with_cpu(form)
        for bits_per_second in bench.bandwidths:
            for form in forms:
                progress(f"{about}: {bits_per_second / 1e6:g} Mbit/s, {form.row.name}")
                cell = await _cell(bench, stage, content, form, bits_per_second)
                form.row = replace(form.row, cells=(*form.row.cells, cell))
    except Refused as error:
        raise LoadError(f"{about}: {error}") from None
    measured = {form.row.name: form.row for form in forms}
    return [measured.get(row.name, row) for row in rows]


async def _look(
    bench: Bench,
    stage: Stage,
    content: Content,
    progress: Callable[[str], None],
    about: str,
) -> tuple[list[Row], list[_Form]]:
    """Counts bytes and checks answers; says which forms the stage accepts."""
    rows: list[Row] = []
    forms: list[_Form] = []
    answers: list[tuple[Payload, Answer]] = []
    for encoding in bench.encodings:
        for wire in bench.wires:
            if encoding.kind != content.kind or not wire.takes(encoding):
                continue
            row = Row(
                stage.model, stage.echoes, content.kind, content.label, encoding.name, wire.name
            )
            if stage.input_of(encoding) is None:
                problem = f"the model has no input of {encoding.datatype} for {encoding.role}"
                rows.append(replace(row, problem=problem))
                continue
            progress(f"{about}: first requests, {row.name}")
            payload = stage.payload(encoding, content)
            try:
                answer, up, down = await _count(bench, stage, wire, payload)
            except Refused as error:
                rows.append(replace(row, problem=str(error)))
                continue
            row = replace(row, answer="same", up_bytes=up, down_bytes=down)
            rows.append(row)
            forms.append(_Form(encoding, wire, row))
            answers.append((payload, answer))
    for form, how in zip(forms, _differences(stage, forms, answers), strict=True):
        form.row = replace(form.row, answer=how or "same")
    return rows, forms


def _differences(
    stage: Stage, forms: Sequence[_Form], answers: Sequence[tuple[Payload, Answer]]
) -> list[str | None]:
    """How each answer differs: an echo's from what was sent, a model's from that to a file."""
    if stage.echoes:
        return [
            difference({each.name: each for each in payload.tensors}, answer.tensors, 0.0)
            for payload, answer in answers
        ]
    places = sorted(
        range(len(forms)),
        key=lambda place: (forms[place].encoding.lossy, forms[place].encoding.role == "numbers"),
    )
    reference = answers[places[0]][1].tensors if places else {}
    return [difference(reference, answer.tensors, _TOLERANCE) for _, answer in answers]


async def _count(
    bench: Bench, stage: Stage, wire: Wire, payload: Payload
) -> tuple[Answer, int, int]:
    """An answer, and the bytes of a request and of its answer on a warm connection."""
    ups, downs = [], []
    async with (
        Relay(bench.endpoints[wire.protocol]) as relay,
        _session(bench, stage, wire, relay.endpoint) as session,
    ):
        for _ in range(1 + _COUNTED):
            up, down = relay.up.bytes, relay.down.bytes
            answer = await session.ask(payload)
            ups.append(relay.up.bytes - up)
            downs.append(relay.down.bytes - down)
    return answer, round(statistics.median(ups[1:])), round(statistics.median(downs[1:]))


async def _round(bench: Bench, stage: Stage, content: Content, form: _Form) -> None:
    seconds = bench.effort.seconds / bench.effort.rounds
    async with _session(bench, stage, form.wire, bench.endpoints[form.wire.protocol]) as session:
        await session.ask(stage.payload(form.encoding, content))
        server = bench.clock.seconds() if bench.clock is not None else 0.0
        encode_ns, asked = 0, 0
        began, cpu = time.perf_counter(), time.process_time_ns()
        while not asked or time.perf_counter() - began < seconds:
            start, thread = time.perf_counter(), time.thread_time_ns()
            payload = stage.payload(form.encoding, content)
            encode_ns += time.thread_time_ns() - thread
            await session.ask(payload)
            form.wall.append(time.perf_counter() - start)
            asked += 1
        cpu = time.process_time_ns() - cpu
        if bench.clock is not None:
            used = bench.clock.seconds() - server - bench.clock.cost
            form.server.append(max(used, 0.0) / asked)
    form.asked += asked
    form.encode.append(encode_ns / 1e9 / asked)
    form.client.append(max(cpu - encode_ns, 0) / 1e9 / asked)


def _with_cpu(form: _Form) -> Row:
    costs = form.per_round
    error = statistics.stdev(costs) / math.sqrt(len(costs)) if len(costs) > 1 else 0.0
    return replace(
        form.row,
        encode_ms=statistics.mean(form.encode) * 1e3,
        client_ms=statistics.mean(form.client) * 1e3,
        server_ms=statistics.mean(form.server) * 1e3 if form.server else None,
        error_ms=error * 1e3,
        cells=(Cell(None, statistics.median(form.wall) * 1e3, form.asked),),
    )


async def _cell(
    bench: Bench, stage: Stage, content: Content, form: _Form, bits_per_second: float
) -> Cell:
    row = form.row
    computed = row.cells[0].p50_ms + bench.round_trip * 1e3 + 8e3 * row.bytes / bits_per_second
    if computed > bench.effort.longest * 1e3:
        return Cell(bits_per_second, computed, 0)
    endpoint = bench.endpoints[form.wire.protocol]
    took: list[float] = []
    async with (
        Relay(endpoint, bits_per_second, bench.round_trip) as relay,
        _session(bench, stage, form.wire, relay.endpoint) as session,
    ):
        began = time.perf_counter()
        while len(took) < bench.effort.requests:
            start = time.perf_counter()
            await session.ask(stage.payload(form.encoding, content))
            end = time.perf_counter()
            took.append(end - start)
            if end - began > bench.effort.longest:
                break
    return Cell(bits_per_second, statistics.median(took) * 1e3, len(took))


def _session(bench: Bench, stage: Stage, wire: Wire, endpoint: Endpoint) -> Session:
    codec = Codec(wire, endpoint, stage.model, stage.headers, bench.gzip_level)
    return Session(codec, bench.effort.timeout)
