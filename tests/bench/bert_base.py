"""A BERT of base size that is not trained: to measure, not to answer."""

from __future__ import annotations

import shutil
from pathlib import Path

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def write_bert_base(folder: Path, task: str, tokenizer: Path) -> None:
    """Writes a checkpoint of 110 million parameters, FP32, the same at every call.

    Args:
        folder: Where to; it is made.
        task: `question-answering` or `text-classification`, as transformers names them.
        tokenizer: The folder of a checkpoint whose tokenizer it takes.
    """
    import torch
    from transformers import BertConfig, BertForQuestionAnswering, BertForSequenceClassification
    from transformers.utils import logging

    logging.disable_progress_bar()
    kind = {
        "question-answering": BertForQuestionAnswering,
        "text-classification": BertForSequenceClassification,
    }[task]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = kind(BertConfig(id2label={0: "negative", 1: "positive"}))
    network.save_pretrained(folder)
    for name in _TOKENIZER_FILES:
        shutil.copy(tokenizer / name, folder / name)
