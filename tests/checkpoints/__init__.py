"""Small checkpoints of real architectures, randomly initialised and made without any download.

Each function saves one into a folder, as `save_pretrained` does, and returns the folder's path.
They serve to run the code that real checkpoints run through; what they answer means nothing.
"""

from .encoders import bert, bert_qa, distilbert, roberta, xlm_roberta
from .seq2seq import bart, m2m100, marian, mbart, nllb, pegasus, t5
from .speech import CTC_TOKENS, speech2text, wav2vec2, wav2vec2_bert, whisper
from .tokenizers import TEXT

__all__ = [
    "CTC_TOKENS",
    "TEXT",
    "bart",
    "bert",
    "bert_qa",
    "distilbert",
    "m2m100",
    "marian",
    "mbart",
    "nllb",
    "pegasus",
    "roberta",
    "speech2text",
    "t5",
    "wav2vec2",
    "wav2vec2_bert",
    "whisper",
    "xlm_roberta",
]
