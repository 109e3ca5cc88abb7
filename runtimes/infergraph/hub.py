"""Checkpoints of a Hugging Face hub, in its cache.

What is in the cache is used as it is, without any network call; what is not is fetched.

The library `huggingface_hub` reads the environment (HF_HOME, HF_ENDPOINT, HF_TOKEN,
HF_HUB_OFFLINE, ...), talks to the hub and lays its cache out.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from huggingface_hub import HfApi, constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import tqdm

from .checkpoints import PROGRESS
from .download import Progress, hash_of, host_of, in_words, megabytes, sha256_of, watched
from .errors import ConfigurationError
from .weights import (
    BIN,
    SAFETENSORS,
    find_weights,
    is_index,
    parts_of,
    weights_in,
)

logger = logging.getLogger(__name__)

_SOCKET_S = 10.0
_WAITS_S = 10.0
_MAIN = "main"
_CONFIG = "config.json"

# Configurations, vocabularies and texts of licences: what loaders of any task ask for. Never code,
# and no weights of other frameworks.
_SMALL = re.compile(
    r"[^/]+\.(json|txt|model|spm|jinja|tiktoken|bpe)|(README|LICENSE|NOTICE)[^/]*", re.IGNORECASE
)


def snapshot(id: str, revision: str | None = None, *, weights: bool = True) -> Path:
    """The folder of a checkpoint: that of the cache, else fetched first.

    Args:
        id: `owner/name`.
        revision: A branch, a tag or a commit; None is `main`. A branch is what it was when it was
            fetched.
        weights: Whether its weights are needed, too.

    Raises:
        ConfigurationError: there is no such checkpoint, it has no weights that can be read, the hub
            cannot be reached, or HF_HUB_OFFLINE is set and the cache lacks it.
    """
    return cached_snapshot(id, revision, weights=weights) or fetch_snapshot(
        id, revision, weights=weights
    )


def cached_snapshot(
    id: str, revision: str | None = None, *, weights: bool = True, cache: Path | None = None
) -> Path | None:
    """The folder of a checkpoint in the cache; None where it lacks it or a part of its weights."""
    config = try_to_load_from_cache(id, _CONFIG, cache_dir=cache, revision=revision or _MAIN)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    try:
        if weights:
            weights_in(folder)
    except ConfigurationError:
        return None
    return folder


def fetch_snapshot(
    id: str, revision: str | None = None, *, weights: bool = True, cache: Path | None = None
) -> Path:
    """The folder of a checkpoint, of which the hub was asked, and all fetched that the cache lacks.

    Only configurations, vocabularies and weights are fetched: safetensors, or `.bin` where there
    are none. Weights come last, and a branch is moved when all is there, so that a download that
    was interrupted is never taken for a checkpoint. Raises as `snapshot`.

    Args:
        id: `owner/name`.
        revision: A branch, a tag or a commit; None is `main`.
        weights: Whether its weights are needed, too.
        cache: The folder of the cache; HF_HOME's unless given.
    """
    host = host_of(constants.ENDPOINT)
    name = id if revision is None else f"{id}@{revision}"
    if constants.HF_HUB_OFFLINE:
        raise ConfigurationError(
            f"checkpoint '{name}': not in the cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE "
            "forbids to fetch it; `infergraph fetch` gets it where there is a network"
        )
    what = f"'{name}' from {host}"
    api = HfApi(endpoint=constants.ENDPOINT)

    def ask(progress: Progress) -> Any:
        return api.model_info(id, revision=revision, files_metadata=True, timeout=_SOCKET_S)

    def fetch(progress: Progress) -> None:
        for file in files:
            hf_hub_download(
                id,
                file,
                revision=commit,
                cache_dir=cache,
                endpoint=constants.ENDPOINT,
                etag_timeout=_SOCKET_S,
                tqdm_class=_bar(progress),
            )

    try:
        info = watched(ask, Progress(what))
        commit = info.sha
        sizes = {each.rfilename: each.size or 0 for each in info.siblings or ()}
        files = _chosen(list(sizes), weights, what)
        with _alone(Path(cache or constants.HF_HUB_CACHE), id, what):
            missing = [
                file
                for file in files
                if not isinstance(
                    try_to_load_from_cache(id, file, cache_dir=cache, revision=commit), str
                )
            ]
            if missing:
                total = sum(sizes[file] for file in missing)
                size = megabytes(total)
                logger.info("%s %s, %d files, %s", PROGRESS, what, len(missing), size)
                watched(fetch, Progress(what, total))
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(f"checkpoint '{name}': {_reason(error, id, host)}") from None
    found = try_to_load_from_cache(id, files[-1], cache_dir=cache, revision=commit)
    folder = Path(str(found)).parent
    if weights:
        weights_in(folder)
    if revision != commit:
        _move_branch(folder.parent.parent / "refs" / (revision or _MAIN), commit)
    return folder


def verified_snapshot(id: str, revision: str | None = None, *, cache: Path | None = None) -> Path:
    """As `fetch_snapshot`; all files are checked, and those that are damaged are fetched again.

    With HF_HUB_OFFLINE what is in the cache is only checked.

    Raises:
        ConfigurationError: as `snapshot`; or a file is damaged, offline or a second time.
    """
    offline = constants.HF_HUB_OFFLINE
    folder = cached_snapshot(id, revision, cache=cache) if offline else None
    folder = folder or fetch_snapshot(id, revision, cache=cache)
    damaged = damaged_files(folder)
    if damaged and not offline:
        logger.warning("%s: damaged, and fetched again: %s", folder, ", ".join(damaged))
        for name in damaged:
            (folder / name).resolve().unlink()
            (folder / name).unlink()
        folder = fetch_snapshot(id, folder.name, cache=cache)
        damaged = damaged_files(folder)
    if damaged:
        raise ConfigurationError(f"checkpoint '{id}': damaged in {folder}: {', '.join(damaged)}")
    return folder


def damaged_files(folder: Path) -> list[str]:
    """The names of a cached checkpoint's files whose contents are not what the hub said.

    The cache names what it holds by hashes: SHA-256 of large files, Git's SHA-1 of others. Files
    that are no links into it, on systems without links, are not looked at.
    """
    return [
        file.name
        for file in sorted(folder.iterdir())
        if file.is_symlink() and not _is_whole(file, os.path.basename(os.readlink(file)))
    ]


@contextmanager
def _alone(cache: Path, id: str, what: str) -> Iterator[None]:
    """One thread of one process fetches a repository; others wait, and then find it in the cache.

    The library locks single files; that another one is waited for would not be seen from here.
    """
    folder = cache / ".locks" / f"models--{id.replace('/', '--')}"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "infergraph.lock")
    while True:
        try:
            lock.acquire(timeout=_WAITS_S)
            break
        except Timeout:
            logger.info("%s %s, by another model or process", PROGRESS, what)
    try:
        yield
    finally:
        lock.release()


def _chosen(names: Sequence[str], weights: bool, what: str) -> list[str]:
    """The files of a repository to fetch, weights last."""
    small = [name for name in names if _SMALL.fullmatch(name) and not is_index(name)]
    if not weights:
        return small
    found = find_weights(names)
    if found is None:
        raise ConfigurationError(
            f"cannot use {what}: it has no weights that are read here; accepted: {SAFETENSORS} or "
            f"{BIN}, whole or in parts; it has {', '.join(sorted(set(names) - set(small)))}"
        )
    return [*small, found, *(parts_of(found, names) if is_index(found) else ())]


def _bar(progress: Progress) -> type[Any]:
    """A class of progress bars for `huggingface_hub` that draw nothing, and tell `progress`."""

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            progress.opened()
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]
            self._told = False

        def update(self, n: float | None = 1) -> None:
            progress.add(int(n or 0))

        def update_transfer(self, n: float | None = 1) -> None:
            """What Xet has received and not yet written: it counts when it is written."""
            progress.add(0)

        def set_transfer_postfix_str(self, *_: Any, **__: Any) -> None:
            pass

        def close(self) -> None:
            if not getattr(self, "_told", True):
                self._told = True
                progress.closed()
            super().close()

    return Bar


def _reason(error: Exception, id: str, host: str) -> str:
    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if isinstance(error, GatedRepoError):
        return (
            f"{host} gives it only to those who accepted its terms: do so at {host}/{id}, and set "
            "HF_TOKEN"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"{host} has '{id}', but not this revision"
    if isinstance(error, RepositoryNotFoundError):
        return f"{host} has no such repository, or shows it only to a token's owner (HF_TOKEN)"
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        return f"{host} answers with status {error.response.status_code}"
    return f"cannot fetch it from {host}: {in_words(error)}"


def _move_branch(reference: Path, commit: str) -> None:
    if reference.is_file() and reference.read_text(encoding="utf-8") == commit:
        return
    reference.parent.mkdir(parents=True, exist_ok=True)
    written = reference.with_name(f"{reference.name}.{os.getpid()}.{threading.get_ident()}")
    written.write_text(commit, encoding="utf-8")
    os.replace(written, reference)


def _is_whole(file: Path, digest: str) -> bool:
    if re.fullmatch(r"[0-9a-f]{64}", digest):
        return sha256_of(file) == digest
    if re.fullmatch(r"[0-9a-f]{40}", digest):
        hashed = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
        return hash_of(file, hashed) == digest
    return True
