"""What a server sets for its process, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infergraph.errors import ConfigurationError
from infergraph.front_door.process import preload

_FAULTS = """
import resource
from infergraph.front_door.process import keep_freed_memory

keep_freed_memory()

def use():
    # What a request holds: some buffers at once, all written to.
    buffers = [bytearray(600_000) for _ in range(4)]

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
_COLLECTOR = """
import gc
from infergraph.front_door.process import spare_the_collector

class Registry:
    on_settled = None

class Model:
    def __init__(self):
        self.itself = self

registry, model = Registry(), Model()
registry.on_settled = print
spare_the_collector(registry)
assert registry.on_settled is None
print(len([each for each in gc.get_objects() if each is model]), gc.get_freeze_count() > 1000)
"""


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    # OpenMP says what it was told there.
    return (done.stdout + done.stderr).strip()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_buffers_of_a_request_serve_the_next_one() -> None:
    kept = int(run(_FAULTS))
    left_alone = int(run(_FAULTS, MALLOC_TRIM_THRESHOLD_="131072"))

    assert kept < 600
    assert left_alone > 100 * 4 * 100


def test_modules_are_imported_one_and_a_whole_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "preloaded_for_a_test"
    package.mkdir()
    for name in ("__init__", "one", "two"):
        (package / f"{name}.py").touch()
    (package / "needy.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = [f"preloaded_for_a_test{end}" for end in ("", ".one", ".two")]
    try:
        preload([names[1]])
        assert [name in sys.modules for name in names] == [True, True, False]
        preload(["preloaded_for_a_test.*"])
        assert set(names) <= set(sys.modules)
    finally:
        for name in names:
            sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["no_such_module", "json.decoder.*", "json.no_such.*"])
def test_a_module_that_cannot_be_imported_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"setting 'preload': '.*' cannot be imported"):
        preload(["json", name])


def test_what_a_server_began_with_is_kept_out_of_the_collectors_rounds() -> None:
    assert run(_COLLECTOR) == "0 True"


_OPENMP = """
from infergraph.front_door.process import let_threads_sleep

let_threads_sleep()

import ctypes, importlib.util, pathlib

# The OpenMP that torch brings, without the seconds that the rest of torch takes.
torch = pathlib.Path(importlib.util.find_spec("torch").origin).parent
(library,) = torch.glob("lib/libgomp*")
ctypes.CDLL(str(library))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="torch computes with another OpenMP")
@pytest.mark.parametrize(
    ("environment", "spins"),
    [
        ({}, "2000"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, "0"),
        ({"GOMP_SPINCOUNT": "70"}, "70"),
    ],
)
def test_threads_sleep_soon_unless_the_environment_says_otherwise(
    environment: dict[str, str], spins: str
) -> None:
    told = run(_OPENMP, OMP_DISPLAY_ENV="VERBOSE", **environment)

    assert f"GOMP_SPINCOUNT = '{spins}'" in told
