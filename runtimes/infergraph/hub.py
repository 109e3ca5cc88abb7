"""Checkpoints of a Hugging Face hub, and other files of the network, in their caches.

What is in the cache is used as it is, without any network call. What is not is fetched: an answer
must come within `ANSWER_S`; once bytes flow, no time limits them, and they are logged.

The library `huggingface_hub` reads the environment (HF_HOME, HF_ENDPOINT, HF_TOKEN,
HF_HUB_OFFLINE, ...), talks to the hub and lays its cache out.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import logging
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from huggingface_hub import HfApi, constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import tqdm

from .errors import ConfigurationError
from .weights import (
    BIN,
    PROGRESS,
    SAFETENSORS,
    find_weights,
    is_index,
    parts_of,
    weights_in,
)

logger = logging.getLogger(__name__)
Value = TypeVar("Value")

ANSWER_S = 15.0
"""The longest that a server may take to answer, from the first attempt to reach it."""

_LOGGED_EVERY_S = 10.0
_SOCKET_S = 10.0
_STALLED_S = 60.0
_MAIN = "main"
_CONFIG = "config.json"

# Configurations, vocabularies and texts of licences: what loaders of any task ask for. Never code,
# and no weights of other frameworks.
_SMALL = re.compile(
    r"[^/]+\.(json|txt|model|spm|jinja|tiktoken|bpe)|(README|LICENSE|NOTICE)[^/]*", re.IGNORECASE
)


class Progress:
    """What a download has done so far; told by its thread, looked at by the one that waits."""

    def __init__(self, what: str, total: int = 0) -> None:
        self.what = what
        self.total = total
        self._bytes = 0
        self._open = 0
        self._heard = self._logged = time.monotonic()
        self._logged_bytes = 0
        self._lock = threading.Lock()

    def opened(self) -> None:
        """Bytes of a file begin to come."""
        with self._lock:
            self._open += 1
            self._heard = time.monotonic()

    def closed(self) -> None:
        """A file has come, or has failed to."""
        with self._lock:
            self._open -= 1
            self._heard = time.monotonic()

    def add(self, count: int) -> None:
        """So many bytes more have come."""
        with self._lock:
            self._bytes += count
            self._heard = time.monotonic()

    @property
    def silent_s(self) -> float:
        """Seconds for which an answer has been waited for; 0 while a file is coming."""
        with self._lock:
            return 0.0 if self._open else time.monotonic() - self._heard

    def log(self) -> None:
        """Logs how much has come, if the last time was a while ago, and a file is still coming."""
        now = time.monotonic()
        # Libraries count in large pieces; where nothing at all comes, they fail.
        still = self._open or self._bytes != self._logged_bytes
        if now - self._logged < _LOGGED_EVERY_S or not still:
            return
        self._logged, self._logged_bytes = now, self._bytes
        of = f" of {_megabytes(self.total)}" if self.total else ""
        logger.info("%s %s%s of %s", PROGRESS, _megabytes(self._bytes), of, self.what)

    def bar(self) -> type[Any]:
        """A class of progress bars for `huggingface_hub` that draw nothing and tell this object."""
        progress = self

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
    host = _host(constants.ENDPOINT)
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
                tqdm_class=progress.bar(),
            )

    try:
        info = watched(ask, Progress(what))
        commit = info.sha
        sizes = {each.rfilename: each.size or 0 for each in info.siblings or ()}
        files = _chosen(list(sizes), weights, what)
        missing = [
            file
            for file in files
            if not isinstance(
                try_to_load_from_cache(id, file, cache_dir=cache, revision=commit), str
            )
        ]
        if missing:
            total = sum(sizes[file] for file in missing)
            size = _megabytes(total)
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


def fetch_file(url: str, path: Path, sha256: str) -> None:
    """Fetches a file, unless it is there, and checks it, also one that was there.

    Args:
        url: Where it is.
        path: Where it goes; it appears there when all of it has come.
        sha256: What the hash of its contents begins with, in hexadecimal digits.

    Raises:
        ConfigurationError: it is damaged, its server cannot be reached or has no such file, or
            HF_HUB_OFFLINE is set and it is not there.
    """
    if path.is_file():
        found = _sha256(path)
        if not found.startswith(sha256):
            raise ConfigurationError(
                f"the file {path} is damaged: its SHA-256 begins with {found[: len(sha256)]}, not "
                f"with {sha256}; remove it, and it is fetched again"
            )
        return
    what = f"'{path.name}' from {_host(url)}"
    if constants.HF_HUB_OFFLINE:
        raise ConfigurationError(
            f"{path} is not there, and HF_HUB_OFFLINE forbids to fetch it; `infergraph fetch` gets "
            "it where there is a network"
        )
    part = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")

    def fetch(progress: Progress) -> str:
        hashed = hashlib.sha256()
        with urllib.request.urlopen(url, timeout=_STALLED_S) as source, part.open("wb") as target:
            progress.total = int(source.headers.get("Content-Length") or 0)
            progress.opened()
            try:
                while block := source.read(2**18):
                    hashed.update(block)
                    target.write(block)
                    progress.add(len(block))
            finally:
                progress.closed()
        return hashed.hexdigest()

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        logger.info("%s %s", PROGRESS, what)
        found = watched(fetch, Progress(what))
        if not found.startswith(sha256):
            raise ConfigurationError(
                f"{what} came damaged: its SHA-256 begins with {found[: len(sha256)]}, not with "
                f"{sha256}"
            )
        os.replace(part, path)
    except ConfigurationError:
        raise
    except urllib.error.HTTPError as error:
        with error:
            raise ConfigurationError(f"cannot fetch {what}: status {error.code}") from None
    except Exception as error:
        raise ConfigurationError(f"cannot fetch {what}: {_in_words(error)}") from None
    finally:
        part.unlink(missing_ok=True)


def watched(call: Callable[[Progress], Value], progress: Progress) -> Value:
    """What a call to the network gives; logs its progress.

    Raises:
        ConfigurationError: nothing came within `ANSWER_S`. The call then goes on in a thread that
            nobody waits for: sockets know no limit of all the addresses and attempts together.
    """
    outcome: concurrent.futures.Future[Value] = concurrent.futures.Future()

    def work() -> None:
        try:
            outcome.set_result(call(progress))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=work, name="infergraph-fetch", daemon=True).start()
    while not concurrent.futures.wait([outcome], timeout=0.5).done:
        if progress.silent_s > ANSWER_S:
            raise ConfigurationError(
                f"cannot fetch {progress.what}: nothing came within {ANSWER_S:g} s"
            )
        progress.log()
    return outcome.result()


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
    return f"cannot fetch it from {host}: {_in_words(error)}"


def _host(url: str) -> str:
    """The host and port of a URL, without the credentials that may stand before them."""
    return urlsplit(url).netloc.rpartition("@")[2] or url


def _in_words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _move_branch(reference: Path, commit: str) -> None:
    if reference.is_file() and reference.read_text(encoding="utf-8") == commit:
        return
    reference.parent.mkdir(parents=True, exist_ok=True)
    written = reference.with_name(f"{reference.name}.{os.getpid()}.{threading.get_ident()}")
    written.write_text(commit, encoding="utf-8")
    os.replace(written, reference)


def _is_whole(file: Path, digest: str) -> bool:
    if re.fullmatch(r"[0-9a-f]{64}", digest):
        return _sha256(file) == digest
    if re.fullmatch(r"[0-9a-f]{40}", digest):
        hashed = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
        return _hashed(file, hashed) == digest
    return True


def _sha256(file: Path) -> str:
    return _hashed(file, hashlib.sha256())


def _hashed(file: Path, hashed: Any) -> str:
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            hashed.update(block)
    digest: str = hashed.hexdigest()
    return digest


def _megabytes(count: float) -> str:
    return f"{count / 1e6:,.1f} MB"
