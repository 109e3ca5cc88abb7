"""The command `infergraph-video`: the frames of a video through a model, and what it finds."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status, see its `--help`."""
    try:
        from .cli import main as run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "PIL":
            raise
        print(
            "infergraph-video: Pillow is not installed; pip install 'infergraph-clients[video]'",
            file=sys.stderr,
        )
        return 2
    return run(argv)
