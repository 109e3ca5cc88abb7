"""Where the commands leave their reports, and how they show the runs that these are made of."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from ..engine.coordinator import Interrupts
from ..engine.run import RECORDS, Prepared, Run, execute
from ..errors import LoadError
from ..reports.folder import check_writable
from ..reports.live import LiveView

_REPORTS = "load-reports"
SERVER_LOG = "server.log"
"""Of an evaluation; alone in its folder, nothing was measured, as where a server did not start."""
_MARKS = (
    *("report.json", "profile.json", "evaluation.json", "overall.json", "search.json"),
    # Of a search and an evaluation that were cut short. No other folder of reports is one.
    *("rate-*/report.json", "profile-*/profile.json"),
)


def add_output(parser: argparse.ArgumentParser, what: str = "report's folder") -> None:
    """Adds the arguments that say where a report goes."""
    parser.add_argument(
        "--output", type=Path, help=f"the {what} (default: one of its own in {_REPORTS})"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a report that is in the folder"
    )


def output_folder(arguments: argparse.Namespace, name: str) -> Path:
    """The folder of `--output`, empty, or else a new one named after the model and the time.

    Raises:
        LoadError: it holds a report, and `--overwrite` is not given; or it holds anything else.
    """
    folder: Path | None = arguments.output
    if folder is None:
        plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
        first = Path(_REPORTS) / f"{plain}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
        folder, number = first, 1
        while folder.exists():
            number += 1
            folder = first.with_name(f"{first.name}-{number}")
        return folder
    if not folder.is_dir() or {each.name for each in folder.iterdir()} <= {SERVER_LOG}:
        return folder
    found = next((file for mark in _MARKS for file in folder.glob(mark)), None)
    if found is None and any([*folder.glob(RECORDS), *folder.glob(f"*/{RECORDS}")]):
        raise LoadError(
            f"'{folder}' holds the records of a run that was cut short; accepted: another "
            f"--output, or first infergraph-load report {folder}"
        )
    if found is None:
        raise LoadError(f"'{folder}' holds files that are no report; accepted: another --output")
    if not arguments.overwrite:
        raise LoadError(
            f"'{folder}' holds a report ({found.name}); accepted: another --output, or --overwrite "
            "to replace it"
        )
    return folder


def make_room(arguments: argparse.Namespace, *folders: Path) -> None:
    """Makes the folders, in place of the report that `--overwrite` replaces in the first.

    Called when the load is about to begin. LoadError if one cannot be written.
    """
    if arguments.overwrite and arguments.output is not None and folders[0].is_dir():
        shutil.rmtree(folders[0])
    for folder in folders:
        check_writable(folder)


def make_trial(
    console: Console, interrupts: Interrupts, total: int | None = None
) -> Callable[[Prepared], Run]:
    """What does a run, and shows it on the console while it goes on.

    The run is one that was interrupted if an interrupt came before it or in it.

    Args:
        console: Where it is shown.
        interrupts: End it.
        total: How many runs there will be, if that is known: then what is left is shown, too.
    """
    done: list[float] = []

    def trial(prepared: Prepared) -> Run:
        began = time.monotonic()
        place = f"run {len(done) + 1}"
        if total is not None and len(done) < total:
            left = (total - len(done)) * (sum(done) / len(done)) if done else None
            place += f" of {total}" + ("" if left is None else f", {duration(left)} left")
        with LiveView([prepared.configuration], console, place) as view:
            run = execute(prepared, view.update, interrupts)
        done.append(time.monotonic() - began)
        return run

    return trial


def duration(seconds: float) -> str:
    """As people say it: `8 s`, `2 min`, `1 h 20 min`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
