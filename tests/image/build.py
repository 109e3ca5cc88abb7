"""Builds an image of mlserver/Dockerfile in a folder: `python -m tests.image.build router FOLDER`.

It performs the Dockerfile's own instructions, in order, without docker: the folder is the image's
root, a virtual environment plays the Python of its base image, and the paths that the Dockerfile
writes to are those below the folder.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from .dockerfile import Instruction, Stage, pairs, read

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "mlserver" / "Dockerfile"
STRANGER = 12345
"""The id of a user that no system knows."""
_PATHS = re.compile(r"(?<![\w./-])/(opt/infergraph|build|tmp|mnt/models)(?![\w-])")
_SYSTEM = "/usr/bin:/bin"


@dataclass
class Image:
    """What a target has become.

    Attributes:
        root: The folder of its files.
        folder: Where its processes start.
        environment: What its processes are given.
        command: What it runs.
        health: What tells whether it is well.
        user: Who runs it.
    """

    root: Path
    folder: Path
    environment: dict[str, str]
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    user: str = ""

    def path(self, text: str) -> str:
        """A text of the Dockerfile, its paths those below the root."""
        return _PATHS.sub(rf"{self.root}/\1", text)

    def start(self, command: list[str], **environment: str) -> subprocess.Popen[bytes]:
        """Runs a command as a container would: nothing of this process's environment, and a user
        that the system does not know, where this process may choose."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **as_stranger(),
        )


def as_stranger() -> dict[str, int | list[int]]:
    """Arguments of Popen with which a user runs that owns nothing; none unless this is root."""
    if os.geteuid() != 0:
        return {}
    return {"user": STRANGER, "group": 0, "extra_groups": []}


def build(target: str, folder: Path, arguments: dict[str, str] | None = None) -> Image:
    """Builds a target; raises CalledProcessError where an instruction fails.

    Args:
        target: A stage of the Dockerfile.
        folder: The image's root, which is made; a stage that it copies from gets one beside it.
        arguments: Values of ARG.
    """
    stages = read(DOCKERFILE.read_text())
    root = folder.resolve()
    image = Image(root, root, {"PATH": f"{root}/python/bin:{_SYSTEM}"})
    for path in ("tmp", "build", "opt", "mnt"):
        (image.root / path).mkdir(parents=True)
    (image.root / "tmp").chmod(0o1777)
    subprocess.run(
        [_python(), "-m", "venv", str(image.root / "python")], check=True, env=_plain_environment()
    )
    builder = _Builder(image, stages, arguments or {})
    for stage in _chain(stages, target):
        builder.perform(stage)
    return image


def _chain(stages: dict[str, Stage], target: str) -> list[Stage]:
    """The stages from the base image to a target."""
    found: list[Stage] = []
    name = target
    while name in stages:
        found.insert(0, stages[name])
        name = stages[name].base
    return found


class _Builder:
    def __init__(self, image: Image, stages: dict[str, Stage], arguments: dict[str, str]) -> None:
        self._image = image
        self._stages = stages
        self._given = arguments
        self._arguments: dict[str, str] = {}

    def perform(self, stage: Stage) -> None:
        for each in stage.instructions:
            if each.word == "ENV":
                for name, value in pairs(each).items():
                    expanded = value.replace("${PATH}", self._image.environment["PATH"])
                    self._image.environment[name] = self._image.path(expanded)
            elif each.word == "ARG":
                for name, value in pairs(each).items():
                    self._arguments[name] = self._given.get(name, value)
            elif each.word == "WORKDIR":
                self._image.folder = Path(self._image.path(each.text))
                self._image.folder.mkdir(parents=True, exist_ok=True)
            elif each.word == "COPY":
                self._copy(each)
            elif each.word == "RUN":
                self._run(each)
            elif each.word == "CMD":
                self._image.command = self._paths(each)
            elif each.word == "HEALTHCHECK":
                self._image.health = self._paths(each)
            elif each.word == "USER":
                self._image.user = each.text

    def _paths(self, instruction: Instruction) -> list[str]:
        assert instruction.listed is not None, f"{instruction.word} is no list"
        return [self._image.path(each) for each in instruction.listed]

    def _copy(self, instruction: Instruction) -> None:
        *sources, target = instruction.text.split()
        place = self._image.folder / self._image.path(target)
        for each in map(ROOT.joinpath, sources):
            if each.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(each, place, ignore=ignored)
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(each, place)

    def _run(self, instruction: Instruction) -> None:
        mount = dict(
            each.split("=") for each in instruction.options.get("mount", "").split(",") if each
        )
        if mount:
            folder = self._image.root.with_name(f"{self._image.root.name}-{mount['from']}")
            other = build(mount["from"], folder, self._given)
            Path(self._image.path(mount["target"])).symlink_to(other.path(mount["source"]))
        command: list[str] | str = self._image.path(instruction.text)
        if instruction.listed is not None:
            command = self._paths(instruction)
        environment = {**_plain_environment(), **self._image.environment, **self._arguments}
        environment["HOME"] = os.environ.get("HOME", "/")
        subprocess.run(
            command,
            shell=isinstance(command, str),
            cwd=self._image.folder,
            env=environment,
            check=True,
            stdout=sys.stderr,
        )


def _plain_environment() -> dict[str, str]:
    """This process's environment without what is about Python's imports."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _python() -> str:
    """A Python that a stranger may run, with which this process's packages were locked."""
    version = "{}.{}".format(*sys.version_info)
    own = getattr(sys, "_base_executable", sys.executable)
    for python in (own, shutil.which(f"python{version}", path=f"/usr/local/bin:{_SYSTEM}")):
        if python and _works(python):
            return python
    raise RuntimeError(f"no Python {version} that user {STRANGER} may run")


def _works(python: str) -> bool:
    try:
        command = [python, "-c", "import ensurepip, venv"]
        return not subprocess.run(command, check=False, cwd="/", **as_stranger()).returncode  # type: ignore[call-overload]
    except OSError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("target")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    args = parser.parse_args()
    given = dict(each.partition("=")[::2] for each in args.build_arg)
    image = build(args.target, args.folder, given)
    print(f"{args.target} is in {image.root}")


if __name__ == "__main__":
    main()
