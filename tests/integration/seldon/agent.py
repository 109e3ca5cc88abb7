"""What Seldon Core v2's agent does to a server: it brings models, and stands before its ports."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.integration.server import ServerProcess, get, wait_for

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_KEPT = ("name", "inputs", "outputs", "platform", "versions", "implementation", "parameters")
_OF_TENSORS = ("name", "shape", "datatype")
_OF_PARAMETERS = ("uri", "version", "format", "content_type", "extra", "environment_tarball")


class Agent:
    """A server without models or settings of its own, and the agent beside it.

    As a context manager it waits until the server is alive, and stops it.

    Args:
        folder: An empty folder: the models go there, and the server is started elsewhere in it.
        environment: What the Server resource sets.

    Attributes:
        server: The process.
        models: The folder that it serves.
        loads: Names of the models that were loaded, in order.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.models = folder / "models"
        self.models.mkdir()
        (folder / "cwd").mkdir()
        self.loads: list[str] = []
        self.server = ServerProcess(
            self.models,
            {
                "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION": "infergraph.front_door.ModelRepository",
                "MLSERVER_HOST": "127.0.0.1",
                "MLSERVER_PARALLEL_WORKERS": "0",
                "MLSERVER_DEBUG": "false",
                "MLSERVER_LOAD_MODELS_AT_STARTUP": "false",
                "INFERGRAPH_SELDON": "true",
                **environment,
            },
            cwd=folder / "cwd",
        )

    def __enter__(self) -> Agent:
        self.server.start()
        try:
            wait_for(self._is_live, 300.0, self.server.log)
        except BaseException:
            self.server.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    def _is_live(self) -> bool:
        assert self.server.process.poll() is None, self.server.log()
        return get(f"{self.server.url}/v2/health/live") is not None

    def bring(self, source: Path, generation: int, **parameters: str) -> str:
        """Copies a model's folder as Seldon does, and loads it; returns the name it has then.

        Links stay behind, the settings are written anew with fewer fields, and nothing of it can be
        written to. `parameters` are those of the Model resource.
        """
        settings = json.loads((source / "model-settings.json").read_text())
        name = f"{settings['name']}_{generation}"
        folder = self.models / name / str(generation)
        shutil.copytree(
            source,
            folder,
            ignore=lambda at, names: [each for each in names if (Path(at) / each).is_symlink()],
        )
        kept: dict[str, Any] = {key: settings[key] for key in _KEPT if key in settings}
        for side in ("inputs", "outputs"):
            kept[side] = [{key: each[key] for key in _OF_TENSORS} for each in settings[side]]
        given = settings.get("parameters", {})
        kept["name"] = name
        kept["parameters"] = {key: given[key] for key in _OF_PARAMETERS if key in given}
        kept["parameters"]["version"] = str(generation)
        kept["parameters"]["extra"] = {**given.get("extra", {}), **parameters}
        (folder / "model-settings.json").write_text(json.dumps(kept))
        for each in (*folder.rglob("*"), folder, folder.parent):
            each.chmod(0o555 if each.is_dir() else 0o444)
        self.load(name)
        return name

    def load(self, name: str) -> None:
        """Asks the server to load a model, as the agent also does after a 400 or 404."""
        self.loads.append(name)
        self._post(f"/v2/repository/models/{name}/load", {})

    def unload(self, name: str) -> None:
        self._post(f"/v2/repository/models/{name}/unload", {})

    def infer(self, name: str, request: Any) -> tuple[int, Any]:
        """Status and body of a REST call through the agent's proxy.

        A 400 or 404 makes it load the model, and ask once more.
        """
        path = f"/v2/models/{name}/infer"
        status, body = self._ask(path, request)
        if status in (400, 404):
            self.load(name)
            status, body = self._ask(path, request)
        return status, body

    def _post(self, path: str, body: Any) -> None:
        status, answer = self._ask(path, body)
        assert status == 200, f"{path}: {status} {answer}\n{self.server.log()}"

    def _ask(self, path: str, body: Any) -> tuple[int, Any]:
        request = urllib.request.Request(
            self.server.url + path,
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        try:
            with _DIRECT.open(request, timeout=120) as answer:
                content = answer.read()
                return 200, json.loads(content) if content else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
