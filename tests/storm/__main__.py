"""`python -m tests.storm`: storms a server and tells what it saw; status 1 if anything is wrong."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .weather import Bounds, report, run_storm


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000, help="how many (default: 100000)")
    parser.add_argument("--seed", type=int, default=0, help="makes the requests (default: 0)")
    parser.add_argument(
        "--only", type=int, action="append", default=[], help="send this request alone (repeatable)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="infergraph-storm-") as folder:
        weather = run_storm(
            Path(folder), arguments.seed, arguments.requests, Bounds(), arguments.only
        )
    print("\n".join(report(weather, arguments.seed)))
    return 1 if weather.problems else 0


if __name__ == "__main__":
    sys.exit(main())
