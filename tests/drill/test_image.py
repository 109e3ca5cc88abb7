"""A container ends as its command does, though it does not take its packages apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.server import wait_for

from .conftest import Images


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (["mlserver", "--help"], 0, "Command-line interface to manage MLServer"),
        (["mlserver", "nonsense"], 2, "No such command"),
        (["sleep", "1"], 1, "AssertionError: a container of this image runs mlserver, not sleep"),
    ],
)
def test_it_ends_with_its_commands_status_and_all_that_it_wrote(
    images: Images, tmp_path: Path, command: list[str], status: int, said: str
) -> None:
    process = images["router"].run(command, {"PATH": os.environ["PATH"]}, tmp_path)

    wait_for(lambda: process.status is not None)

    assert process.status == status
    assert said in process.log()
