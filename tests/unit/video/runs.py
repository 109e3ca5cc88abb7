"""Runs of an engine whose answers come when a test says so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import numpy as np
from PIL import Image

from infergraph_clients.annotation import Findings, read_findings
from infergraph_clients.errors import ClientError
from infergraph_clients.video.engine import Engine
from infergraph_clients.video.frames import Frame, Result
from infergraph_clients.video.tally import Tally


def frame(index: int) -> Frame:
    return Frame(index, index / 10, f"frame-{index:06}", b"x", Image.new("RGB", (8, 6)))


def findings(index: int) -> Findings:
    """Says the frame's index as its number of objects."""
    return read_findings({"num_detections": np.array([[index]])})


class Frames:
    """Frames without end, or so many.

    Attributes:
        read: How many were read.
    """

    def __init__(self, count: int | None = None) -> None:
        self._count = count
        self.read = 0

    def __iter__(self) -> Iterator[Frame]:
        while self.read != self._count:
            self.read += 1
            yield frame(self.read - 1)


class Server:
    """Answers each frame when it is told to.

    Attributes:
        waiting: By index, the frames that are in flight.
        most: The most that were at a time.
        cancelled: Frames that were taken back.
    """

    def __init__(self) -> None:
        self.waiting: dict[int, asyncio.Future[Findings]] = {}
        self.most = 0
        self.cancelled: list[int] = []
        self._changed = asyncio.Event()

    async def ask(self, sent: Frame) -> Findings:
        self.waiting[sent.index] = asyncio.get_running_loop().create_future()
        self.most = max(self.most, len(self.waiting))
        self._changed.set()
        try:
            return await self.waiting[sent.index]
        except asyncio.CancelledError:
            self.cancelled.append(sent.index)
            raise
        finally:
            del self.waiting[sent.index]
            self._changed.set()

    async def in_flight(self, *indices: int) -> None:
        """Waits until these frames are in flight, and no others."""
        while set(self.waiting) != set(indices):
            self._changed.clear()
            await self._changed.wait()

    def answer(self, index: int, error: ClientError | None = None) -> None:
        if error is None:
            self.waiting[index].set_result(findings(index))
        else:
            self.waiting[index].set_exception(error)


class Pages:
    """Takes results, one at a time while the gate is open."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()

    @property
    def indices(self) -> list[int]:
        return [result.frame.index for result in self.results]

    def write(self, result: Result) -> None:
        self.began.set()
        self.gate.wait()
        self.results.append(result)


class Run:
    """An engine at work."""

    def __init__(self, server: Server, frames: Frames, in_flight: int) -> None:
        self.pages, self.tally, self.stop = Pages(), Tally(), asyncio.Event()
        engine = Engine(server.ask, self.pages.write, in_flight, self.tally)
        self.task = asyncio.ensure_future(engine.run(iter(frames), self.stop))
