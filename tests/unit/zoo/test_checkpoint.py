"""Which script trains which embedded checkpoint."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

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


class _Read(Exception):
    """The arguments are read; nothing is trained."""


@pytest.mark.parametrize("model", TRAININGS)
def test_the_script_takes_the_models_arguments_and_those_of_a_quick_try(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, *own = TRAININGS[model]
    importlib.import_module(f"zoo.{script}")
    read = argparse.ArgumentParser.parse_args

    def stopped(*arguments: Any, **named: Any) -> None:
        raise _Read(read(*arguments, **named))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stopped)
    quick = ["--utterances=9", "--epochs=1"] if "speech-to-text" in model else ["--steps=3"]

    with pytest.raises(_Read) as caught:
        main([model, "--output", "elsewhere", "--threads=1", *quick])

    (arguments,) = caught.value.args
    assert (arguments.output, arguments.threads) == (Path("elsewhere"), 1)
    assert 3 in (vars(arguments).get("steps"), vars(arguments).get("epochs", 0) + 2)
    for name, value in zip(own[::2], own[1::2], strict=True):
        assert str(vars(arguments)[name.removeprefix("--")]) == value


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--list"])
    assert capsys.readouterr().out.split() == list(TRAININGS)


def test_an_unknown_model(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["sentimental"])
    assert "choose from 'speech-to-text', " in capsys.readouterr().err
