"""The commands of zoo/ that pages and cards show take the arguments that they are given there."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]
PAGES = [
    REPOSITORY / "zoo" / "README.md",
    *REPOSITORY.glob("docs/*.md"),
    *REPOSITORY.glob("model-settings/*/README.md"),
]
COMMANDS = sorted(
    {
        command.strip()
        for page in PAGES
        for command in re.findall(
            r"python -m (zoo\.\w+[^\n`]*)", page.read_text().replace("\\\n", "")
        )
    }
)


class _Parsed(Exception):
    """A command has taken its arguments, and is to do nothing."""


def test_there_are_commands() -> None:
    assert {command.split("_")[0] for command in COMMANDS} >= {"zoo.train", "zoo.evaluate"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_takes_its_arguments(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, *arguments = shlex.split(command, comments=True)
    parse = ArgumentParser.parse_args

    def only_parse(self: ArgumentParser, args: Any = None, namespace: Any = None) -> Namespace:
        parse(self, args, namespace)
        raise _Parsed

    monkeypatch.setattr(sys, "argv", [module, *arguments])
    monkeypatch.setattr(ArgumentParser, "parse_args", only_parse)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(_Parsed):
        runpy.run_module(module, run_name="__main__")
