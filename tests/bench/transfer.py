"""In which form audio, images and texts should travel: bytes, CPU, and when a change of form pays.

Each content is sent to the model `echo` in each encoding and wire format, all forms in turn. Bytes
are those of the bodies, both ways. CPU is of this process (the encoding among it) and of
the server's. A form of fewer bytes and more CPU pays below `8 * bytes saved / CPU added`; CPU times
that differ by less than two standard errors are bounds ("at least").
"""

from __future__ import annotations

import gzip
import io
import math
import os
import statistics
import time
import wave
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import numpy.typing as npt

from infergraph.v2 import grpc as v2_grpc
from infergraph.v2 import rest as v2_rest
from infergraph.v2.base64_bytes import encode as base64_of
from infergraph.v2.tensor import Message, Tensor

from ..integration.server import REPOSITORY, ServerProcess
from .bare_grpc import UNLIMITED
from .http_connections import HttpConnections, post
from .rounds import table

_SECONDS = 0.4
"""Of each form, over all rounds."""
_ERRORS = 2.0
_SAME_BYTES = 0.01
"""A smaller difference of bytes is that of the heads."""
_COMPARED = (
    ("rest-binary", "rest-json"),
    ("rest-gzip", "rest-json"),
    ("grpc-raw", "rest-binary"),
    ("grpc-gzip", "grpc-raw"),
)
_INSTEAD_OF = {"wav": "fp32", "fp16": "fp32", "flac": "wav", "png": "uint8", "jpeg": "png"}
WIRES = ("rest-json", "rest-binary", "rest-gzip", "grpc-raw", "grpc-gzip")


async def run(folder: Path, rounds: int) -> None:
    """Prints a table, and what pays when, for each kind of content."""
    del folder
    with ServerProcess(REPOSITORY / "model-settings/echo") as server:
        for kind, encodings in contents().items():
            forms = [Form(name, make, wire) for name, make in encodings.items() for wire in WIRES]
            await _measure(server, forms, rounds)
            _print(kind, forms)


@dataclass
class Form:
    """An encoding over a wire format, and what each round cost.

    Attributes:
        encoding, wire: Its names.
        make: The content as a tensor.
        bytes: Of a request's and an answer's bodies.
        cpu: Seconds of both sides for a request, by round.
        wall: Seconds of a request, by round.
    """

    encoding: str
    make: Callable[[], Tensor]
    wire: str
    bytes: int = 0
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.encoding} {self.wire}"


def pays(form: Form, plain: Form) -> str:
    """When `form` is faster than `plain`, as a text."""
    saved = 8.0 * (plain.bytes - form.bytes)
    if abs(saved) < _SAME_BYTES * 8 * plain.bytes:
        saved = 0.0
    added = statistics.mean(form.cpu) - statistics.mean(plain.cpu)
    noise = _ERRORS * math.hypot(_standard_error(form.cpu), _standard_error(plain.cpu))
    if added < -noise:
        return "always pays" if saved >= 0 else f"pays above {_mbits(saved / added)}"
    if saved <= 0:
        return "makes no difference" if saved == 0 and added <= noise else "never pays"
    if added <= noise:
        return f"pays below {_mbits(saved / (added + noise))} at least"
    return f"pays below {_mbits(saved / added)}"


def _standard_error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def _mbits(bits_per_second: float) -> str:
    return f"{float(f'{bits_per_second / 1e6:.2g}'):g} Mbit/s"


def contents() -> dict[str, dict[str, Callable[[], Tensor]]]:
    """Kind -> encoding -> what makes its tensor: a recording, a made picture and a text."""
    import soundfile
    from PIL import Image

    samples, rate = soundfile.read(REPOSITORY / "tests/samples/long.flac", dtype="int16")
    samples = samples[: 5 * rate]
    y, x = np.mgrid[0:224, 0:224] / 224
    noise = np.random.default_rng(0).normal(0, 2, (224, 224, 3))
    shapes = np.stack([90 + 60 * x, 90 + 60 * y, 120 + 60 * (np.hypot(x - 0.5, y - 0.5) < 0.3)], -1)
    picture = np.clip(shapes + noise, 0, 255).astype(np.uint8)
    text = (REPOSITORY / "tests/samples/long.txt").read_bytes()

    def media(save: Callable[[io.BytesIO], Any]) -> Callable[[], Tensor]:
        def make() -> Tensor:
            file = io.BytesIO()
            save(file)
            return Tensor.of_bytes("x", [file.getvalue()])

        return make

    def flac(file: io.BytesIO) -> None:
        soundfile.write(file, samples, rate, format="FLAC", subtype="PCM_16")

    floats = samples.astype(np.float32) / 32768
    return {
        "audio, 5 s": {
            "fp32": lambda: Tensor.of("x", floats[None]),
            "fp16": lambda: Tensor.of("x", floats.astype(np.float16)[None]),
            "wav": media(lambda file: _write_wav(file, samples, rate)),
            "flac": media(flac),
        },
        "image, 224 x 224": {
            "uint8": lambda: Tensor.of("x", picture[None]),
            "png": media(lambda file: Image.fromarray(picture).save(file, "PNG")),
            "jpeg": media(lambda file: Image.fromarray(picture).save(file, "JPEG", quality=90)),
        },
        f"text, {len(text)} bytes": {"text": lambda: Tensor.of_bytes("x", [text])},
    }


