"""Which script trains which embedded checkpoint."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from zoo.checkpoint import TRAININGS, main

REPOSITORY = Path(__file__).parents[3]


def test_every_embedded_checkpoint_has_its_training() -> None:
    embedded = set()
    for file in (REPOSITORY / "model-settings").glob("*/model-settings.json"):
        extra = json.loads(file.read_text()).get("parameters", {}).get("extra", {})
        if extra.get("variants", {}).get("embedded") == "./embedded":
            embedded.add(file.parent.name)
    assert embedded == set(TRAININGS)


@pytest.mark.parametrize("model", TRAININGS)
def test_the_script_gets_the_models_arguments_and_the_rest(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, *own = TRAININGS[model]
    given: list[list[str]] = []
    monkeypatch.setattr(importlib.import_module(f"zoo.{script}"), "main", given.append)

    main([model, "--steps", "3"])
    main([model, "--output", "elsewhere"])

    assert given == [
        [*own, "--output", f"model-settings/{model}/embedded", "--steps", "3"],
        [*own, "--output", "elsewhere"],
    ]


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--list"])
    assert capsys.readouterr().out.split() == list(TRAININGS)


def test_an_unknown_model(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["sentimental"])
    assert "choose from 'speech-to-text', " in capsys.readouterr().err
