"""An MLServer model repository of chosen folders, named in the server's settings.

A folder of links would not do: MLServer resolves a relative `uri` against the link, not its target.
"""

from __future__ import annotations

from pathlib import Path

from mlserver import ModelSettings
from mlserver.repository.load import load_model_settings
from mlserver.repository.repository import (
    DEFAULT_MODEL_SETTINGS_FILENAME,
    SchemalessModelRepository,
)


class SelectedModels(SchemalessModelRepository):
    """Holds the models of `folders`, wherever they are."""

    def __init__(self, root: str, folders: list[str]) -> None:
        super().__init__(root)
        self._files = [str(Path(folder) / DEFAULT_MODEL_SETTINGS_FILENAME) for folder in folders]

    async def list(self) -> list[ModelSettings]:
        return [load_model_settings(file) for file in self._files]
