from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.workspaces import write_workspace


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model folder of a workspace that is the working directory."""
    folder = write_workspace(tmp_path)
    monkeypatch.chdir(tmp_path)
    return folder
