from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from mlserver import MLModel, ModelSettings
from mlserver.repository.load import load_model_settings

from infergraph.front_door.fingerprint import fingerprint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder, whose weights are a link to a folder elsewhere."""
    folder = tmp_path / "m"
    (folder / "sub").mkdir(parents=True)
    write_settings(folder)
    (folder / "sub" / "labels.txt").write_text("a b")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "weights").write_text("1234")
    (folder / "embedded").symlink_to(tmp_path / "store")
    return folder


def write_settings(folder: Path, **parameters: object) -> None:
    (folder / "model-settings.json").write_text(
        json.dumps({"name": "m", "implementation": "mlserver.MLModel", "parameters": parameters})
    )


def read(folder: Path) -> ModelSettings:
    return load_model_settings(str(folder / "model-settings.json"))


def touch(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "settings": lambda folder: write_settings(folder, extra={"variant": "base"}),
    "size": lambda folder: (folder / "sub" / "labels.txt").write_text("a b c"),
    "time": lambda folder: touch(folder / "sub" / "labels.txt"),
    "added": lambda folder: (folder / "sub" / "more").write_text(""),
    "empty folder": lambda folder: (folder / "empty").mkdir(),
    "removed": lambda folder: (folder / "sub" / "labels.txt").unlink(),
    "renamed": lambda folder: (folder / "sub").rename(folder / "sup"),
    "behind a link": lambda folder: touch(folder / "embedded" / "weights"),
    "broken link": lambda folder: (folder / "broken").symlink_to("nowhere"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_files_changes_it(folder: Path, change: str) -> None:
    before = fingerprint(read(folder))
    assert before is not None
    assert fingerprint(read(folder)) == before

    CHANGES[change](folder)

    after = fingerprint(read(folder))
    assert after is not None
    assert after != before


def test_what_importing_writes_does_not(folder: Path) -> None:
    before = fingerprint(read(folder))
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "runtime.pyc").write_text("")

    assert fingerprint(read(folder)) == before


def test_a_link_to_a_folder_above_ends(folder: Path) -> None:
    (folder / "sub" / "loop").symlink_to(folder)

    assert fingerprint(read(folder)) is not None


def test_a_uri_elsewhere_belongs_to_the_model(folder: Path, tmp_path: Path) -> None:
    pipeline = tmp_path / "pipeline.yaml"
    write_settings(folder, uri="../pipeline.yaml")
    absent = fingerprint(read(folder))
    pipeline.write_text("a: b")
    before = fingerprint(read(folder))
    touch(pipeline)

    assert None not in (absent, before)
    assert len({absent, before, fingerprint(read(folder))}) == 3


@pytest.mark.parametrize("uri", ["s3://bucket/model", "https://host/model"])
def test_a_remote_uri_cannot_be_compared(folder: Path, uri: str) -> None:
    write_settings(folder, uri=uri)

    assert fingerprint(read(folder)) is None


def test_too_many_files_cannot_be_compared(folder: Path) -> None:
    # The settings' text, three folders, and three files.
    assert fingerprint(read(folder), 7) is not None
    assert fingerprint(read(folder), 6) is None
    assert fingerprint(read(folder), 1) is None


def test_settings_that_are_gone_cannot_be_compared(folder: Path) -> None:
    settings = read(folder)
    (folder / "model-settings.json").unlink()

    assert fingerprint(settings) is None


def test_values_that_settings_draw_at_random_do_not_count(folder: Path) -> None:
    write_settings(folder, autogenerate_inference_pool_gid=True)
    first, second = read(folder), read(folder)
    assert first.parameters is not None
    assert first != second

    assert fingerprint(first) == fingerprint(second)


def test_settings_without_a_file_are_compared_by_their_values() -> None:
    name = uuid.uuid4().hex
    first, same, other = (
        ModelSettings(name=each, implementation=MLModel) for each in (name, name, "other")
    )

    assert fingerprint(first) == fingerprint(same) != fingerprint(other)
