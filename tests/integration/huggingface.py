"""`StockServer`: MLServer with its stock Hugging Face runtime, in an environment of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from .server import REPOSITORY, ServerProcess

ENVIRONMENT = REPOSITORY / ".venv-huggingface"
MISSING = None if (ENVIRONMENT / ".installed").exists() else "run: make huggingface-env"
"""Why the stock runtime cannot be started here; None if it can."""


class StockServer(ServerProcess):
    """`mlserver start FOLDER` of `.venv-huggingface`.

    Args:
        folder: What it serves: no model of Infergraph's.
        environment: Variables on top of this process's own.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        quiet = {"HF_HUB_OFFLINE": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        super().__init__(folder, {**quiet, **(environment or {})})

    def arguments(self) -> list[str]:
        return [str(ENVIRONMENT / "bin" / "mlserver"), "start", str(self.folder)]

    def models(self) -> list[str]:
        files = self.folder.glob("**/model-settings.json")
        return sorted(json.loads(file.read_text())["name"] for file in files)
