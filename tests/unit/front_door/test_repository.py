"""The one seam: which servers MLServer makes, and when; and the repository itself."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import mlserver
import mlserver.server
import pytest
from mlserver import Settings
from mlserver.errors import ModelNotFound
from mlserver.repository.factory import ModelRepositoryFactory

from infergraph.errors import ConfigurationError
from infergraph.front_door import ModelRepository, repository
from infergraph.front_door.repository import PARTS, SUPPORTED_MLSERVER
from tests.unit.front_door.conftest import Serve

ROOT = Path(__file__).parents[3]
MODEL_SETTINGS = ROOT / "model-settings"
ABSENT = "no_such_package_anywhere"


# The seam

SNAPSHOT = """
import importlib, json, sys
import mlserver, mlserver.server
NAMES = ["mlserver", "mlserver.server", "mlserver.registry", "mlserver.raw", "mlserver.model",
         "mlserver.grpc.server", "mlserver.grpc.servicers", "mlserver.grpc.converters",
         "mlserver.grpc.utils", "mlserver.grpc.logging", "mlserver.rest.server",
         "mlserver.rest.app", "mlserver.rest.endpoints", "mlserver.rest.errors",
         "mlserver.rest.responses", "mlserver.handlers", "mlserver.handlers.dataplane",
         "mlserver.metrics.server", "mlserver.repository.factory", "mlserver.codecs",
         "mlserver.context", "mlserver.utils"]

def snapshot():
    found = {}
    for name in NAMES:
        module = importlib.import_module(name)
        for key, value in vars(module).items():
            if key.startswith("__"):
                continue
            found[f"{name}.{key}"] = id(value)
            if isinstance(value, type) and value.__module__.startswith("mlserver"):
                for inner, member in vars(value).items():
                    if not inner.startswith("__"):
                        found[f"{name}.{key}.{inner}"] = id(member)
    return found

before = snapshot()
"""
COMPARE = """
after = snapshot()
print(json.dumps(sorted(key for key in before if after.get(key) != before[key])))
"""


def changed_by(statement: str) -> list[str]:
    """What a statement, run in a process of its own, changes in MLServer."""
    done = subprocess.run(
        [sys.executable, "-c", SNAPSHOT + statement + COMPARE],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@pytest.mark.parametrize(
    "statement",
    [
        "import infergraph.runtime, infergraph.router, infergraph.servable, infergraph.v2.rest",
        "import infergraph.tasks.echo, infergraph.tasks.pass_through, infergraph.tasks.reject",
    ],
)
def test_importing_models_changes_nothing_in_mlserver(statement: str) -> None:
    assert changed_by(statement) == []


def test_the_front_door_changes_what_mlserver_makes_a_server_of_and_nothing_else() -> None:
    changed = changed_by("import infergraph.front_door")

    # Whatever stands below an exchanged class is another one, too.
    whole = {".".join(each.split(".")[:3]) for each in changed}
    assert whole == {f"mlserver.server.{name}" for name in PARTS}


def test_what_is_exchanged_takes_the_place_of_its_base() -> None:
    stock = {
        "MultiModelRegistry": mlserver.registry.MultiModelRegistry,
        "ModelRepositoryHandlers": mlserver.handlers.ModelRepositoryHandlers,
        "RESTServer": mlserver.rest.RESTServer,
        "GRPCServer": mlserver.grpc.GRPCServer,
        "MetricsServer": mlserver.metrics.MetricsServer,
    }
    assert set(stock) == set(PARTS)
    for name, part in PARTS.items():
        assert getattr(mlserver.server, name) is part
        assert issubclass(part, stock[name])
        assert part is not stock[name]


def test_the_supported_version_is_the_one_that_is_pinned() -> None:
    assert mlserver.__version__ == SUPPORTED_MLSERVER
    assert f'"mlserver=={SUPPORTED_MLSERVER}"' in (ROOT / "pyproject.toml").read_text()


def test_another_version_is_refused_and_left_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlserver, "__version__", "1.8.0")
    monkeypatch.setattr(mlserver.server, "RESTServer", "stock")

    with pytest.raises(ConfigurationError) as caught:
        repository._install()

    assert str(caught.value) == (
        "mlserver 1.8.0 is installed; accepted: 1.7.1, whose servers Infergraph replaces"
    )
    assert mlserver.server.RESTServer == "stock"


async def test_a_server_is_made_of_our_parts_and_they_share_a_desk(serve: Serve) -> None:
    server = (await serve()).server

    assert type(server._rest_server) is PARTS["RESTServer"]
    assert type(server._grpc_server) is PARTS["GRPCServer"]
    assert type(server._metrics_server) is PARTS["MetricsServer"]
    assert type(server._model_registry) is PARTS["MultiModelRegistry"]
    assert server._rest_server.desk is server._grpc_server._desk  # type: ignore[attr-defined]


# The repository


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
    models = ModelRepository(root, optional_runtimes=[ABSENT])

    with caplog.at_level(logging.WARNING, "infergraph"):
        names = [{each.name for each in await models.list()} for _ in range(2)]

    # The misspelt one stays, so that the server fails to load it and says so.
    assert names == [{"here", "misspelt"}] * 2
    assert caplog.messages == [
        f"model 'elsewhere' is not served: its runtime '{ABSENT}.Runtime' is not installed in "
        "this environment"
    ]
    with pytest.raises(ModelNotFound):
        await models.find("elsewhere")


async def test_an_optional_runtime_that_is_installed_is_served(root: str) -> None:
    models = ModelRepository(root, optional_runtimes=["infergraph"])

    assert {each.name for each in await models.list()} == {"here", "elsewhere", "misspelt"}


async def test_settings_of_the_front_door_are_no_business_of_the_repository(root: str) -> None:
    models = ModelRepository(root, front_door={"max_in_flight": 3})

    assert len(await models.list()) == 3


async def test_what_models_need_is_imported_with_the_repository(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="'no_such_module' cannot be imported"):
        ModelRepository(root, front_door={"preload": ["no_such_module"]})
    monkeypatch.setenv("INFERGRAPH_PRELOAD", "json, no_such_either")
    with pytest.raises(ConfigurationError, match="'no_such_either' cannot be imported"):
        ModelRepository(root)


async def test_the_shipped_settings_choose_it() -> None:
    settings = Settings(**json.loads((MODEL_SETTINGS / "settings.json").read_text()))
    settings.model_repository_root = str(MODEL_SETTINGS)

    models = ModelRepositoryFactory.resolve_model_repository(settings)

    assert isinstance(models, ModelRepository)
    names = {each.name for each in await models.list()}
    assert {"audio-qa", "hf-audio-qa", "hf-answer"} <= names
    assert names.isdisjoint({"hf-question-answering", "hf-sentiment"})
