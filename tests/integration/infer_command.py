"""The command `infergraph-infer`, run as a user would."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .server import REPOSITORY, command

SECONDS = 120.0


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


def infer(*given: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> Done:
    """Runs the command to its end, with these variables on top of this process's own."""
    done = subprocess.run(
        arguments(*given),
        cwd=REPOSITORY,
        input=stdin,
        capture_output=True,
        env={**os.environ, **(environment or {})},
        timeout=SECONDS,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def start(*given: str) -> subprocess.Popen[bytes]:
    """Starts the command, and leaves it running."""
    return subprocess.Popen(
        arguments(*given), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
