"""The packages of the images, with their versions: `python -m tests.image.lock` writes them.

They are what pyproject.toml asks for, in the versions of the environment that this runs in: that of
all tests. mlserver/Dockerfile installs each file in a layer of its own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FILES = {
    "torch": ROOT / "mlserver" / "torch-requirements.txt",
    "router": ROOT / "mlserver" / "router-requirements.txt",
    "models": ROOT / "mlserver" / "models-requirements.txt",
}
HEAD = "# Written by `python -m tests.image.lock`; read by the Dockerfile.\n"
TORCH = ("torch", "torchvision")


def requirements(name: str) -> list[Requirement]:
    """The list of that name in pyproject.toml: `dependencies`, or an extra's."""
    text = (ROOT / "pyproject.toml").read_text()
    found = re.search(rf"^{name} = \[$(.*?)^\]$", text, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    # Python 3.10 has no tomllib; a line of the list is a comment or one string.
    lines = (line.strip().rstrip(",") for line in found[1].splitlines())
    return [Requirement(line.strip('"')) for line in lines if line.startswith('"')]


def closure(wanted: Iterable[Requirement], without: Iterable[str] = ()) -> dict[str, str]:
    """Name -> installed version of packages, and of all that they need on this platform.

    What `without` names is left out, and what it alone needs.
    """
    versions: dict[str, str] = {}
    queue = list(wanted)
    seen: set[tuple[str, frozenset[str]]] = set()
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        key = (name, frozenset(requirement.extras))
        if name in without or key in seen or not _applies(requirement, {""}):
            continue
        seen.add(key)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            sys.exit(f"'{name}' is not installed here: run it in the environment of `make env`")
        versions[name] = found.version
        queue += _needed(found.requires or (), requirement.extras or {""})
    return versions


def _needed(lines: Iterable[str], extras: set[str]) -> Iterator[Requirement]:
    for line in lines:
        requirement = Requirement(line)
        if _applies(requirement, extras):
            requirement.marker = None
            yield requirement


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)


def locks() -> Mapping[str, dict[str, str]]:
    """File's key -> name -> version."""
    torch = {name: distribution(name).version for name in TORCH}
    router = closure(requirements("dependencies"))
    models = closure(requirements("models"), without=TORCH)
    only = {name: version for name, version in models.items() if name not in router}
    return {"torch": torch, "router": router, "models": only}


def main() -> None:
    for key, versions in locks().items():
        lines = [f"{name}=={version}\n" for name, version in sorted(versions.items())]
        FILES[key].write_text(HEAD + "".join(lines))


if __name__ == "__main__":
    main()
