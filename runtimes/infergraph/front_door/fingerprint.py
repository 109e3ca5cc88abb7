"""`fingerprint`: tells whether a model's settings and files are as they were when it was loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import urlparse

from mlserver import ModelSettings
from mlserver.utils import to_absolute_path

MOST_FILES = 10_000
"""Files and folders that are looked at; a model of more cannot be compared."""

_WRITTEN_BY_IMPORTS = "__pycache__"


class _Incomparable(Exception):
    """The model has too many files, or some that are not on this machine."""


def fingerprint(settings: ModelSettings, most_files: int = MOST_FILES) -> str | None:
    """Digests a model's settings file, and the size and time of each file that belongs to it.

    These are the files below the folder of its model-settings.json, and `parameters.uri` with what
    is below it. Links are followed. It reads the file system: call it in a thread.

    Returns:
        Equal texts for equal files. None when nothing can be told: there are more than
        `most_files` files, one cannot be read, or `uri` is no local path.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        for line in islice(_described(settings, most_files), most_files + 1):
            digest.update(line.encode("utf-8", "surrogateescape") + b"\0")
            most_files -= 1
    except (_Incomparable, OSError):
        return None
    return digest.hexdigest() if most_files >= 0 else None


def _described(settings: ModelSettings, most_files: int) -> Iterator[str]:
    folder = None
    if settings._source is None:
        yield settings.model_dump_json()
    else:
        source = Path(settings._source).absolute()
        # Its text rather than the parsed settings, which MLServer may complete at random.
        yield source.read_text(encoding="utf-8", errors="surrogateescape")
        folder = source.parent
        yield from _files(folder, most_files)
    uri = settings.parameters.uri if settings.parameters else None
    if uri:
        parts = urlparse(uri)
        if parts.scheme not in ("", "file"):
            raise _Incomparable
        path = Path(to_absolute_path(settings, parts.path)).absolute()
        if folder is None or not path.is_relative_to(folder):
            yield from _files(path, most_files)


def _files(root: Path, most_files: int) -> Iterator[str]:
    """One line for each file and folder at and below `root`, ordered by their names."""
    if not root.is_dir():
        yield _line(root)
        return
    folders = [root]
    seen = set()
    while folders:
        folder = folders.pop()
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            continue  # a link to a folder that was looked at, perhaps to one above it
        seen.add((status.st_dev, status.st_ino))
        yield f"{folder}/"
        found = list(islice(folder.iterdir(), most_files + 1))
        if len(found) > most_files:
            raise _Incomparable
        for path in sorted(found):
            if not path.is_dir():
                yield _line(path)
            elif path.name != _WRITTEN_BY_IMPORTS:
                folders.append(path)


def _line(path: Path) -> str:
    try:
        status = path.stat()
    except FileNotFoundError:
        return f"{path} is absent"
    return f"{path} {status.st_size} {status.st_mtime_ns}"