def _write_wav(file: io.BytesIO, samples: npt.NDArray[np.int16], rate: int) -> None:
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(samples.tobytes())


async def _measure(server: ServerProcess, forms: Sequence[Form], rounds: int) -> None:
    connections = HttpConnections(server.http_port)
    address = f"127.0.0.1:{server.grpc_port}"
    async with grpc.aio.insecure_channel(address, options=UNLIMITED) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        askers: dict[str, Callable[[Form], Awaitable[int]]] = {
            "rest": lambda form: _ask_rest(connections, form),
            "grpc": lambda form: _ask_grpc(call, form),
        }
        for number in range(-1, rounds):
            for form in forms:
                ask = askers[form.wire[:4]]
                form.bytes = await ask(form)
                if number < 0:
                    continue
                server_before, before = _cpu_of(server.process.pid), time.process_time()
                began, asked = time.perf_counter(), 0
                while not asked or time.perf_counter() - began < _SECONDS / rounds:
                    await ask(form)
                    asked += 1
                used = _cpu_of(server.process.pid) - server_before
                form.wall.append((time.perf_counter() - began) / asked)
                form.cpu.append((time.process_time() - before + used) / asked)
    connections.close()


async def _ask_rest(connections: HttpConnections, form: Form) -> int:
    tensor, headers = form.make(), {"content-type": "application/json"}
    if form.wire != "rest-binary" and tensor.datatype == "BYTES":
        tensor = Tensor.of_bytes("x", [each.encode() for each in base64_of([tensor.data[0, 0]])])
    parts, size = v2_rest.encode_request(Message([tensor], "1"), {}, form.wire == "rest-binary")
    body = b"".join(parts)
    if size is not None:
        headers = {
            "content-type": "application/octet-stream",
            "inference-header-content-length": str(size),
        }
    if form.wire == "rest-gzip":
        body = gzip.compress(body, 6)
        headers |= {"content-encoding": "gzip", "accept-encoding": "gzip"}
    status, answer = await connections.send(post("/v2/models/echo/infer", headers, body))
    if status != 200:
        raise RuntimeError(f"{form.name}: status {status}: {b''.join(answer)[:200]!r}")
    return len(body) + sum(map(len, answer))


async def _ask_grpc(call: Any, form: Form) -> int:
    body = v2_grpc.encode_request("echo", "", Message([form.make()], "1"), {})
    packed = form.wire == "grpc-gzip"
    compression = grpc.Compression.Gzip if packed else grpc.Compression.NoCompression
    answer = await call(body, compression=compression)
    # gRPC does not say how small it made them; its gzip is zlib's, of level 6.
    return sum(len(gzip.compress(each, 6) if packed else each) for each in (body, answer))


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _print(kind: str, forms: Sequence[Form]) -> None:
    rows = []
    for form in forms:
        cpu, wall = statistics.median(form.cpu), statistics.median(form.wall)
        links = [f"{(wall + 8 * form.bytes / rate) * 1e3:.1f}" for rate in (1e9, 1e8, 1e7)]
        rows.append([form.name, f"{form.bytes / 1e3:.0f}", f"{cpu * 1e3:.2f}", *links])
    print(table(kind, ["", "kB", "CPU ms", "ms at 1 Gbit/s", "100 Mbit/s", "10 Mbit/s"], rows))
    found = {(form.encoding, form.wire): form for form in forms}
    for (encoding, wire), form in found.items():
        for new, old in _COMPARED:
            if new == wire:
                print(f"{new} instead of {old}, {encoding}: {pays(form, found[encoding, old])}")
        if wire == "grpc-raw" and encoding in _INSTEAD_OF:
            other = _INSTEAD_OF[encoding]
            print(f"{encoding} instead of {other}, {wire}: {pays(form, found[other, wire])}")
