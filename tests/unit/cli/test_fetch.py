"""`infergraph fetch` and `infergraph convert`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.numpy import save

from infergraph import download
from infergraph.checkpoints import locate
from infergraph.cli import main
from infergraph.tasks.checkpoints import torchvision_checkpoint
from tests.imitation_hub import ImitationHub, serving, use_hub

WEIGHTS = save({"a": np.ones(1000, np.float32)})
FILES = {"config.json": b"{}", "model.safetensors": WEIGHTS}
VARIANTS = {"embedded": "./embedded", "base": "owner/base", "old": "owner/base@v1"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ImitationHub]:
    found = ImitationHub()
    with serving(found) as address:
        use_hub(monkeypatch, address, tmp_path / "cache")
        yield found


def choose(models: Path, **extra: Any) -> None:
    """Gives the model `hear` variants."""
    file = models / "hear" / "model-settings.json"
    settings = json.loads(file.read_text())
    settings["parameters"]["extra"] = {"variants": VARIANTS, **extra}
    file.write_text(json.dumps(settings))


def test_fetch_gets_and_checks_variants(
    models: Path, hub: ImitationHub, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(models, locator={"base": "owner/locator"})
    commit = hub.add("owner/base", FILES)
    old = hub.add("owner/base", {**FILES, "config.json": b'{"old": true}'}, "v1")
    locator = hub.add("owner/locator", FILES)

    assert main(["fetch", "hear", "--variant", "base", "--variant", "old"]) == 0

    cache = Path(constants.HF_HUB_CACHE)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ") for line in lines] == [
        [name, f"owner/{id}@{found}", "0.0 MB", f"{cache}/models--owner--{id}/snapshots/{found}"]
        for name, id, found in (
            ("base", "base", commit),
            ("old", "base", old),
            ("locator of base", "locator", locator),
        )
    ]
    hub.asked.clear()
    assert locate("owner/base@v1", models).name == f"owner/base@{old}"
    assert hub.asked == []


def test_what_is_in_the_models_folder_is_served_from_there(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(models)
    (models / "hear" / "embedded").mkdir()
    (models / "hear" / "embedded" / "model.safetensors").write_bytes(WEIGHTS)

    assert main(["fetch", "hear", "--to", str(tmp_path / "volume")]) == 0

    (line,) = capsys.readouterr().out.splitlines()
    assert line.split("  ")[:2] == ["embedded", "in place"]
    assert not (tmp_path / "volume").exists()


def test_fetch_mends_what_is_damaged(
    models: Path, hub: ImitationHub, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(models, variant="base")
    hub.add("owner/base", FILES)
    assert main(["fetch", "hear"]) == 0
    folder = Path(capsys.readouterr().out.split("  ")[-1].strip())
    (folder / "model.safetensors").resolve().write_bytes(WEIGHTS[::-1])

    assert main(["fetch", "hear"]) == 0

    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert "damaged, and fetched again: model.safetensors" in capsys.readouterr().err


def test_offline_fetch_only_checks(
    models: Path,
    hub: ImitationHub,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choose(models)
    hub.add("owner/base", FILES)
    monkeypatch.setenv("INFERGRAPH_HEAR__VARIANT", "base")
    assert main(["fetch", "hear"]) == 0
    folder = Path(capsys.readouterr().out.split("  ")[-1].strip())
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    assert main(["fetch", "hear"]) == 0
    (folder / "model.safetensors").resolve().write_bytes(WEIGHTS[::-1])
    capsys.readouterr()

    assert main(["fetch", "hear"]) == 2

    assert capsys.readouterr().err == (
        "infergraph fetch: model 'hear': 'base': checkpoint 'owner/base': damaged in "
        f"{folder}: model.safetensors\n"
    )
    assert hub.asked == []


def test_fetch_into_a_folder_that_serves_as_home(
    models: Path,
    hub: ImitationHub,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    choose(models)
    commit = hub.add("owner/base", FILES)
    files: list[Path] = []

    def fetch_file(url: str, path: Path, sha256: str) -> None:
        files.append(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")

    monkeypatch.setattr(download, "fetch_file", fetch_file)
    home = tmp_path / "home"
    arguments = ["--variant", "base", "--variant", "torchvision/alexnet", "--to", str(home)]

    assert main(["fetch", "hear", *arguments]) == 0

    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"Serve them with HF_HOME={home} TORCH_HOME={home} HF_HUB_OFFLINE=1"
    assert not Path(constants.HF_HUB_CACHE).exists()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert locate("owner/base", models).name == f"owner/base@{commit}"
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(home / "hub"))
    assert torchvision_checkpoint.fetch_published("torchvision/alexnet") == files[0] == files[1]


def test_fetch_of_what_is_in_place_checks_it(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(models)
    folder = models.resolve() / "hear" / "embedded"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)

    assert main(["fetch", "hear"]) == 0
    assert capsys.readouterr().out == f"embedded  in place  0.0 MB  {folder}\n"

    (folder / "model.safetensors").write_bytes(WEIGHTS[:-8])
    assert main(["fetch", "hear"]) == 2
    assert "model.safetensors is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fetch", "chain"], "'chain' is a pipeline; accepted: a model, one at a time"),
        (["fetch", "hear", "--variant", "none"], "'variant' = 'none' is unknown; accepted: base, "),
        (["fetch", "none"], "no model or pipeline 'none'"),
        (["convert", "none", "new"], "'none' is no folder"),
    ],
)
def test_mistakes_are_named(
    models: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    choose(models)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_variants_as_seldon_hands_them_on(
    models: Path, hub: ImitationHub, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(models, variants='{"base": "owner/base"}', variant="base")
    hub.add("owner/base", FILES)
    assert main(["fetch", "hear"]) == 0
    choose(models, variants="{base}")
    assert main(["fetch", "hear"]) == 2
    assert "setting 'variants': " in capsys.readouterr().err
