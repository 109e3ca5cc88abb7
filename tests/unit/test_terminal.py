from __future__ import annotations

import io
import json
import sys

import pytest

from infergraph_clients.terminal import escape_what_cannot_be_encoded
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
