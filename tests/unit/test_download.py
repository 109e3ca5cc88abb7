"""Single files, and how long their servers are waited for."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from infergraph import download
from infergraph.download import Progress, fetch_file, watched
from infergraph.errors import ConfigurationError
from tests.imitation_hub import ImitationHub, serving, use_hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ImitationHub]:
    found = ImitationHub()
    with serving(found) as address:
        use_hub(monkeypatch, address, tmp_path / "cache")
        yield found


def test_a_file_is_fetched_once_and_checked_each_time(hub: ImitationHub, tmp_path: Path) -> None:
    hub.add("owner/one", {"model.safetensors": b"weights"})
    url = f"{constants.ENDPOINT}/owner/one/resolve/main/model.safetensors"
    digest = hashlib.sha256(b"weights").hexdigest()[:8]
    file = tmp_path / "home" / "weights.pth"

    fetch_file(url, file, digest)
    fetch_file(url, file, digest)

    assert file.read_bytes() == b"weights"
    assert len(hub.asked) == 1
    file.write_bytes(b"weightz")
    with pytest.raises(ConfigurationError, match=f"{file} is damaged: its SHA-256 begins with "):
        fetch_file(url, file, digest)


def test_a_file_that_comes_damaged_is_not_kept(hub: ImitationHub, tmp_path: Path) -> None:
    hub.add("owner/one", {"model.safetensors": b"weights"})
    url = f"{constants.ENDPOINT}/owner/one/resolve/main/model.safetensors"

    with pytest.raises(ConfigurationError, match="came damaged: its SHA-256 begins with 9a129038"):
        fetch_file(url, tmp_path / "home" / "weights.pth", "00000000")

    assert list((tmp_path / "home").iterdir()) == []


def test_a_file_that_is_not_there_is_said_so(
    hub: ImitationHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.add("owner/one", {"model.safetensors": b"weights"})
    url = f"{constants.ENDPOINT}/owner/one/resolve/main/none.pth"

    with pytest.raises(ConfigurationError) as caught:
        fetch_file(url, tmp_path / "none.pth", "")
    host = constants.ENDPOINT.removeprefix("http://")
    assert str(caught.value) == f"cannot fetch 'none.pth' from {host}: status 404"

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    with pytest.raises(ConfigurationError, match=r"none\.pth is not there, and HF_HUB_OFFLINE"):
        fetch_file(url, tmp_path / "none.pth", "")
    assert hub.asked == []


def test_no_time_limits_a_file_that_is_coming_and_its_progress_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(download, "ANSWER_S", 0.0)
    monkeypatch.setattr(download, "_LOGGED_EVERY_S", 0.0)
    waited = threading.Event()
    log = Progress.log

    def logged(self: Progress) -> None:
        log(self)
        waited.set()

    monkeypatch.setattr(Progress, "log", logged)

    def call(progress: Progress) -> str:
        progress.add(1_500_000)
        assert waited.wait(60)
        return "come"

    progress = Progress("'it' from hub", total=3_000_000)
    progress.opened()
    with caplog.at_level(logging.INFO, logger=download.__name__):
        assert watched(call, progress) == "come"
    assert caplog.messages == ["fetching weights: 1.5 MB of 3.0 MB of 'it' from hub"]


def test_a_file_of_which_nothing_comes_for_long_is_no_progress(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(download, "_LOGGED_EVERY_S", 0.0)
    progress = Progress("'it' from hub")
    progress.opened()
    with caplog.at_level(logging.INFO, logger=download.__name__):
        progress.log()
        progress._heard -= 3600
        progress.log()
        progress.add(1)
        progress.log()
    assert caplog.messages == ["fetching weights: 0.0 MB of 'it' from hub"] * 2
