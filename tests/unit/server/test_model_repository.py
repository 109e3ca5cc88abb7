from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from mlserver import Settings
from mlserver.errors import ModelNotFound
from mlserver.repository.factory import ModelRepositoryFactory

from infergraph.server.model_repository import InstalledModels

MODEL_SETTINGS = Path(__file__).parents[3] / "model-settings"
ABSENT = "no_such_package_anywhere"


@pytest.fixture
def root(tmp_path: Path) -> str:
    for name, implementation in (
        ("here", "infergraph.tasks.echo.Echo"),
        ("elsewhere", f"{ABSENT}.Runtime"),
        ("misspelt", "infergrahp.tasks.echo.Echo"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model-settings.json").write_text(
            json.dumps({"name": name, "implementation": implementation})
        )
    return str(tmp_path)


async def test_a_model_of_a_missing_optional_runtime_is_left_out_and_named_once(
    root: str, caplog: pytest.LogCaptureFixture
) -> None:
    repository = InstalledModels(root, optional_runtimes=[ABSENT])

    with caplog.at_level(logging.WARNING, "infergraph"):
        names = [{each.name for each in await repository.list()} for _ in range(2)]

    # The misspelt one stays, so that the server fails to load it and says so.
    assert names == [{"here", "misspelt"}] * 2
    assert caplog.messages == [
        f"model 'elsewhere' is not served: its runtime '{ABSENT}.Runtime' is not installed in "
        "this environment"
    ]
    with pytest.raises(ModelNotFound):
        await repository.find("elsewhere")


async def test_an_optional_runtime_that_is_installed_is_served(root: str) -> None:
    repository = InstalledModels(root, optional_runtimes=["infergraph"])

    assert {each.name for each in await repository.list()} == {"here", "elsewhere", "misspelt"}


async def test_the_shipped_settings_choose_it() -> None:
    settings = Settings(**json.loads((MODEL_SETTINGS / "settings.json").read_text()))
    settings.model_repository_root = str(MODEL_SETTINGS)

    repository = ModelRepositoryFactory.resolve_model_repository(settings)

    assert isinstance(repository, InstalledModels)
    names = {each.name for each in await repository.list()}
    assert {"audio-qa", "hf-audio-qa", "hf-answer"} <= names
    assert names.isdisjoint({"hf-question-answering", "hf-sentiment"})
