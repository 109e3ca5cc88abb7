"""`infergraph-load report`: the report of a run whose tester died."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..engine.run import RECORDS, recovered
from ..errors import LoadError
from .run import show, write

DESCRIPTION = """\
Makes a report of the records that a run has left on disk, if the tester was killed before it could
do so itself. The report says that it is partial; at most the last second is missing.

  infergraph-load report load-reports/echo-20261129-160000

Exit status: 130, as of a run that was ended early; 2 if the folder holds no records.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("folder", type=Path, help="the folder that was to hold the report")
    parser.add_argument("--quiet", action="store_true", help="no tables")
    parser.add_argument("--json", action="store_true", help="print report.json instead of tables")


def execute(arguments: argparse.Namespace) -> int:
    """Writes it; see `main` for the status."""
    folder: Path = arguments.folder
    parts = [folder, *sorted(each for each in folder.glob("*") if (each / RECORDS).is_dir())]
    found = {each: recovered(each / RECORDS) for each in parts if (each / RECORDS).is_dir()}
    if not found:
        raise LoadError(
            f"'{folder}' holds no records of a run that was cut short; accepted: a folder with "
            f"'{RECORDS}' in it, or in each of its folders"
        )
    arguments.junit = None
    runs = {each.name: run for each, run in found.items()}
    return show(arguments, folder, runs, write(folder, runs))
