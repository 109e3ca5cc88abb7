"""Image classifiers: what they learn of what is not of their world, and what they say of it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from infergraph.tasks.vision.familiarity import FILE, last_layer
from zoo import fitting, train_image_classification, vision_data
from zoo.evaluate_image_classification import boxes, load, probabilities
from zoo.outside_pictures import outside_picture
from zoo.outside_texts import UNKNOWN
from zoo.scenes import Scene, photo
from zoo.train_image_classification import (
    TASKS,
    ClassifierLoss,
    calibrate_on_validation,
    examples,
    logits_of,
    main,
    network_input,
)
from zoo.vision_data import PHOTOGRAPHED, photograph_parts

EMBEDDED = Path(__file__).parents[3] / "model-settings"


@pytest.fixture(scope="module")
def rendered_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one test has rendered, the next one need not."""
    return tmp_path_factory.mktemp("rendered")


@pytest.fixture
def few_pictures(rendered_before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision_data, "CACHE", rendered_before)
    monkeypatch.setattr(train_image_classification, "CALIBRATION_SCENES", 4)
    monkeypatch.setattr(train_image_classification, "CALIBRATION_CLOSE_UPS", 15)


@pytest.mark.usefixtures("few_pictures")
@pytest.mark.parametrize("model", ["resnet", "human-classification"])
def test_the_last_pictures_are_of_what_the_model_does_not_know(model: str) -> None:
    pictures, labels = examples(model, "train", 6, 20)
    again, _ = examples(model, "train", 6, 20)
    other, _ = examples(model, "validation", 6, 20)

    unknown = len(TASKS[model].labels)
    known = int((labels < unknown).sum())
    assert torch.equal(pictures, again)
    assert (labels[:known] < unknown).all()
    assert (labels[known:] == unknown).all()
    # Of people, cars and dogs are others; no object of the world is none of resnet's.
    others = len(labels) - known - int(train_image_classification.OUTSIDE * known)
    most = 0 if model == "resnet" else int(train_image_classification.OTHERS * known)
    assert most / 2 <= others <= most
    assert not {each.numpy().tobytes() for each in pictures} & {
        each.numpy().tobytes() for each in other
    }


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of photographs: each of one colour, its number in the red; half are cut out."""
    folder = tmp_path / "album" / "deep"
    folder.mkdir(parents=True)
    for number in range(40):
        made = Image.new("RGBA", (200, 150), (6 * number, 250, 0, 255))
        if number % 2:
            made.putalpha(Image.linear_gradient("L").resize(made.size))
        made.save(folder / f"{number}.png")
    Image.new("RGB", (20, 20)).save(folder / "small.png")
    (folder / "text.txt").write_text("no picture")
    return folder.parent


def colours(parts: list[npt.NDArray[np.uint8]]) -> set[int]:
    """The numbers of the photographs that are not cut out and not grey."""
    found = {tuple(each.reshape(-1, 3).mean(axis=0).round(3).tolist()) for each in parts}
    return {round(red / 6) for red, green, blue in found if (green, blue) == (250, 0)}


@pytest.mark.usefixtures("few_pictures")
def test_parts_of_photographs_are_of_each_and_of_one_split_alone(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = photograph_parts([album], "train", 70, 32, 24)
    validation = photograph_parts([album], "validation", 12, 32, 24)

    assert (len(train), len(validation)) == (70, 12)
    assert {each.shape for each in train} == {(24, 32, 3)}
    assert len(colours(train)) > 10
    assert colours(train) | colours(validation) <= set(range(0, 40, 2))
    assert colours(validation)
    assert not colours(train) & colours(validation)
    # Behind what is cut out there are other pictures.
    assert sum(float(each.std()) > 1 for each in train) > 10
    monkeypatch.setattr(vision_data, "CACHE", tmp_path / "another")
    again = photograph_parts([album], "train", 70, 32, 24)
    assert all(map(np.array_equal, train, again))


@pytest.mark.usefixtures("few_pictures")
def test_photographs_are_half_of_what_is_not_of_the_world(album: Path) -> None:
    pictures, labels = examples("resnet", "train", 6, 20, [album])
    without, same = examples("resnet", "train", 6, 20)

    assert torch.equal(labels, same)
    known = int((labels < len(TASKS["resnet"].labels)).sum())
    assert torch.equal(pictures[:known], without[:known])
    outside = [each.permute(1, 2, 0).numpy() for each in pictures[known:]]
    count = int(PHOTOGRAPHED * len(outside))
    assert len(colours(outside[:count])) > 5
    assert not colours(outside[count:])


def test_a_folder_without_photographs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no photographs of the split 'train' in .*'\.jpeg'"):
        photograph_parts([tmp_path], "train", 1, 8, 8)


@pytest.mark.usefixtures("few_pictures")
@pytest.mark.exhaustive
@pytest.mark.parametrize("model", ["resnet", "content-safety"])
def test_training_goes_on_from_a_checkpoint_that_knows_no_unknown(
    model: str, tmp_path: Path
) -> None:
    task = TASKS[model]
    _, save = task.builder(task.labels, task.size)
    save(tmp_path / "fewer")
    arguments = [
        f"--model={model}",
        "--steps=1",
        "--learning-rate=0",
        "--scenes=4",
        "--close-ups=15",
    ]
    arguments += [f"--start={tmp_path / 'fewer'}", f"--output={tmp_path / 'more'}"]
    main([*arguments, f"--threads={torch.get_num_threads()}"])

    trained = load(model, tmp_path / "more")
    assert trained.labels == [*task.labels, UNKNOWN]
    (row,) = probabilities(trained, [np.zeros((64, 64, 3), np.uint8)])
    assert row.shape == (len(trained.labels),)

    # What is beside the weights is fitted alone, too.
    beside = tmp_path / "more" / FILE
    assert beside.exists() == task.familiar
    if not task.familiar:
        return
    written = beside.read_bytes()
    beside.unlink()
    main([*arguments, "--only-familiarity"])
    assert beside.read_bytes() == written


@pytest.mark.usefixtures("few_pictures")
def test_little_of_the_world_is_called_unknown() -> None:
    torch.manual_seed(0)
    network, _ = TASKS["resnet"].builder((*TASKS["resnet"].labels, UNKNOWN), 80)
    last_layer(network)[1].bias.data[-1] = 9.0
    calibrate_on_validation(network.eval(), "resnet")

    pictures, labels = examples("resnet", "validation", 4, 15)
    with torch.inference_mode():
        logits = logits_of(network, network_input(pictures.float() / 255, 80))
    unknown = logits.argmax(dim=1) == len(TASKS["resnet"].labels)
    assert int(unknown[labels < len(TASKS["resnet"].labels)].sum()) <= 1


@pytest.mark.usefixtures("few_pictures")
def test_a_temperature_is_that_of_the_world_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []

    def note(network: torch.nn.Module, logits: torch.Tensor, labels: torch.Tensor) -> float:
        assert len(logits) == len(labels)
        seen.append(labels)
        return 1.0

    monkeypatch.setattr("zoo.train_image_classification.calibrate", note)
    network, _ = TASKS["resnet"].builder((*TASKS["resnet"].labels, UNKNOWN), 80)
    calibrate_on_validation(network.eval(), "resnet")

    (labels,) = seen
    assert len(labels) > 0
    assert int(labels.max()) < len(TASKS["resnet"].labels)


def test_a_teacher_is_followed_in_the_world_alone_and_never_changed() -> None:
    taught, told = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
    loss = ClassifierLoss(taught, told)
    pixels = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    world, outside = torch.zeros(8, dtype=torch.int64), torch.full((8,), 2)

    alone = ClassifierLoss(taught)
    assert loss(pixels, world).loss > alone(pixels, world).loss
    assert loss(pixels, outside).loss == alone(pixels, outside).loss
    taught.load_state_dict(told.state_dict())
    torch.testing.assert_close(loss(pixels, world).loss, alone(pixels, world).loss)
    assert {id(each) for each in loss.parameters()} == {id(each) for each in taught.parameters()}


def test_weights_of_one_shape_are_taken_over_as_they_are() -> None:
    before, after = torch.nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3)
    before.num_batches_tracked += 7
    before.running_mean += 1

    fitting.go_on_from(after, before.state_dict())

    assert all(torch.equal(each, before.state_dict()[n]) for n, each in after.state_dict().items())


@cache
def photos_and_others() -> tuple[list[Scene], list[npt.NDArray[np.uint8]]]:
    """Close-ups of the world that training did not see, and pictures of none."""
    made = [photo(seed, "held-out") for seed in range(60)]
    return made, [outside_picture(seed, "held_out", 320, 192) for seed in range(24)]


@pytest.mark.parametrize("model", TASKS)
def test_a_checkpoint_knows_its_world_and_says_of_others_that_they_are_unknown(model: str) -> None:
    classifier, task = load(model, EMBEDDED / model / "embedded"), TASKS[model]
    made, outside = photos_and_others()
    known = [(each.image, task.label(each.objects[0])) for each in made]
    known = [(image, label) for image, label in known if label is not None]

    inside = probabilities(classifier, [np.asarray(image) for image, _ in known])
    found = probabilities(classifier, outside)

    labels = np.array(classifier.labels)
    assert (labels[inside.argmax(axis=1)] == [label for _, label in known]).mean() > 0.7
    assert (labels[found.argmax(axis=1)] == UNKNOWN).mean() > 0.4
    taken = found[:, labels != UNKNOWN].max(axis=1)
    assert taken.mean() < 0.7 * inside.max(axis=1).mean()


def test_what_is_unsafe_is_not_unknown() -> None:
    classifier = load("content-safety", EMBEDDED / "content-safety" / "embedded")
    unsafe = [picture for picture, made in boxes(80, "held-out") if made.unsafe]

    scores = probabilities(classifier, unsafe)

    assert len(unsafe) > 10
    found = [classifier.labels[number] for number in scores.argmax(axis=1)]
    assert found.count("unsafe") > 0.9 * len(found)
    assert UNKNOWN not in found
