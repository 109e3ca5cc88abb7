"""Writes the sample requests in `model-settings/`, out of the samples in `tests/samples/`.

Texts and pictures are held-out ones of the world.

    python -m zoo.sample_requests

Audio goes as FLAC, which is exact and half as long, in base64.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from infergraph.tasks.dlrm import read_config
from zoo.articles import articles
from zoo.clicks import held_out
from zoo.game_frames import DIGIT_BOXES, DIGITS, frame
from zoo.outside_texts import UNKNOWN
from zoo.sample_images import (
    VEHICLES,
    box_tensors,
    busy_scene,
    close_ups,
    image_tensor,
    probability_tensor,
)
from zoo.scenes import OBJECTS
from zoo.signs import sign_scene
from zoo.world import foreign_sentences, parallel, reviews, sentences

SAMPLES = Path("tests/samples")
MODELS = Path("model-settings")
_SEED = 7
_ROWS = 4
_GERMAN_SIGN = 89


def main() -> None:
    sample = first("samples.json")
    audio = audio_tensor(sample)
    question = bytes_tensor("question", sample["question"])
    context = bytes_tensor("context", sample["context"])
    write("speech-to-text", audio)
    write("question-answering", question, context)
    write("audio-qa", audio, context)
    write("spoken-qa", audio, context)
    write("assistant", audio, context)
    write("assistant-reply", bytes_tensor("answer", "Oslo"))
    write("token-classification", bytes_tensor("text", *sentences(_SEED, 3, "held_out")))
    write("text-to-speech", bytes_tensor("text", *sentences(_SEED, 2, "held_out")))
    german = sentences(_SEED, 2, "held_out", language="de")
    write("text-to-speech-de", bytes_tensor("text", *german))
    write("audio-sent", audio_tensor(first("reviews.json")))
    for model in ("speech-to-text-de", "speech-translation-de"):
        write(model, audio_tensor(first("sentences-de.json")))
    for pipeline in ("audio-translation", "speech-translation", "diamond"):
        write(pipeline, audio_tensor(first("sentences.json")))
    write("asr-summarization", audio_tensor(first("articles.json")))
    write("sentiment", bytes_tensor("text", *(text for text, _ in reviews(_SEED, 2, "held_out"))))
    article = articles(_SEED, 1, "held_out")[0]
    write("summarization", bytes_tensor("text", article.text))
    write(
        "sum-qa",
        bytes_tensor("text", article.text),
        bytes_tensor("question", article.questions[0].question),
    )
    for source in ("fr", "es", "de"):
        pair = parallel(_SEED, 1, "held_out", source, "en")[0]
        write(f"translation-{source}-en", bytes_tensor("text", pair[0]))
    write(
        "translation-en-de", bytes_tensor("text", parallel(_SEED, 1, "held_out", "en", "de")[0][0])
    )
    # Three articles, each in its language.
    texts = [
        articles(_SEED, 3, "held_out", language=language)[number].text
        for number, language in enumerate(("fr", "en", "de"))
    ]
    write("nlp", bytes_tensor("text", *texts))
    write("language-identification", bytes_tensor("text", *texts))
    write("english-text", bytes_tensor("text", article.text))
    data = number_tensor("data", np.arange(8).reshape(2, 4))
    for model in ("diamond-echo", "echo-source", "echo-short", "echo-deep", "echo-deeper"):
        write(model, data)
    write("echo-join", {**data, "name": "short"}, {**data, "name": "deep"})
    write("diamond-join", *review_tensors())
    italian = foreign_sentences(_SEED, 1, "held_out", "it")[0]
    write("unsupported-language", bytes_tensor("language", "it"), bytes_tensor("text", italian))
    write_images()
    write_games()
    write_signs()
    write_clicks()


def write_games() -> None:
    made = frame(_SEED, "held-out")
    for model in ("game", "game-regions"):
        write(model, image_tensor(made.image))
    boxes = number_tensor("boxes", np.array([DIGIT_BOXES]))
    count = number_tensor("num_detections", np.array([[DIGITS]]), "INT64")
    write("digit-reading", image_tensor(made.image), boxes, count)
    score = np.full((1, DIGITS), 0.99)
    write(
        "game-join",
        {**bytes_tensor("digits", *made.number), "shape": [1, DIGITS]},
        number_tensor("digit_scores", score),
        bytes_tensor("icons", made.icon),
        number_tensor("icon_scores", score[:, :1]),
    )


def write_clicks() -> None:
    """Four rows, and what each part of the network takes of them."""
    drawn = held_out(_ROWS)
    dense = number_tensor("dense", drawn.dense.round(4))
    indices = number_tensor("indices", drawn.indices, "INT64")
    for model in ("dlrm", "recommendation", "recommendation-graph"):
        write(model, dense, indices)
    write("bottom-mlp", dense)
    write("embedding-bags", indices)
    config = read_config(MODELS / "dlrm" / "embedded")
    ones = np.ones((1, len(config.table_rows), config.dimension))
    write("interaction", number_tensor("vector", ones[:, 0]), number_tensor("vectors", ones))
    write("top-mlp", number_tensor("features", np.ones((1, config.features))))


def write_signs() -> None:
    """A sentence in German on a sign, over several lines."""
    made = sign_scene(_GERMAN_SIGN, "held_out", signs=1)
    image = image_tensor(made.image)
    for model in ("ocr", "text-detection"):
        write(model, image)
    lines = made.lines
    quads = np.array([line.quad.round(1).ravel() for line in lines], np.float64)[None].round(1)
    count = number_tensor("num_detections", np.array([[len(lines)]]), "INT64")
    write("text-recognition", image, number_tensor("quads", quads), count)
    texts = {**bytes_tensor("text", *(line.text for line in lines)), "shape": [1, len(lines)]}
    write("aggregate-text", texts, number_tensor("quads", quads), count)
    write("ocr-language", bytes_tensor("label", "de"))


def write_images() -> None:
    street = busy_scene()
    for model in (
        *("object-detection", "video", "video-monitoring", "nsfw", "general"),
        *("auto-annotation", "image-query"),
    ):
        write(model, image_tensor(street.image))
    boxes, count = box_tensors(street, [*VEHICLES, "person"])
    found = boxes["shape"][1]
    write("image-captioning", image_tensor(street.image), boxes, count)
    described = ["a red car"] * found
    write("image-sentence", {**bytes_tensor("text", *described), "shape": [1, found]}, count)
    write(
        "annotation-filter",
        count,
        boxes,
        number_tensor("scores", np.linspace(0.95, 0.6, found).round(2)[None]),
        {**bytes_tensor("labels", *["car"] * found), "shape": [1, found]},
    )
    for model in ("vehicle-classification", "plate-reading"):
        write(model, image_tensor(street.image), *box_tensors(street, VEHICLES))
    write("human-classification", image_tensor(street.image), *box_tensors(street, ["person"]))
    objects = image_tensor(*close_ups("tanker", "bicycle", "dog"))
    for model in ("alexnet", "resnet", "inception", "cascade", "ensemble", "preprocess"):
        write(model, objects)
    write("image-preprocess", image_tensor(*close_ups("tanker")))
    scores = (("alexnet", "van", 0.6), ("inception", "tanker", 0.7), ("resnet", "tanker", 0.5))
    columns = (*OBJECTS, UNKNOWN)
    write(
        "ensemble-combine",
        *(probability_tensor(member, columns, best, score) for member, best, score in scores),
    )
    harmful = close_ups("adult", unsafe=True)
    write("content-safety", image_tensor(*close_ups("sedan"), *harmful))
    posts = [
        parallel(_SEED, 1, "held_out", "en", language)[0][1] for language in ("es", "de", "fr")
    ]
    pictures = [*close_ups("double-decker", "dog"), *harmful]
    write("social-media", image_tensor(*pictures), bytes_tensor("text", *posts))


def first(samples: str) -> dict[str, str]:
    """The first of the samples in a file."""
    entry: dict[str, str] = json.loads((SAMPLES / samples).read_text(encoding="utf-8"))[0]
    return entry


def audio_tensor(sample: dict[str, str]) -> dict[str, Any]:
    """The V2 tensor of a sample's audio."""
    flac = as_flac((SAMPLES / sample["audio"]).read_bytes())
    data = [base64.b64encode(flac).decode("ascii")]
    parameters = {"content_type": "base64"}
    return {**bytes_tensor("audio", ""), "parameters": parameters, "data": data}


