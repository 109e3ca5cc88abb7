"""Texts that share an encoder's rows are answered as if each were alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification

from infergraph.devices import Placement
from infergraph.tasks.checkpoints.pretrained import load_network
from infergraph.tasks.text.packing import Packing

from ..conftest import MODEL_SETTINGS

CPU = Placement(torch.device("cpu"), torch.float32, False)
LENGTHS = [9, 3, 20, 7, 3, 14, 1, 18, 5]


def texts_of(lengths: Sequence[int]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(4, 20, (length,), generator=generator) for length in lengths]


def batch_of(texts: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    ids = torch.nn.utils.rnn.pad_sequence(list(texts), batch_first=True, padding_value=1)
    lengths = torch.tensor([len(each) for each in texts])
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    return {"input_ids": ids, "attention_mask": mask}


class Widths:
    """Notes the shape of what a network's first layer computes."""

    def __init__(self, network: Any) -> None:
        self.seen: list[tuple[int, ...]] = []
        first = next(
            part for name, part in network.named_modules() if name.endswith(("layer.0", "layers.0"))
        )
        first.register_forward_pre_hook(
            lambda module, given, named: self.seen.append(
                tuple((given[0] if given else named["hidden_states"]).shape[:2])
            ),
            with_kwargs=True,
        )


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "xlm-roberta"])
def test_classes_are_those_of_each_text_alone(
    family: str, attention: str, checkpoint: Callable[[str], str]
) -> None:
    network = load_network(AutoModelForSequenceClassification, checkpoint(family), CPU).double()
    network.set_attn_implementation(attention)
    texts = texts_of(LENGTHS)
    alone = torch.cat([network(**batch_of([each])).logits for each in texts])
    packing, widths = Packing(network, CPU), Widths(network)

    with packing.rows(LENGTHS) as tokens:
        together = network(**batch_of(texts)).logits

    (shape,) = widths.seen
    assert shape[0] < len(texts)
    assert tokens == shape[0] * shape[1] < 1.1 * sum(LENGTHS)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-9)
    # What is called without it is computed as it is given.
    torch.testing.assert_close(network(**batch_of(texts)).logits, alone, rtol=0, atol=1e-9)
    assert widths.seen[-1] == (len(texts), max(LENGTHS))


@pytest.mark.parametrize("family", ["bert-qa", "distilbert-qa", "roberta-qa"])
def test_every_token_is_where_it_was(family: str, checkpoint: Callable[[str], str]) -> None:
    network = load_network(AutoModelForQuestionAnswering, checkpoint(family), CPU).double()
    texts = texts_of(LENGTHS)
    packing = Packing(network, CPU)

    with packing.rows(LENGTHS):
        together = network(**batch_of(texts))

    for row, text in enumerate(texts):
        alone = network(**batch_of([text]))
        for name in ("start_logits", "end_logits"):
            torch.testing.assert_close(
                together[name][row, : len(text)], alone[name][0], rtol=0, atol=1e-9
            )


def test_no_text_is_seen_by_its_neighbour(checkpoint: Callable[[str], str]) -> None:
    network = load_network(AutoModelForSequenceClassification, checkpoint("bert"), CPU)
    packing = Packing(network, CPU)

    def answers(texts: Sequence[torch.Tensor]) -> torch.Tensor:
        with packing.rows(LENGTHS):
            found: torch.Tensor = network(**batch_of(texts)).logits
        return found

    texts = texts_of(LENGTHS)
    before = answers(texts)
    for number, text in enumerate(texts):
        others = [*texts[:number], (text + 1) % 20, *texts[number + 1 :]]
        changed = (answers(others) != before).any(dim=1)
        assert changed.tolist() == [row == number for row in range(len(texts))]


@pytest.mark.parametrize(
    "lengths", [[7], [6, 6, 6], [12, 12, 12, 11], [30, 1], [20, 10, 10], [500, 499, 3, 2]]
)
def test_rows_are_shared_only_where_that_costs_less(
    lengths: list[int], checkpoint: Callable[[str], str]
) -> None:
    network = load_network(AutoModelForSequenceClassification, checkpoint("bert"), CPU)
    packing = Packing(network, CPU)

    with packing.rows(lengths) as tokens:
        pass

    assert sum(lengths) <= tokens <= len(lengths) * max(lengths)
    if len(set(lengths)) == 1 or lengths == [12, 12, 12, 11]:
        assert tokens == len(lengths) * max(lengths)


