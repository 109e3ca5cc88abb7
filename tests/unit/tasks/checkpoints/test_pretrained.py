"""Loading checkpoints from several threads, as a server does with its models, and from a hub."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCTC,
    AutoModelForImageClassification,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    BartConfig,
    BartForConditionalGeneration,
    BertForQuestionAnswering,
)

from infergraph.checkpoints import locate
from infergraph.devices import Placement
from infergraph.errors import ConfigurationError
from infergraph.tasks.checkpoints.pretrained import load_config, load_network, load_tokenizer
from infergraph.tasks.vision.detectors import load_detector
from tests.checkpoints import bert_qa, marian, pegasus, wav2vec2
from tests.checkpoints.images import resnet
from tests.imitation_hub import ImitationHub, files_of, serving, use_hub

CPU = Placement(torch.device("cpu"), torch.float32, compile=False)
HALF = Placement(torch.device("cpu"), torch.bfloat16, compile=False)


def tied(folder: Path) -> str:
    """An encoder-decoder whose words have one embedding in encoder, decoder and output."""
    sizes = {f"{part}_layers": 1 for part in ("encoder", "decoder")}
    heads = {f"{part}_attention_heads": 2 for part in ("encoder", "decoder")}
    widths = {f"{part}_ffn_dim": 16 for part in ("encoder", "decoder")}
    config = BartConfig(
        vocab_size=32, d_model=16, max_position_embeddings=16, **sizes, **heads, **widths
    )
    assert config.tie_word_embeddings
    BartForConditionalGeneration(config).save_pretrained(folder)
    return str(folder)


def test_networks_that_are_loaded_at_the_same_time_are_whole(tmp_path: Path) -> None:
    jobs = [
        (AutoModelForSeq2SeqLM, tied(tmp_path / "tied")),
        (AutoModelForQuestionAnswering, bert_qa(tmp_path / "bert")),
    ] * 8
    with ThreadPoolExecutor(4) as pool:
        networks = list(pool.map(lambda job: load_network(*job, CPU), jobs))
    for writer in networks[::2]:
        # Tied weights are not in the file; one of them lost is a network of random words.
        assert writer.lm_head.weight.data_ptr() == writer.model.shared.weight.data_ptr()
    for first, other in zip(networks[:2], networks[2:4], strict=True):
        expected = first.state_dict()
        for name, values in other.state_dict().items():
            torch.testing.assert_close(values, expected[name], rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["compact-fcos", "yolos"])
def test_weights_are_not_rounded_by_a_load_in_another_format_at_the_same_time(
    tmp_path: Path, checkpoint: Callable[[str], str], kind: str
) -> None:
    def load() -> dict[str, Any]:
        found: Any = load_detector(checkpoint(kind), CPU, threshold=0.5, max_batch_size=1)
        state: dict[str, Any] = found._network.state_dict()
        return state

    other = tied(tmp_path / "tied")
    expected = load()
    ended = threading.Event()

    def load_in_half() -> None:
        while not ended.is_set():
            load_network(AutoModelForSeq2SeqLM, other, HALF)

    with ThreadPoolExecutor(3) as pool:
        halves = [pool.submit(load_in_half) for _ in range(2)]
        try:
            states = [load() for _ in range(4)]
        finally:
            ended.set()
        for half in halves:
            half.result()
    for state in states:
        assert state.keys() == expected.keys()
        for name, values in state.items():
            assert values.dtype == expected[name].dtype
            assert torch.equal(values, expected[name]), name


def test_what_computes_while_another_model_loads_sees_the_usual_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bert_qa(tmp_path)
    build = BertForQuestionAnswering.__init__
    seen = []

    def built(self: Any, *arguments: Any, **more: Any) -> None:
        with ThreadPoolExecutor(1) as pool:
            seen.append(pool.submit(lambda: torch.tensor(1 / 3)).result())
        build(self, *arguments, **more)

    monkeypatch.setattr(BertForQuestionAnswering, "__init__", built)
    network = load_network(AutoModelForQuestionAnswering, folder, HALF)

    assert [each.dtype for each in seen] == [torch.float32]
    stored = load_file(Path(folder) / "model.safetensors")
    state = network.state_dict()
    for name, values in stored.items():
        assert torch.equal(state[name], values.bfloat16()), name


def without(folder: str, *ends: str) -> str:
    """The checkpoint, without the weights whose names end so."""
    weights = Path(folder) / "model.safetensors"
    kept = {name: each for name, each in load_file(weights).items() if not name.endswith(ends)}
    save_file(kept, weights, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("build", "auto_class", "ends", "said"),
    [
        (
            bert_qa,
            AutoModelForQuestionAnswering,
            ("layer.0.attention.self.key.bias",),
            "has not all weights of a BertForQuestionAnswering: it lacks "
            "bert.encoder.layer.0.attention.self.key.bias",
        ),
        (
            bert_qa,
            AutoModelForQuestionAnswering,
            ("layer.0.attention.self.key.bias", "qa_outputs.bias"),
            "was not trained as a BertForQuestionAnswering: it lacks qa_outputs.bias and 1 more",
        ),
        (
            marian,
            AutoModelForSeq2SeqLM,
            ("encoder.layers.0.fc1.weight", "_attn.q_proj.bias", "_attn.v_proj.bias"),
            "has not all weights of a MarianMTModel: it lacks "
            "model.decoder.layers.0.encoder_attn.q_proj.bias, ",
        ),
        (
            wav2vec2,
            AutoModelForCTC,
            ("layers.0.attention.k_proj.weight",),
            "has not all weights of a Wav2Vec2ForCTC: it lacks ",
        ),
    ],
)
def test_a_checkpoint_that_lacks_weights_is_refused(
    tmp_path: Path, build: Callable[[Path], str], auto_class: type, ends: tuple[str], said: str
) -> None:
    folder = without(build(tmp_path), *ends)
    with pytest.raises(ConfigurationError) as caught:
        load_network(auto_class, folder, CPU)

    assert str(caught.value).startswith(f"the checkpoint '{folder}' {said}")


def test_a_checkpoint_of_fewer_layers_than_its_configuration_is_refused(tmp_path: Path) -> None:
    folder = bert_qa(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["num_hidden_layers"] += 1
    (tmp_path / "config.json").write_text(json.dumps(config))

    with pytest.raises(ConfigurationError, match=r"it lacks bert\.encoder\..* and 12 more$"):
        load_network(AutoModelForQuestionAnswering, folder, CPU)


def test_what_only_training_looks_at_may_be_lacking(tmp_path: Path) -> None:
    speech = wav2vec2(tmp_path / "speech")
    expected = load_network(AutoModelForCTC, speech, CPU).state_dict()
    found = load_network(AutoModelForCTC, without(speech, "masked_spec_embed"), CPU).state_dict()
    for name, values in found.items():
        if not name.endswith("masked_spec_embed"):
            assert torch.equal(values, expected[name]), name
    pictures = resnet(tmp_path / "pictures")
    load_network(AutoModelForImageClassification, without(pictures, "num_batches_tracked"), CPU)


def test_positions_that_follow_a_rule_may_be_lacking(tmp_path: Path) -> None:
    """As in the checkpoints of Pegasus on the hub."""
    folder = pegasus(tmp_path)
    expected = load_network(AutoModelForSeq2SeqLM, folder, CPU).state_dict()
    lacking = without(folder, "embed_positions.weight")
    found = load_network(AutoModelForSeq2SeqLM, lacking, CPU).state_dict()
    assert found.keys() == expected.keys()
    for name, values in found.items():
        assert torch.equal(values, expected[name]), name


def as_bin(folder: str) -> dict[str, bytes]:
    """The files of a checkpoint, its weights as `.bin`."""
    weights = Path(folder) / "model.safetensors"
    torch.save(load_file(weights), Path(folder) / "pytorch_model.bin")
    weights.unlink()
    return files_of(folder)


@pytest.mark.parametrize("offline", [False, True])
def test_bin_is_read_as_tensors_only_online_and_offline(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    offline: bool,
) -> None:
    folder = bert_qa(tmp_path / "made")
    expected = load_network(AutoModelForQuestionAnswering, folder, CPU).state_dict()
    hub = ImitationHub()
    hub.add("owner/one", as_bin(folder))
    with serving(hub) as address:
        use_hub(monkeypatch, address, tmp_path / "cache")
        found = locate("owner/one", tmp_path)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        hub.asked.clear()
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="infergraph"):
            network = load_network(AutoModelForQuestionAnswering, found.path, CPU)

    assert hub.asked == []
    assert caplog.messages == [
        f"the checkpoint '{found.path}' has no safetensors: pytorch_model.bin is read as tensors "
        "only (weights_only)"
    ]
    for name, values in network.state_dict().items():
        assert torch.equal(values, expected[name]), name


class Code:
    """Pickled, it runs something when it is read."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("ran"),)


def test_code_in_bin_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = bert_qa(tmp_path / "made")
    as_bin(folder)
    torch.save({"weight": Code()}, Path(folder) / "pytorch_model.bin")

    with pytest.raises(ConfigurationError, match="cannot load the network"):
        load_network(AutoModelForQuestionAnswering, folder, CPU)

    assert not Path("ran").exists()


def test_loading_what_is_cached_calls_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = ImitationHub()
    hub.add("owner/one", files_of(marian(tmp_path / "made")))
    with serving(hub) as address:
        use_hub(monkeypatch, address, tmp_path / "cache")
        locate("owner/one", tmp_path)
        hub.asked.clear()
        found = locate("owner/one", tmp_path)
        load_config(found.path)
        load_tokenizer(found.path)
        load_network(AutoModelForSeq2SeqLM, found.path, CPU)

    assert hub.asked == []
