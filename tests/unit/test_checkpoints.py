from __future__ import annotations

from pathlib import Path

import pytest

from infergraph import hub
from infergraph.checkpoints import Checkpoint, locate, resolve_checkpoint, source_for
from infergraph.errors import ConfigurationError
from infergraph.settings import RuntimeOptions

VARIANTS = {"embedded": "./embedded", "base": "facebook/wav2vec2-base-960h"}


def options(variant: str, variants: dict[str, str] = VARIANTS) -> RuntimeOptions:
    return RuntimeOptions(variant=variant, variants=variants)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None, bool]]:
    """What a hub is asked for; each is there, at the commit `abc`."""
    asked = []

    def snapshot(id: str, revision: str | None, *, weights: bool) -> Path:
        asked.append((id, revision, weights))
        return Path("/cache/abc")

    monkeypatch.setattr(hub, "snapshot", snapshot)
    return asked


def test_a_local_variant_is_an_absolute_path(tmp_path: Path) -> None:
    (tmp_path / "embedded").mkdir()

    folder = str((tmp_path / "embedded").resolve())
    assert resolve_checkpoint(options("embedded"), tmp_path, "asr") == Checkpoint(folder, folder)


def test_an_id_without_a_folder_of_that_name_is_fetched_from_a_hub(
    tmp_path: Path, fetched: list[tuple[str, str | None, bool]]
) -> None:
    found = resolve_checkpoint(options("base"), tmp_path, "asr")

    assert found == Checkpoint("/cache/abc", "facebook/wav2vec2-base-960h@abc")
    assert fetched == [("facebook/wav2vec2-base-960h", None, True)]


def test_an_id_may_name_its_revision(
    tmp_path: Path, fetched: list[tuple[str, str | None, bool]]
) -> None:
    locate("owner/name@refs/tags/v1.0", tmp_path, weights=False)

    assert fetched == [("owner/name", "refs/tags/v1.0", False)]


def test_a_folder_of_the_hub_ids_name_is_local(tmp_path: Path) -> None:
    local = tmp_path / "facebook" / "wav2vec2-base-960h"
    local.mkdir(parents=True)

    assert resolve_checkpoint(options("base"), tmp_path, "asr").path == str(local.resolve())


@pytest.mark.parametrize("direct", [False, True])
def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path, direct: bool) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    chosen = options(str(elsewhere)) if direct else options("mine", {"mine": str(elsewhere)})

    assert resolve_checkpoint(chosen, tmp_path / "model", "asr").path == str(elsewhere.resolve())


@pytest.mark.parametrize("variants", [VARIANTS, {}])
def test_a_variant_may_be_an_id_or_a_folder_itself(
    tmp_path: Path,
    fetched: list[tuple[str, str | None, bool]],
    variants: dict[str, str],
) -> None:
    (tmp_path / "other").mkdir()

    assert resolve_checkpoint(options("./other", variants), tmp_path, "asr").path == str(
        (tmp_path / "other").resolve()
    )
    resolve_checkpoint(options("owner/name@v1", variants), tmp_path, "asr")
    assert fetched == [("owner/name", "v1", True)]


def test_ids_of_torchvision_are_left_to_it(
    tmp_path: Path, fetched: list[tuple[str, str | None, bool]]
) -> None:
    id = "torchvision/resnet50@IMAGENET1K_V1"

    assert resolve_checkpoint(options(id), tmp_path, "resnet") == Checkpoint(id, id)
    assert fetched == []


@pytest.mark.parametrize("checkpoint", ["./embedded", "../embedded", "/nowhere/embedded"])
def test_a_missing_local_checkpoint_says_how_to_get_one(tmp_path: Path, checkpoint: str) -> None:
    variants = {"embedded": checkpoint, "base": "facebook/wav2vec2-base-960h"}

    with pytest.raises(ConfigurationError) as caught:
        resolve_checkpoint(options("embedded", variants), tmp_path / "model", "asr")

    assert str(caught.value) == (
        f"model 'asr': variant 'embedded': no checkpoint at '{checkpoint}' in the model's folder; "
        "train it with `make checkpoint MODEL=asr`, or choose one of: base, embedded"
    )


@pytest.mark.parametrize("variant", ["large", "./nowhere", "/nowhere", "owner/name@", "a b/c"])
def test_an_unknown_variant_lists_what_is_accepted(
    tmp_path: Path, variant: str, fetched: list[tuple[str, str | None, bool]]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_checkpoint(options(variant), tmp_path, "asr")

    assert str(caught.value) == (
        f"model 'asr': setting 'variant' = '{variant}' is unknown; accepted: base, embedded; or a "
        "folder, absolute or in the model's folder, or an id such as owner/name@revision"
    )
    assert fetched == []


def test_without_variants_no_name_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="accepted: no name, as 'variants' is empty; or a"):
        resolve_checkpoint(options("embedded", {}), tmp_path, "asr")


@pytest.mark.parametrize("source", ["./nowhere", "/nowhere", "no such name"])
def test_a_missing_folder_is_no_id(tmp_path: Path, source: str) -> None:
    with pytest.raises(ConfigurationError, match=f"checkpoint '{source}': there is no such folder"):
        locate(source, tmp_path)


def test_a_further_checkpoint_may_be_named_by_variant() -> None:
    assert source_for("./one", "base") == "./one"
    assert source_for({"base": "./one", "*": "owner/two"}, "base") == "./one"
    assert source_for({"base": "./one", "*": "owner/two"}, "large") == "owner/two"
    assert source_for('{"base": "./one"}', "base") == "./one"
    assert source_for({"base": "./one"}, "large") is None
    assert source_for(None, "base") is None
    with pytest.raises(ConfigurationError, match="is not JSON"):
        source_for("{base}", "base")
