"""An MLServer model repository of chosen folders; it is what the server's process runs of ours.

A folder of links would not do: MLServer resolves a relative `uri` against the link, not its target.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from pathlib import Path

from mlserver import ModelSettings
from mlserver.repository.load import load_model_settings
from mlserver.repository.repository import DEFAULT_MODEL_SETTINGS_FILENAME

from ..front_door import ModelRepository


class SelectedModels(ModelRepository):
    """Holds the models of `folders`, wherever they are.

    The server stops when its stdin ends, which it does when the command that started it is gone.
    """

    def __init__(self, root: str, folders: list[str]) -> None:
        super().__init__(root)
        _stop_with_stdin()
        self._files = [str(Path(folder) / DEFAULT_MODEL_SETTINGS_FILENAME) for folder in folders]

    async def list(self) -> list[ModelSettings]:
        return [load_model_settings(file) for file in self._files]


@functools.cache
def _stop_with_stdin() -> None:
    def wait() -> None:
        # Not through sys.stdin, whose lock would be held while the interpreter shuts down.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="infergraph-stdin", daemon=True).start()
