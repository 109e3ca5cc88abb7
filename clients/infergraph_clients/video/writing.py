"""Writes what came of each frame: pictures and lines."""

from __future__ import annotations

import contextlib
import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import IO

from ..annotation import Findings, annotate
from .engine import Result
from .errors import OutputError
from .records import record
from .sinks import Sink, open_sink

STDOUT = Path("-")


class Writer:
    """A context manager. Makes its files when the first result comes, and none before.

    Args:
        output: A video or a folder; None for no pictures.
        lines: A JSON Lines file, `-` for stdout; None for none.
        rate: Frames per second of the video.

    Attributes:
        objects: How many objects the answers have told of.
    """

    def __init__(self, output: Path | None, lines: Path | None, rate: Fraction) -> None:
        self._output, self._lines, self._rate = output, lines, rate
        self._sink: Sink | None = None
        self._file: IO[str] | None = None
        self._opened = False
        self.objects = 0

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.ExitStack() as stack:
            if self._file is not None and self._file is not sys.stdout:
                stack.callback(self._file.close)
            if self._sink is not None:
                stack.callback(self._sink.close)

    def write(self, result: Result) -> None:
        """Writes one result, in the order of the frames.

        Raises:
            OutputError: a file cannot be made or written.
        """
        if not self._opened:
            self._open()
        if result.findings is not None:
            self.objects += result.findings.count or 0
        self._draw(result)
        if self._file is not None:
            content = record(result)
            try:
                print(
                    json.dumps(content, ensure_ascii=False, allow_nan=False),
                    file=self._file,
                    flush=True,
                )
            except BrokenPipeError:
                raise
            except OSError as problem:
                raise OutputError(f"{self._lines}: {problem.strerror}") from None

    def _open(self) -> None:
        self._opened = True
        if self._lines == STDOUT:
            self._file = sys.stdout
        elif self._lines is not None:
            try:
                self._file = self._lines.open("w", encoding="utf-8")
            except OSError as error:
                raise OutputError(f"{self._lines}: {error.strerror}") from None
        if self._output is not None:
            self._sink = open_sink(self._output, self._rate)

    def _draw(self, result: Result) -> None:
        picture, error = result.frame.picture, result.error
        if self._sink is None or picture is None:
            return
        problem = None if error is None else f"{type(error).__name__}: {error}"
        drawn = annotate(picture, result.findings or Findings(), caption="inside", problem=problem)
        self._sink.add(result.frame.name, drawn)
