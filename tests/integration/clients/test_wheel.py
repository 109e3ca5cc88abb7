"""The clients' own distribution, where nothing is installed but what it asks for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.utils import canonicalize_name

import infergraph
from tests.image.lock import closure
from tests.integration.load.runs import start_stub, stop_stub
from tests.integration.server import COMMAND_SECONDS, REPOSITORY

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.exhaustive]

COMMANDS = {
    "infergraph-infer": "infergraph_clients.infer.cli:main",
    "infergraph-load": "infergraph_clients.load.cli.main:main",
    "infergraph-video": "infergraph_clients.video:main",
}
_RUN = """
import sys, json
from importlib.metadata import packages_distributions

here, allowed = sys.argv[1], set(json.loads(sys.argv[2]))

class Absent:
    '''Modules of distributions that are not asked for are not found, as if not installed.'''

    names = {
        name for name, owners in packages_distributions().items()
        if not {each.lower().replace("_", "-") for each in owners} & allowed
    } | {"mlserver"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return None

for name in ("infergraph", "infergraph_clients"):
    Absent.names.discard(name)
sys.meta_path.insert(0, Absent())
module, _, function = sys.argv[3].partition(":")
sys.argv = sys.argv[3:]
import importlib
import infergraph_clients
assert infergraph_clients.__file__.startswith(here), infergraph_clients.__file__
sys.exit(getattr(importlib.import_module(module), function)())
"""


class Installed:
    """The wheel, unpacked in a folder of its own."""

    def __init__(self, wheel: Path, folder: Path) -> None:
        self.folder = folder
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
            self.files = archive.namelist()
        (info,) = folder.glob("*.dist-info")
        self.metadata = Metadata.from_email((info / "METADATA").read_bytes(), validate=False)
        self.scripts = (info / "entry_points.txt").read_text()
        wanted = self.metadata.requires_dist or []
        self.allowed = [canonicalize_name(name) for name in closure(wanted)]

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of it to its end."""
        given = [str(self.folder), json.dumps(self.allowed), COMMANDS[command], *arguments]
        return subprocess.run(
            [sys.executable, "-c", _RUN, *given],
            # For the load tester's workers, too, which are processes of their own.
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(self.folder)},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    reached = subprocess.run(
        [*pip, "download", "--no-deps", "--dest", str(folder), "hatchling"],
        capture_output=True,
        check=False,
    )
    if reached.returncode:
        pytest.skip("no package index can be reached")
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(REPOSITORY / "clients")],
        capture_output=True,
        check=True,
    )
    (wheel,) = folder.glob("infergraph_clients-*.whl")
    return Installed(wheel, folder / "installed")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    stub = start_stub()
    yield stub.url("grpc")
    stop_stub(stub)


def test_it_holds_the_clients_and_the_protocol_alone(installed: Installed) -> None:
    tops = {name.partition("/")[0] for name in installed.files}
    assert {name for name in tops if not name.endswith(".dist-info")} == {
        "infergraph",
        "infergraph_clients",
    }
    ours = {name for name in installed.files if name.startswith("infergraph/")}
    assert {name.split("/")[1] for name in ours} == {"__init__.py", "errors.py", "v2"}
    assert str(installed.metadata.version) == infergraph.__version__
    assert not {"mlserver", "torch", "tritonclient", "av", "pillow"} & set(installed.allowed)
    for name, entry in COMMANDS.items():
        assert f"{name} = {entry}" in installed.scripts


@pytest.mark.parametrize("command", ["infergraph-infer", "infergraph-load"])
def test_commands_start(installed: Installed, command: str) -> None:
    done = installed.run(command, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {command}")
    assert installed.run(command, "--version").stdout == f"{command} {infergraph.__version__}\n"


def test_videos_are_an_extra(installed: Installed) -> None:
    done = installed.run("infergraph-video", "--help")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "infergraph-video: Pillow is not installed; pip install 'infergraph-clients[video]'\n"
    )


def test_an_inference_and_a_load(installed: Installed, url: str, tmp_path: Path) -> None:
    done = installed.run("infergraph-infer", "echo", "text=hello", "--unchecked", "--url", url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == ["  text  hello"]
    load = installed.run(
        *("infergraph-load", "run", "text=hello", "--url", url, "--model", "ok", "--rate", "20"),
        *("--duration", "2", "--warmup", "0", "--output", str(tmp_path / "report"), "--json"),
    )
    assert load.stdout, load.stderr
    report = json.loads(load.stdout)
    assert report["summary"]["outcomes"]["ok"] >= 20, load.stderr