def test_each_text_is_in_one_place_of_one_row() -> None:
    """Over batches of all kinds; a text's tokens stay side by side, and overlap with no other's."""
    network = _Stub()
    packing = Packing(network, CPU)
    random = np.random.default_rng(3)
    for _ in range(200):
        lengths = random.integers(1, 90, random.integers(1, 40)).tolist()
        values = torch.arange(1.0, 1 + len(lengths) * max(lengths))
        network.given = values.view(len(lengths), max(lengths), 1)
        with packing.rows(lengths) as tokens:
            found = network.layers(hidden_states=network.given, attention_mask=None)
        assert network.rows.numel() == tokens
        for row, length in enumerate(lengths):
            assert torch.equal(found[row, :length], network.given[row, :length])


def test_a_twelfth_of_what_is_computed_is_padding() -> None:
    packing = Packing(_Stub(), CPU)
    random = np.random.default_rng(3)
    real = computed = 0
    for _ in range(200):
        lengths = random.integers(20, 160, 16).tolist()
        with packing.rows(lengths) as tokens:
            real, computed = real + sum(lengths), computed + tokens
    assert 0 < 1 - real / computed < 1 / 12


class _Layers(torch.nn.Module):
    def __init__(self, owner: _Stub) -> None:
        super().__init__()
        self._owner = [owner]

    def forward(self, hidden_states: torch.Tensor, attention_mask: Any) -> Any:
        self._owner[0].rows = hidden_states
        if attention_mask is not None:
            assert attention_mask.shape == (len(hidden_states), 1, *[hidden_states.shape[1]] * 2)
            assert bool(attention_mask.any(dim=-1).all())
        return _Answer(hidden_states)


class _Answer:
    def __init__(self, values: torch.Tensor) -> None:
        self.last_hidden_state = values

    def __getitem__(self, place: Any) -> torch.Tensor:
        return self.last_hidden_state[place]


class _Stub(torch.nn.Module):
    """Of a network what packing looks at; its layers hand on what they are given."""

    rows: torch.Tensor
    given: torch.Tensor

    class config:
        model_type = "bert"
        hidden_size = 64
        _attn_implementation = "sdpa"

    def __init__(self) -> None:
        super().__init__()
        self.layers = self.encoder = _Layers(self)

    @property
    def base_model(self) -> _Stub:
        return self


@pytest.mark.parametrize(
    "placement", [replace(CPU, compile=True), replace(CPU, openvino="fp32")], ids=str
)
def test_what_torch_does_not_compute_itself_gets_a_row_for_each_text(placement: Placement) -> None:
    packing = Packing(_Stub(), placement)

    with packing.rows(LENGTHS) as tokens:
        assert tokens == len(LENGTHS) * max(LENGTHS)


def test_a_failure_leaves_nothing_behind(checkpoint: Callable[[str], str]) -> None:
    network = load_network(AutoModelForSequenceClassification, checkpoint("bert"), CPU)
    packing, widths = Packing(network, CPU), Widths(network)
    texts = texts_of(LENGTHS)

    with pytest.raises(KeyError), packing.rows(LENGTHS):
        raise KeyError
    network(**batch_of(texts))

    assert widths.seen == [(len(texts), max(LENGTHS))]


def test_batches_are_few_where_rows_are_shared(checkpoint: Callable[[str], str]) -> None:
    lengths = [5, 50, 7, 60, 6, 55, 4, 58]
    network = load_network(AutoModelForSequenceClassification, checkpoint("bert"), CPU)
    packs = Packing(network, CPU)

    (batch,) = packs.batches(lengths, 8, 10_000)
    assert sorted(batch) == list(range(8))
    assert [len(each) for each in packs.batches(lengths, 3, 10_000)] == [3, 2, 3]
    assert all(
        len(each) * max(lengths[index] for index in each) <= 130
        for each in packs.batches(lengths, 8, 130)
    )


@pytest.mark.parametrize("model", ["sentiment", "language-identification", "question-answering"])
def test_the_embedded_checkpoints_share_rows(model: str) -> None:
    kind = (
        AutoModelForQuestionAnswering
        if model == "question-answering"
        else AutoModelForSequenceClassification
    )
    network = load_network(kind, str(MODEL_SETTINGS / model / "embedded"), CPU)
    lengths = np.random.default_rng(0).integers(11, 73, 16).tolist()

    with Packing(network, CPU).rows(lengths) as tokens:
        assert 1 - sum(lengths) / tokens < 0.1