def write(model: str, *inputs: dict[str, Any]) -> None:
    text = json.dumps({"inputs": inputs}, indent=2, ensure_ascii=False)
    (MODELS / model / "request.json").write_text(text + "\n", encoding="utf-8")


def bytes_tensor(name: str, *texts: str) -> dict[str, Any]:
    """The V2 tensor of texts."""
    return {"name": name, "datatype": "BYTES", "shape": [len(texts), 1], "data": list(texts)}


def number_tensor(name: str, values: npt.NDArray[Any], datatype: str = "FP32") -> dict[str, Any]:
    """The V2 tensor of numbers."""
    data = values.ravel().tolist()
    return {"name": name, "datatype": datatype, "shape": list(values.shape), "data": data}


def review_tensors() -> tuple[dict[str, Any], ...]:
    """What the two branches of the pipeline diamond say of a review."""
    label, text = bytes_tensor("label", "positive"), bytes_tensor("text", "The room was clean.")
    return label, number_tensor("score", np.array([[0.97]])), text


def as_flac(encoded: bytes) -> bytes:
    """16-bit audio of any format as FLAC."""
    samples, rate = soundfile.read(io.BytesIO(encoded), dtype="int16")
    flac = io.BytesIO()
    soundfile.write(flac, samples, rate, format="FLAC", subtype="PCM_16")
    return flac.getvalue()


if __name__ == "__main__":
    main()
