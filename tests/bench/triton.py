"""`TritonServer`: NVIDIA Triton without a GPU, from an environment of its own.

Its models hand tensors on by the Python backend, as ours do: one echo, an ensemble of two, and two
that a third calls (business logic scripting, BLS). All run in processes of their own, one each.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from ..integration.server import REPOSITORY, ServerProcess

ENVIRONMENT = REPOSITORY / ".venv-triton"
MISSING = None if (ENVIRONMENT / ".installed").exists() else "run: make triton-env"
"""Why Triton cannot be started here; None if it can."""

SINGLE, FLAT, ENSEMBLE, BLS = "first", "flat", "ensemble", "bls"
"""The models: FP32 `input` to `output`, of shape [-1, -1], `flat` of shape [-1]."""

_ECHO = """\
import triton_python_backend_utils as utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        array = utils.get_input_tensor_by_name(request, "input").as_numpy()
        return utils.InferenceResponse([utils.Tensor("output", array)])
"""
_CHAIN = """\
import triton_python_backend_utils as utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        tensor = utils.get_input_tensor_by_name(request, "input")
        for model in ("first", "second"):
            called = utils.InferenceRequest(
                model_name=model, inputs=[tensor], requested_output_names=["output"]
            ).exec()
            if called.has_error():
                raise utils.TritonModelException(called.error().message())
            output = utils.get_output_tensor_by_name(called, "output")
            tensor = utils.Tensor("input", output.as_numpy())
        return utils.InferenceResponse([utils.Tensor("output", tensor.as_numpy())])
"""
_PYTHON_BACKEND = 'backend: "python"\ninstance_group [{ kind: KIND_CPU, count: 1 }]\n'
_ENSEMBLE = """\
platform: "ensemble"
ensemble_scheduling { step [
  { model_name: "first", model_version: -1
    input_map { key: "input", value: "input" }
    output_map { key: "output", value: "between" } },
  { model_name: "second", model_version: -1
    input_map { key: "input", value: "between" }
    output_map { key: "output", value: "output" } }
] }
"""
_DESCRIBE = """\
import json, sysconfig
print(json.dumps([sysconfig.get_path("purelib"), sysconfig.get_config_var("LIBDIR"),
                  sysconfig.get_python_version()]))
"""


class TritonServer(ServerProcess):
    """A context manager; inside, the echo, the ensemble and the BLS chain are ready.

    Args:
        folder: An empty folder for its models.
    """

    def __init__(self, folder: Path) -> None:
        python = ENVIRONMENT / "bin" / "python"
        described = subprocess.run(
            [python, "-c", _DESCRIBE], check=True, capture_output=True, text=True
        )
        packages, libraries, version = json.loads(described.stdout)
        self._installed = Path(packages) / "pytriton" / "tritonserver"
        self._backends, self._models = folder / "backends", folder / "models"
        environment = {
            # The backend's processes look for Python and its packages in these.
            "PATH": f"{ENVIRONMENT / 'bin'}:/usr/bin:/bin",
            "PYTHONPATH": packages,
            "LD_LIBRARY_PATH": libraries,
        }
        super().__init__(folder, environment)
        self._write_backend(version)
        _write_models(self._models)

    def arguments(self) -> list[str]:
        ports = {"http": self.http_port, "grpc": self.grpc_port, "metrics": self.metrics_port}
        return [
            str(self._installed / "bin" / "tritonserver"),
            f"--model-repository={self._models}",
            f"--backend-directory={self._backends}",
            *(f"--{name}-address=127.0.0.1" for name in ports),
            *(f"--{name}-port={port}" for name, port in ports.items()),
        ]

    def models(self) -> list[str]:
        return sorted(each.name for each in self._models.iterdir())

    def _write_backend(self, version: str) -> None:
        """The Python backend, beside it the process that it starts for this version of Python."""
        backend = self._backends / "python"
        backend.mkdir(parents=True)
        for file in (self._installed / "backends" / "python").iterdir():
            (backend / file.name).symlink_to(file)
        stub = "triton_python_backend_stub"
        (backend / stub).symlink_to(self._installed / "python_backend_stubs" / version / stub)


def _write_models(root: Path) -> None:
    for name, shape in (("first", "-1, -1"), ("second", "-1, -1"), (FLAT, "-1")):
        _write_model(root, name, shape, _PYTHON_BACKEND, _ECHO)
    _write_model(root, BLS, "-1, -1", _PYTHON_BACKEND, _CHAIN)
    # Of an ensemble too it wants a version, though there is nothing in it.
    _write_model(root, ENSEMBLE, "-1, -1", _ENSEMBLE, None)


def _write_model(root: Path, name: str, shape: str, kind: str, source: str | None) -> None:
    version = root / name / "1"
    version.mkdir(parents=True)
    tensors = "".join(
        f'{field} [{{ name: "{field}", data_type: TYPE_FP32, dims: [{shape}] }}]\n'
        for field in ("input", "output")
    )
    (root / name / "config.pbtxt").write_text(f'name: "{name}"\nmax_batch_size: 0\n{tensors}{kind}')
    if source is not None:
        (version / "model.py").write_text(source)
