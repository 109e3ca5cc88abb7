"""Where the commands leave their reports."""

from __future__ import annotations

import time
from pathlib import Path

_REPORTS = "load-reports"


def output_folder(given: Path | None, model: str) -> Path:
    """The given folder, or one named after the model and the time."""
    if given is not None:
        return given
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in model)
    return Path(_REPORTS) / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
