from __future__ import annotations

from pathlib import Path

import pytest

from infergraph.checkpoints import resolve_checkpoint
from infergraph.errors import ConfigurationError
from infergraph.settings import RuntimeOptions

VARIANTS = {"embedded": "./embedded", "base": "facebook/wav2vec2-base-960h"}


def options(variant: str, variants: dict[str, str] = VARIANTS) -> RuntimeOptions:
    return RuntimeOptions(variant=variant, variants=variants)


def test_a_local_variant_is_an_absolute_path(tmp_path: Path) -> None:
    (tmp_path / "embedded").mkdir()

    assert resolve_checkpoint(options("embedded"), tmp_path, "asr") == str(
        (tmp_path / "embedded").resolve()
    )


def test_an_id_without_a_folder_of_that_name_is_a_hub_id(tmp_path: Path) -> None:
    assert resolve_checkpoint(options("base"), tmp_path, "asr") == "facebook/wav2vec2-base-960h"


def test_a_folder_of_the_hub_ids_name_is_local(tmp_path: Path) -> None:
    local = tmp_path / "facebook" / "wav2vec2-base-960h"
    local.mkdir(parents=True)

    assert resolve_checkpoint(options("base"), tmp_path, "asr") == str(local.resolve())


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    resolved = resolve_checkpoint(
        options("mine", {"mine": str(elsewhere)}), tmp_path / "model", "asr"
    )

    assert resolved == str(elsewhere.resolve())


@pytest.mark.parametrize("checkpoint", ["./embedded", "../embedded", "/nowhere/embedded"])
def test_a_missing_local_checkpoint_says_how_to_get_one(tmp_path: Path, checkpoint: str) -> None:
    variants = {"embedded": checkpoint, "base": "facebook/wav2vec2-base-960h"}

    with pytest.raises(ConfigurationError) as caught:
        resolve_checkpoint(options("embedded", variants), tmp_path / "model", "asr")

    assert str(caught.value) == (
        f"model 'asr': variant 'embedded': no checkpoint at '{checkpoint}' in the model's folder; "
        "train it with `make checkpoint MODEL=asr`, or choose one of: base, embedded"
    )


def test_an_unknown_variant_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_checkpoint(options("large"), tmp_path, "asr")

    assert str(caught.value) == (
        "model 'asr': setting 'variant' = 'large' is unknown; accepted: base, embedded"
    )


def test_without_variants_none_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="accepted: none: 'variants' is empty"):
        resolve_checkpoint(options("embedded", {}), tmp_path, "asr")
