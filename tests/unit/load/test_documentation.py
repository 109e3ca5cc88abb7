"""docs/load-testing.md says what the code says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import get_args

import pytest
import yaml

from infergraph_clients.load.arrivals import Arrivals
from infergraph_clients.load.cli.main import parse_arguments
from infergraph_clients.load.configuration import RunConfiguration
from infergraph_clients.load.configuration_file import read_loads
from infergraph_clients.load.profile.report import COLUMNS
from infergraph_clients.transports.outcome import Outcome

TEXT = (Path(__file__).parents[3] / "docs" / "load-testing.md").read_text()


def test_the_table_of_arrivals() -> None:
    section = TEXT.split("\n## Arrivals\n")[1].split("\n## ")[0].split("| format |")[0]
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


def test_the_files(tmp_path: Path) -> None:
    several, one = re.findall(r"```yaml\n(.*?)```", TEXT, re.S)
    RunConfiguration.model_validate(yaml.safe_load(one)).checked()
    file = tmp_path / "loads.yaml"
    file.write_text(several)
    found = read_loads(file, {})
    assert {name: each.arrivals.kind for name, each in found.items()} == {
        "sentiment": "poisson",
        "batch-jobs": "closed",
    }


def test_the_outcomes() -> None:
    assert all(f"`{outcome.label}`" in TEXT for outcome in Outcome)


def _commands(text: str) -> list[str]:
    return [
        command.replace("\\\n", " ")
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.S | re.M)
        for command in re.findall(r"^infergraph-load (?:.*\\\n)*.*$", block, re.M)
    ]


COMMANDS = _commands(TEXT)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[:40])
def test_the_commands(command: str) -> None:
    parse_arguments(shlex.split(command, comments=True)[1:])


def test_there_are_commands() -> None:
    assert {command.split()[1] for command in COMMANDS} == {"run", "search", "compare", "worker"}


EVALUATION = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()


def test_the_columns_of_a_profile() -> None:
    section = EVALUATION.split("| column | is |\n")[1].split("\n\n")[0]
    names = [row.split("|")[1] for row in section.splitlines()[1:]]
    assert tuple(re.findall(r"`(\w+)`", " ".join(names))) == COLUMNS


def test_the_commands_of_an_evaluation() -> None:
    found = _commands(EVALUATION)
    assert {command.split()[1] for command in found} == {"evaluate", "profile", "compare"}
    for command in found:
        parse_arguments(shlex.split(command)[1:])
