"""Fetching from an imitation of a hub, and what the cache holds afterwards."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from huggingface_hub import constants

from infergraph import download
from infergraph import hub as hubs
from infergraph.errors import ConfigurationError
from infergraph.hub import damaged_files, fetch_snapshot, snapshot
from tests.imitation_hub import ImitationHub, serving, use_hub

CONFIG = b'{"model_type": "bert"}'
FILES = {
    "config.json": CONFIG,
    "tokenizer.json": b"{}",
    "spiece.model": b"pieces",
    "LICENSE": b"MIT",
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"pickled",
    "tf_model.h5": b"others",
    "modeling_own.py": b"raise SystemExit",
    "onnx/model.onnx": b"others",
}
WANTED = {"config.json", "tokenizer.json", "spiece.model", "LICENSE", "model.safetensors"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ImitationHub]:
    found = ImitationHub()
    with serving(found) as address:
        use_hub(monkeypatch, address, tmp_path / "cache")
        yield found


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def test_only_what_loaders_read_is_fetched_and_then_nothing_is_asked(hub: ImitationHub) -> None:
    commit = hub.add("owner/one", FILES)

    folder = snapshot("owner/one")

    assert names(folder) == WANTED
    assert folder.name == commit
    assert (folder / "config.json").read_bytes() == CONFIG
    hub.asked.clear()
    assert snapshot("owner/one") == folder
    assert hub.asked == []


def test_without_safetensors_bin_is_fetched_and_nobody_is_asked_to_convert_it(
    hub: ImitationHub,
) -> None:
    files = {name: content for name, content in FILES.items() if name != "model.safetensors"}
    hub.add("owner/one", files)
    # What the hub's bot proposes, and nobody has looked at.
    hub.add("owner/one", {**files, "model.safetensors": b"proposed"}, "refs/pr/1")

    assert names(snapshot("owner/one")) == (WANTED - {"model.safetensors"}) | {"pytorch_model.bin"}
    assert not [each for each in hub.asked if "refs" in each or "discussions" in each]


@pytest.mark.parametrize("stem", ["model.safetensors", "pytorch_model.bin"])
def test_all_parts_of_weights_are_fetched(hub: ImitationHub, stem: str) -> None:
    name, _, suffix = stem.partition(".")
    parts = [f"{name}-0000{number}-of-00002.{suffix}" for number in (1, 2)]
    index = b'{"weight_map": {"a": "%s", "b": "%s"}}' % tuple(each.encode() for each in parts)
    files = {"config.json": CONFIG, f"{stem}.index.json": index, **dict.fromkeys(parts, b"part")}
    hub.add("owner/one", files | {"flax_model.msgpack.index.json": b"{}"})

    folder = snapshot("owner/one")

    assert names(folder) == set(files)
    (folder / parts[1]).unlink()
    hub.asked.clear()
    snapshot("owner/one")
    assert [each for each in hub.asked if parts[1] in each]


def test_where_only_the_configuration_is_needed_no_weights_are_fetched(hub: ImitationHub) -> None:
    hub.add("owner/one", FILES)

    assert names(snapshot("owner/one", weights=False)) == WANTED - {"model.safetensors"}
    assert names(snapshot("owner/one")) == WANTED


def test_a_revision_is_its_own(hub: ImitationHub) -> None:
    hub.add("owner/one", FILES)
    old = hub.add("owner/one", {**FILES, "config.json": b"{}"}, "v1")

    for revision in ("v1", old):
        assert (snapshot("owner/one", revision) / "config.json").read_bytes() == b"{}"
    assert (snapshot("owner/one") / "config.json").read_bytes() == CONFIG
    hub.asked.clear()
    assert (snapshot("owner/one", "v1") / "config.json").read_bytes() == b"{}"
    assert hub.asked == []


def test_a_branch_stays_what_it_was_until_it_is_fetched_again(hub: ImitationHub) -> None:
    first = hub.add("owner/one", FILES)
    snapshot("owner/one")
    second = hub.add("owner/one", {**FILES, "config.json": b"{}"})

    assert snapshot("owner/one").name == first
    assert fetch_snapshot("owner/one").name == second
    assert snapshot("owner/one").name == second


def test_a_download_that_was_interrupted_is_no_checkpoint(hub: ImitationHub) -> None:
    first = hub.add("owner/one", FILES)
    snapshot("owner/one")
    second = hub.add("owner/one", {**FILES, "model.safetensors": b"newer"})
    hub.failing.add("model.safetensors")

    with pytest.raises(ConfigurationError, match=r"checkpoint 'owner/one': .* with status 403"):
        fetch_snapshot("owner/one")

    assert snapshot("owner/one").name == first
    hub.failing.clear()
    assert fetch_snapshot("owner/one").name == second


def one_line(caught: pytest.ExceptionInfo[ConfigurationError]) -> str:
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return text


def host() -> str:
    return constants.ENDPOINT.removeprefix("http://")


def test_an_unreachable_hub_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serving(ImitationHub()) as address:
        pass
    use_hub(monkeypatch, address, tmp_path)

    with pytest.raises(ConfigurationError) as caught:
        snapshot("owner/one", "v1")

    assert one_line(caught).startswith(
        f"checkpoint 'owner/one@v1': cannot fetch it from {host()}: ConnectError: "
    )


def test_a_hub_that_never_answers_is_named_in_one_line(
    hub: ImitationHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ANSWER_S", 0.1)
    hub.silent = True

    with pytest.raises(ConfigurationError) as caught:
        snapshot("owner/one")

    assert one_line(caught) == f"cannot fetch 'owner/one' from {host()}: nothing came within 0.1 s"
    assert len(hub.asked) == 1


@pytest.mark.parametrize(
    ("id", "revision", "said"),
    [
        ("owner/none", None, "has no such repository, or shows it only to a token's owner"),
        ("owner/one", "v9", "has 'owner/one', but not this revision"),
        ("owner/keras", None, "it has no weights that are read here; accepted: model.safetensors"),
    ],
)
def test_what_the_hub_lacks_is_said(
    hub: ImitationHub, id: str, revision: str | None, said: str
) -> None:
    hub.add("owner/one", FILES)
    hub.add("owner/keras", {"config.json": CONFIG, "tf_model.h5": b"others"})

    with pytest.raises(ConfigurationError) as caught:
        snapshot(id, revision)

    assert id in one_line(caught)
    assert host() in str(caught.value)
    assert said in str(caught.value)


def test_offline_nothing_is_asked_and_the_cache_is_used(
    hub: ImitationHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("owner/one", FILES)
    hub.add("owner/two", FILES)
    folder = snapshot("owner/one")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()

    assert snapshot("owner/one") == folder
    with pytest.raises(ConfigurationError, match=r"'owner/two': not in the cache .* HF_HUB"):
        snapshot("owner/two")
    assert hub.asked == []


def test_damaged_files_of_the_cache_are_found(hub: ImitationHub) -> None:
    hub.add("owner/one", FILES)
    folder = snapshot("owner/one")
    assert damaged_files(folder) == []

    for name in ("config.json", "model.safetensors"):
        file = (folder / name).resolve()
        file.write_bytes(file.read_bytes()[::-1])

    assert damaged_files(folder) == ["config.json", "model.safetensors"]


def test_credentials_of_a_mirror_are_not_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serving(ImitationHub()) as address:
        pass
    use_hub(monkeypatch, address.replace("http://", "http://user:secret@"), tmp_path)

    with pytest.raises(ConfigurationError) as caught:
        snapshot("owner/one")

    assert address.removeprefix("http://") in one_line(caught)
    assert "secret" not in str(caught.value)


def test_what_another_model_fetches_is_waited_for(
    hub: ImitationHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hubs, "_WAITS_S", 0.05)
    hub.add("owner/one", FILES)
    hub.weights_may_go.clear()
    waiting = threading.Event()

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "by another model or process" in record.getMessage():
                waiting.set()

    handler = Listening()
    hubs.logger.addHandler(handler)
    try:
        with caplog.at_level(logging.INFO, logger="infergraph"), ThreadPoolExecutor(2) as pool:
            folders = [pool.submit(snapshot, "owner/one") for _ in range(2)]
            assert waiting.wait(60)
            hub.weights_may_go.set()
            assert folders[0].result() == folders[1].result()
    finally:
        hubs.logger.removeHandler(handler)

    sent = [each for each in hub.asked if each.startswith("GET") and "safetensors" in each]
    assert len(sent) == 1
