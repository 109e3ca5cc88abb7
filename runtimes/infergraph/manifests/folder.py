"""`Rendered`: what one call of `infergraph manifests` writes, all of it or nothing."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..catalog import MODEL_SETTINGS, SERVER_SETTINGS, read_settings
from ..errors import ConfigurationError
from .deployment import Stage

NOTES = "NOTES.md"
FIRST_LINE = "<!-- Written by `infergraph manifests`: change its options, not this folder. -->"
MODELS = "models"
"""The tree of model folders to upload."""
_PIPELINE = "pipeline.yaml"


@dataclass(frozen=True)
class Rendered:
    """Files of a folder.

    Attributes:
        files: Content by name, in the order in which it is applied.
        stages: Models and routers whose folders are to be uploaded; each goes into `models/`.
    """

    files: Mapping[str, str]
    stages: tuple[Stage, ...] = field(default=())

    @property
    def text(self) -> str:
        """All that is applied, as one stream of YAML."""
        return "".join(
            f"---\n# {name}\n{content}"
            for name, content in self.files.items()
            if name.endswith((".yaml", ".yml"))
        )

    def write(self, folder: Path) -> None:
        """Writes the folder; one that was written before is replaced, as a whole.

        Raises:
            ConfigurationError: the folder holds something else, or cannot be written.
        """
        try:
            if folder.is_symlink():
                # The link stays.
                folder = Path(os.path.realpath(folder))
            _check_own(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            try:
                self._fill(new)
                _replace(folder, new)
            finally:
                shutil.rmtree(new, ignore_errors=True)
        except OSError as error:
            raise ConfigurationError(
                f"--output {folder}: cannot be written: {error.strerror or error}; "
                "name another folder"
            ) from None

    def _fill(self, folder: Path) -> None:
        for name, content in self.files.items():
            (folder / name).write_text(content, encoding="utf-8")
        for stage in self.stages:
            copy_model(stage, folder / MODELS / stage.declaration.name)
        # Containers run as any user, and may have to read it where it is.
        for each in (folder, *folder.rglob("*")):
            each.chmod(each.stat().st_mode | (0o755 if each.is_dir() else 0o644))


def _check_own(folder: Path) -> None:
    if not folder.exists():
        return
    notes = folder / NOTES
    own = notes.is_file() and notes.read_bytes().startswith(FIRST_LINE.encode())
    if not folder.is_dir() or (not own and any(folder.iterdir())):
        raise ConfigurationError(
            f"--output {folder}: it holds what this command did not write; name an empty folder or "
            "a new one"
        )


def _replace(folder: Path, new: Path) -> None:
    if not folder.exists():
        new.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        os.replace(folder, old)
        new.rename(folder)
    finally:
        # Also after Ctrl-C between the two.
        if not folder.exists():
            os.replace(old, folder)
        shutil.rmtree(old, ignore_errors=True)


def copy_model(stage: Stage, to: Path) -> None:
    """Copies a model's folder as a server elsewhere needs it.

    Links do not travel: what they lead to is copied in their place. A server's own settings are
    left out, as they would go before the environment. A router has its pipeline's file beside its
    settings.

    Raises:
        ConfigurationError: something in the folder cannot be copied, such as a link to nothing.
        OSError: nothing can be written.
    """
    if to.exists():
        return
    try:
        shutil.copytree(stage.folder, to, ignore=shutil.ignore_patterns(SERVER_SETTINGS))
    except shutil.Error as error:
        source, _, reason = error.args[0][0]
        raise ConfigurationError(f"{source}: cannot be copied: {reason}") from None
    if stage.pipeline is not None:
        shutil.copyfile(stage.pipeline, to / _PIPELINE)
        settings = read_settings(to / MODEL_SETTINGS)
        given = settings.get("parameters") or {}
        settings["parameters"] = {**given, "uri": f"./{_PIPELINE}"}
        text = json.dumps(settings, indent=2, ensure_ascii=False)
        (to / MODEL_SETTINGS).write_text(f"{text}\n", encoding="utf-8")
