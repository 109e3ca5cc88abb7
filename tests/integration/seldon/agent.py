"""What Seldon Core v2's agent does to a server: it brings models, and stands before its ports."""

from __future__ import annotations

import json
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import grpc
from mlserver.grpc import dataplane_pb2 as pb

from tests.integration.server import ANSWER_SECONDS

METHOD = "/inference.GRPCInferenceService/ModelInfer"
MOST_BYTES = 1_048_576_000
"""The largest message over gRPC that Seldon's parts take."""
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_KEPT = ("name", "inputs", "outputs", "platform", "versions", "implementation", "parameters")
_OF_TENSORS = ("name", "shape", "datatype")
_OF_PARAMETERS = ("uri", "version", "format", "content_type", "extra", "environment_tarball")
_REPEATED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND)
_PAUSES = [0.01 * 2**attempt for attempt in range(5)]
"""Between the attempts of a call over gRPC, a tenth of the agent's own."""
_NOT_HANDED_ON = frozenset({"host", "connection", "content-length", "accept-encoding"})

Metadata = Sequence[tuple[str, str]]


class Server(Protocol):
    """The server beside the agent."""

    @property
    def url(self) -> str:
        """Of REST."""
        ...

    @property
    def grpc_url(self) -> str:
        """`grpc://host:port`."""
        ...

    def log(self) -> str: ...


class Agent:
    """The agent of one server, which has no models and no settings but its environment.

    Args:
        models: The empty folder that the server serves.
        server: It runs already.

    Attributes:
        loads: Names of the models that were loaded, in order.
        serving: Model -> the name that the server has it by.
    """

    def __init__(self, models: Path, server: Server) -> None:
        self.models = models
        self.server = server
        self.loads: list[str] = []
        self.serving: dict[str, str] = {}
        self._lock = threading.Lock()
        self._channel = grpc.insecure_channel(
            server.grpc_url.removeprefix("grpc://"),
            [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
        )
        self._infer = self._channel.unary_unary(
            METHOD, pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString
        )

    def close(self) -> None:
        self._channel.close()

    def bring(self, source: Path, generation: int, model: str = "", **parameters: str) -> str:
        """Copies a model's folder as Seldon does, and loads it; returns the name it has then.

        Links stay behind, the settings are written anew with fewer fields, and nothing of it can be
        written to. Requests for the model go to it from then on; the generation before is unloaded.

        Args:
            source: The folder.
            generation: Of the Model resource.
            model: Its name; that of the settings unless given.
            parameters: Those of the Model resource.
        """
        settings = json.loads((source / "model-settings.json").read_text())
        model = model or settings["name"]
        name = f"{model}_{generation}"
        folder = self.models / name / str(generation)
        shutil.copytree(
            source,
            folder,
            ignore=lambda at, names: [each for each in names if (Path(at) / each).is_symlink()],
        )
        kept: dict[str, Any] = {key: settings[key] for key in _KEPT if key in settings}
        for side in {"inputs", "outputs"} & kept.keys():
            kept[side] = [{key: each[key] for key in _OF_TENSORS} for each in settings[side]]
        given = settings.get("parameters", {})
        kept["name"] = name
        kept["parameters"] = {key: given[key] for key in _OF_PARAMETERS if key in given}
        kept["parameters"]["version"] = str(generation)
        kept["parameters"]["extra"] = {**given.get("extra", {}), **parameters}
        file = folder / "model-settings.json"
        folder.chmod(0o755)
        file.unlink()
        file.write_text(json.dumps(kept))
        for each in (*folder.rglob("*"), folder, folder.parent):
            each.chmod(0o555 if each.is_dir() else 0o444)
        self.load(name)
        before = self.serving.get(model)
        self.serving[model] = name
        if before is not None:
            self.unload(before)
            self._remove(self.models / before)
        return name

    def load(self, name: str) -> None:
        """Asks the server to load a model, as the agent also does after a 400 or 404."""
        with self._lock:
            self.loads.append(name)
        self._post(f"/v2/repository/models/{name}/load", {})

    def unload(self, name: str) -> None:
        self._post(f"/v2/repository/models/{name}/unload", {})

    @staticmethod
    def _remove(folder: Path) -> None:
        for each in (folder, *folder.rglob("*")):
            if each.is_dir():
                each.chmod(0o755)
        shutil.rmtree(folder)

    def infer(self, name: str, request: Any) -> tuple[int, Any]:
        """Status and body of a REST call through the agent's proxy, by the server's own name."""
        status, body = self.rest(name, json.dumps(request).encode(), {})
        return status, json.loads(body)

    def rest(self, name: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """The proxy of REST: a 400 or 404 makes it load the model, and ask once more."""
        path = f"/v2/models/{name}/infer"
        status, answer = self._ask(path, body, headers)
        if status in (400, 404):
            self.load(name)
            status, answer = self._ask(path, body, headers)
        return status, answer

    def grpc(self, name: str, request: pb.ModelInferRequest, metadata: Metadata) -> Any:
        """The proxy of gRPC: it repeats calls, and loads a model that seems to be gone.

        Raises:
            grpc.RpcError: what the server said in the end.
        """
        named = pb.ModelInferRequest()
        named.CopyFrom(request)
        named.model_name = name
        try:
            return self._repeated(named, metadata)
        except grpc.RpcError as error:
            if error.code() not in _GONE or not (self.models / name).exists():
                raise
        self.load(name)
        return self._infer(named, metadata=metadata, timeout=ANSWER_SECONDS)

    def _repeated(self, request: pb.ModelInferRequest, metadata: Metadata) -> Any:
        for pause in _PAUSES:
            try:
                return self._infer(request, metadata=metadata, timeout=ANSWER_SECONDS)
            except grpc.RpcError as error:
                if error.code() not in _REPEATED:
                    raise
            time.sleep(pause)
        return self._infer(request, metadata=metadata, timeout=ANSWER_SECONDS)

    def _post(self, path: str, body: Any) -> None:
        status, answer = self._ask(path, json.dumps(body).encode(), {})
        assert status == 200, f"{path}: {status} {answer!r}\n{self.server.log()}"

    def _ask(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        handed = {
            name: value for name, value in headers.items() if name.lower() not in _NOT_HANDED_ON
        }
        request = urllib.request.Request(
            self.server.url + path, body, {"content-type": "application/json", **handed}
        )
        try:
            with _DIRECT.open(request, timeout=ANSWER_SECONDS) as answer:
                return 200, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
