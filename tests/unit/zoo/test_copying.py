"""An untrained BART that starts out copying attends where copying needs it to."""

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration

from zoo.copying import start_copying

# Words of three pieces among others, after <s>; 40 comes again after other pieces.
INPUT = torch.tensor([[0, 30, 31, 32, 50, 60, 40, 41, 42, 70, 43, 40, 44, 51, 2]])


def small_bart(heads: int = 4) -> BartForConditionalGeneration:
    torch.manual_seed(0)
    model = BartForConditionalGeneration(
        BartConfig(
            vocab_size=100,
            d_model=128,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=heads,
            decoder_attention_heads=heads,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=40,
            init_std=0.06,
            attn_implementation="eager",
        )
    )
    return model.eval()


@pytest.fixture(scope="module")
def attentions() -> dict[str, torch.Tensor]:
    model = small_bart()
    start_copying(model)
    # The decoder has written the first two pieces of 40, 41, 42.
    written = torch.tensor([[2, 40, 41]])
    with torch.inference_mode():
        output = model(input_ids=INPUT, decoder_input_ids=written, output_attentions=True)
    return {
        "encoder": output.encoder_attentions[0][0],
        "decoder": output.decoder_attentions[0][0],
        "first cross": output.cross_attentions[0][0],
        "last cross": output.cross_attentions[-1][0],
    }


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_the_second_head_looks_one_position_back(
    attentions: dict[str, torch.Tensor], part: str
) -> None:
    looked_at = attentions[part][1].argmax(-1).tolist()

    assert looked_at[1:] == list(range(len(looked_at) - 1))


def test_the_first_head_looks_at_equal_words(attentions: dict[str, torch.Tensor]) -> None:
    again = attentions["encoder"][0][6]

    assert set(again.topk(2).indices.tolist()) == {6, 11}


def test_the_first_cross_attention_finds_what_follows_the_word_just_written(
    attentions: dict[str, torch.Tensor],
) -> None:
    assert set(attentions["first cross"][0][1].topk(2).indices.tolist()) == {7, 12}


def test_the_last_cross_attention_finds_what_follows_the_two_words_just_written(
    attentions: dict[str, torch.Tensor],
) -> None:
    assert attentions["last cross"][0][2].argmax() == 8


def test_fewer_heads_than_blocks() -> None:
    with pytest.raises(ValueError, match=r"2 heads: .* at least 4"):
        start_copying(small_bart(heads=2))
