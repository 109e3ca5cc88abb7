"""The language model of the embedded speech-to-text checkpoint: the words of the world, and pairs.

python -m zoo.speech_language_model --output model-settings/speech-to-text/embedded
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from infergraph.tasks.text.language_model import FOLDER
from zoo.speech import SPEAKERS
from zoo.world import normalise_transcript, sentences, vocabulary

_SENTENCES = 30_000
_DISCOUNT = 0.75
# Chosen by sentences in training voices; the German letters are the more doubtful ones.
_WEIGHTS = {
    "en": {"alpha": 0.5, "beta": 2.5, "unk_score_offset": -10.0},
    "de": {"alpha": 1.0, "beta": 4.0, "unk_score_offset": -10.0},
}


def bigrams(texts: Iterable[str], words: Iterable[str]) -> str:
    """A model of `words` and of pairs of them as in `texts`, in the ARPA format.

    Pairs are discounted by a constant, in favour of those that were not seen.
    """
    pairs: Counter[tuple[str, str]] = Counter()
    for text in texts:
        told = ["<s>", *text.split()]
        pairs.update(pairwise(told))
    single = Counter(dict.fromkeys(words, 1))
    followers: defaultdict[str, list[int]] = defaultdict(list)
    for (first, second), count in pairs.items():
        single[second] += count
        followers[first].append(count)
    # One share for all words that are not known.
    total = single.total() + 1
    alone = {"<unk>": 1 / total} | {word: count / total for word, count in single.items()}
    rest = {word: _DISCOUNT * len(counts) / sum(counts) for word, counts in followers.items()}
    lines = ["\\data\\", f"ngram 1={len(alone) + 1}", f"ngram 2={len(pairs)}", "", "\\1-grams:"]
    lines.append(f"-99\t<s>\t{_log(rest.get('<s>', 1.0))}")
    lines += [
        f"{_log(share)}\t{word}" + (f"\t{_log(rest[word])}" if word in rest else "")
        for word, share in sorted(alone.items())
    ]
    lines += ["", "\\2-grams:"]
    for (first, second), count in sorted(pairs.items()):
        share = (count - _DISCOUNT) / sum(followers[first]) + rest[first] * alone[second]
        lines.append(f"{_log(share)}\t{first} {second}")
    return "\n".join([*lines, "", "\\end\\", ""])


def _log(share: float) -> str:
    return f"{math.log10(share):.3f}"


def save_language_model(checkpoint: Path, seed: int = 0, language: str = "en") -> None:
    """Writes the language model of the world's training sentences into a checkpoint's folder."""
    told = sentences(seed, _SENTENCES, "train", language=language)
    texts = [normalise_transcript(text, language) for text in told]
    write_language_model(checkpoint, texts, sorted(vocabulary(language)), _WEIGHTS[language])


def write_language_model(
    checkpoint: Path, texts: Iterable[str], words: Sequence[str], weights: Mapping[str, float]
) -> None:
    """Writes a model of `words`, and of pairs of them in `texts`, into a checkpoint's folder.

    Args:
        weights: `alpha`, `beta` and `unk_score_offset` of `LanguageModel`.
    """
    folder = checkpoint / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "unigrams.txt").write_text("\n".join([*words, ""]), encoding="utf-8")
    (folder / "bigrams.arpa").write_text(bigrams(texts, words), encoding="utf-8")
    (folder / "attrs.json").write_text(f"{json.dumps(weights, indent=2)}\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--language", choices=sorted(SPEAKERS), default="en")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    save_language_model(arguments.output, arguments.seed, arguments.language)


if __name__ == "__main__":
    main()
