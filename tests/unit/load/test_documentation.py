"""docs/load-testing.md says what the code says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import get_args

import pytest
import yaml

from infergraph_clients.load.arrivals import Arrivals
from infergraph_clients.load.cli.main import build_parser
from infergraph_clients.load.configuration import RunConfiguration
from infergraph_clients.load.outcome import Outcome

TEXT = (Path(__file__).parents[3] / "docs" / "load-testing.md").read_text()


def test_the_table_of_arrivals() -> None:
    section = TEXT.split("\n## Arrivals\n")[1].split("\n## ")[0]
    documented = {
        kind: re.findall(r"`(\w+)`", settings)
        for kind, settings in re.findall(r"^\| `([\w-]+)` \| (.*?) \|", section, re.M)
    }
    (union, _) = get_args(Arrivals)
    accepted = {
        model.model_fields["kind"].default: [
            name for name in model.model_fields if name not in ("kind", "cv")
        ]
        + (["cv"] if "cv" in model.model_fields else [])
        for model in get_args(union)
    }
    assert documented == accepted


def test_the_file() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.S)
    RunConfiguration.model_validate(yaml.safe_load(text)).checked()


def test_the_outcomes() -> None:
    assert all(f"`{outcome.label}`" in TEXT for outcome in Outcome)


COMMANDS = [
    command.replace("\\\n", " ")
    for block in re.findall(r"```\n(.*?)```", TEXT, re.S)
    for command in re.findall(r"^infergraph-load (?:.*\\\n)*.*$", block, re.M)
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[:40])
def test_the_commands(command: str) -> None:
    build_parser().parse_args(shlex.split(command)[1:])


def test_there_are_commands() -> None:
    assert {command.split()[1] for command in COMMANDS} == {"run", "search", "compare", "transfer"}
