from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForQuestionAnswering, AutoModelForSeq2SeqLM

from infergraph.devices import Placement
from infergraph.errors import ConfigurationError
from infergraph.tasks.checkpoints.conversion import convert
from infergraph.tasks.checkpoints.pretrained import load_network, load_tokenizer
from infergraph.tasks.vision.classifiers import load_classifier
from tests.checkpoints import bart, bert_qa
from tests.checkpoints.images import timm_resnet

CPU = Placement(torch.device("cpu"), torch.float32, compile=False)


def as_bin(folder: str, dtype: torch.dtype = torch.float32) -> Path:
    """A checkpoint, its weights as `.bin`, in which tied weights come twice."""
    weights = Path(folder) / "model.safetensors"
    state = {name: values.to(dtype) for name, values in load_file(weights).items()}
    if "model.shared.weight" in state:
        state["lm_head.weight"] = state["model.shared.weight"]
    torch.save(state, Path(folder) / "pytorch_model.bin")
    weights.unlink()
    return Path(folder)


@pytest.mark.parametrize(
    ("build", "auto_class"),
    [(bert_qa, AutoModelForQuestionAnswering), (bart, AutoModelForSeq2SeqLM)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_bin_becomes_safetensors(
    tmp_path: Path, build: Callable[[Path], str], auto_class: type, dtype: torch.dtype
) -> None:
    source = as_bin(build(tmp_path / "source"), dtype)
    (source / "modeling_own.py").touch()
    expected = load_network(auto_class, str(source), CPU).state_dict()

    target = convert(source, tmp_path / "made" / "target")

    names = {each.name for each in target.iterdir()}
    assert not {name for name in names if name.endswith((".bin", ".py"))}
    assert {each.dtype for each in load_file(target / "model.safetensors").values()} == {dtype}
    for name, values in load_network(auto_class, str(target), CPU).state_dict().items():
        assert torch.equal(values, expected[name]), name
    text = "Anna lives in Oslo."
    ids = [load_tokenizer(str(each))(text)["input_ids"] for each in (source, target)]
    assert ids[0] == ids[1]


def test_a_language_model_goes_along(tmp_path: Path) -> None:
    source = as_bin(bert_qa(tmp_path / "source"))
    (source / "language_model").mkdir()
    (source / "language_model" / "unigrams.txt").write_text("goat")

    target = convert(source, tmp_path / "target")

    assert (target / "language_model" / "unigrams.txt").read_text() == "goat"


def test_bin_of_timm_becomes_safetensors(tmp_path: Path) -> None:
    source = as_bin(timm_resnet(tmp_path / "source"))
    pixels = torch.rand(1, 3, 64, 64)

    target = convert(source, tmp_path / "target")

    assert (target / "model.safetensors").is_file()
    with torch.inference_mode():
        ours, theirs = (
            load_classifier(str(each), CPU).network(pixels) for each in (target, source)
        )
    assert torch.equal(ours, theirs)


def test_what_cannot_be_converted_is_said(tmp_path: Path) -> None:
    source = Path(bert_qa(tmp_path / "source"))
    with pytest.raises(ConfigurationError, match=r"has model\.safetensors; there is nothing to"):
        convert(source, tmp_path / "target")
    with pytest.raises(ConfigurationError, match="exists; accepted: a folder that does not"):
        convert(source, source)
    with pytest.raises(ConfigurationError, match="is no folder"):
        convert(tmp_path / "none", tmp_path / "target")
    as_bin(str(source))
    (source / "config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="names no class of transformers"):
        convert(source, tmp_path / "target")
    assert [each.name for each in tmp_path.iterdir()] == ["source"]


def test_a_checkpoint_that_lacks_weights_is_not_converted(tmp_path: Path) -> None:
    source = as_bin(bert_qa(tmp_path / "source"))
    state = torch.load(source / "pytorch_model.bin")
    lacking = next(name for name in state if name.endswith("attention.self.key.bias"))
    del state[lacking]
    torch.save(state, source / "pytorch_model.bin")

    with pytest.raises(ConfigurationError, match=rf"it lacks {lacking}"):
        convert(source, tmp_path / "target")
    assert [each.name for each in tmp_path.iterdir()] == ["source"]
