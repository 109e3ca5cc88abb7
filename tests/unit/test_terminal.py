from __future__ import annotations

import errno
import io
import json
import sys

import pytest

from infergraph_clients.terminal import escape_what_cannot_be_encoded, run_command
from tests.terminals import use_stdout


@pytest.mark.parametrize(
    ("encoding", "text", "shown"),
    [
        ("ascii", "Größe", "Gr\\u00f6\\u00dfe"),
        ("ascii", "plain \\ text", "plain \\ text"),
        ("latin-1", "Größe → 2", "Größe \\u2192 2"),
        ("ascii", "\N{GRINNING FACE}", "\\ud83d\\ude00"),
        ("utf-8", "Größe \N{GRINNING FACE}", "Größe \N{GRINNING FACE}"),
        # The byte 0xFF of a file's name.
        ("utf-8", "a\udcff.wav", "a\\udcff.wav"),
    ],
)
def test_letters_that_the_encoding_lacks_are_escaped(
    monkeypatch: pytest.MonkeyPatch, encoding: str, text: str, shown: str
) -> None:
    printed = use_stdout(monkeypatch, encoding)
    escape_what_cannot_be_encoded()
    print(text)
    assert printed() == f"{shown}\n"


def test_json_stays_json(monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"straße": ["→\t\N{GRINNING FACE}\udcff"]}
    printed = use_stdout(monkeypatch, "ascii")
    escape_what_cannot_be_encoded()
    print(json.dumps(content, ensure_ascii=False))
    assert json.loads(printed()) == content


def test_what_is_no_text_stream_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", None)
    escape_what_cannot_be_encoded()
    print("Größe")
    assert stream.getvalue() == "Größe\n"


@pytest.mark.parametrize(
    ("problem", "status", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 2, "load: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "a.json"), 2, "load: a.json: Permissi"),
        (RuntimeError("seven"), 70, "load: this is a fault of the command; please report it"),
    ],
)
def test_what_nobody_expects_is_neither_success_nor_a_verdict(
    problem: Exception,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run() -> int:
        raise problem

    # So that what it is set to is undone.
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    assert run_command("load", run) == status
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith(said)
    assert (len(lines) == 1) is (status == 2)
    assert ("RuntimeError: seven" in lines) is (status == 70)


def test_a_command_may_have_no_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert run_command("load", lambda: 3) == 3
