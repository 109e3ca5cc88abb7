"""The command `infergraph-infer`, run as a user would or, which is cheaper, in this process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

from infergraph_clients.infer.cli import main

from .server import COMMAND_SECONDS, REPOSITORY, command


@dataclass(frozen=True)
class Done:
    """How the command ended."""

    status: int
    output: str
    errors: str

    @property
    def lines(self) -> list[str]:
        """What it says below the line of the time that it took."""
        assert (self.status, self.errors) == (0, "")
        return self.output.splitlines()[1:]

    @property
    def content(self) -> dict[str, Any]:
        """What it says with --json."""
        (line,) = self.output.splitlines()
        content: dict[str, Any] = json.loads(line)
        return content

    @property
    def outputs(self) -> dict[str, list[Any]]:
        """With --json, the flat data of each output."""
        assert (self.status, self.errors) == (0, "")
        return {each["name"]: each["data"] for each in self.content["outputs"]}

    @property
    def error(self) -> str:
        """The one line that it ends with, without the names of the command and the model."""
        (line,) = self.errors.splitlines()
        name, _, text = line.split(": ", 2)
        assert name == "infergraph-infer"
        return text


def arguments(*given: str) -> list[str]:
    """The command line."""
    return [command("infergraph-infer"), *given]


def infer(*given: str, stdin: bytes = b"") -> Done:
    """Runs the command's function in this process, which has imported what it needs already."""
    output, errors = _text(b""), _text(b"")
    with (
        redirect_stdout(output),
        redirect_stderr(errors),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "stdin", _text(stdin))
        patch.chdir(REPOSITORY)
        try:
            status = main(given)
        except SystemExit as end:
            status = int(end.code or 0)
    return Done(status, _written(output), _written(errors))


def _text(content: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(content), "utf-8")


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


def infer_program(*given: str, environment: Mapping[str, str] | None = None) -> Done:
    """Runs the command itself to its end, with variables on top of this process's own."""
    done = subprocess.run(
        arguments(*given),
        cwd=REPOSITORY,
        capture_output=True,
        env={**os.environ, **(environment or {})},
        timeout=COMMAND_SECONDS,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def start(*given: str) -> subprocess.Popen[bytes]:
    """Starts the command, and leaves it running."""
    return subprocess.Popen(
        arguments(*given), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
