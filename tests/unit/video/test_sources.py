from __future__ import annotations

import io
import itertools
import struct
import wave
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image, ImageFile

from infergraph_clients.errors import UsageError
from infergraph_clients.video.frames import InputError, Selection, by_number, open_source
from tests.unit.video.files import SIZE, giant, number_of, numbers, picture, taken, write_video

ALL = Selection()


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "in.mp4", 7)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(5):
        picture(number).save(folder / f"shot {number + 8}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_frames_of_a_video(video: Path) -> None:
    source = open_source(video, ALL)
    assert (source.rate, source.count) == (10, 7)
    frames = taken(source)
    assert numbers(frames) == [frame.index for frame in frames] == list(range(7))
    assert [round(frame.seconds, 3) for frame in frames] == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert frames[6].name == "frame-000006"
    sent = Image.open(io.BytesIO(frames[3].encoded))
    assert (sent.format, sent.size, number_of(sent)) == ("JPEG", SIZE, 3)


@pytest.mark.parametrize(
    ("selection", "indices", "rate"),
    [
        (Selection(every=3), [0, 3, 6], Fraction(10, 3)),
        (Selection(most=2), [0, 1], 10),
        (Selection(every=2, most=3), [0, 2, 4], 5),
        (Selection(every=100), [0], Fraction(1, 10)),
        (Selection(most=100), list(range(7)), 10),
    ],
)
def test_some_frames(
    video: Path, folder: Path, selection: Selection, indices: list[int], rate: Fraction
) -> None:
    for path in (video, folder):
        source = open_source(path, selection, Fraction(10))
        wanted = [index for index in indices if path is video or index < 5]
        assert (source.rate, source.count) == (rate, len(wanted))
        frames = taken(source)
        assert numbers(frames) == [frame.index for frame in frames] == wanted


def test_a_video_at_another_rate(video: Path) -> None:
    source = open_source(video, ALL, Fraction(5))
    assert source.rate == 5
    assert [frame.seconds for frame in taken(source)][:3] == [0, 0.2, 0.4]


def test_frames_in_another_size(video: Path, folder: Path) -> None:
    for path in (video, folder):
        frame = taken(open_source(path, Selection(size=(32, 20), most=1)))[0]
        sent = Image.open(io.BytesIO(frame.encoded))
        assert frame.picture is not None
        assert frame.picture.size == sent.size == (32, 20)
        assert sent.format == "JPEG"


def test_quality(folder: Path) -> None:
    low, high = (
        taken(open_source(folder, Selection(size=(400, 300), quality=quality)))[0].encoded
        for quality in (10, 95)
    )
    assert len(low) < len(high)


def test_a_video_that_is_turned(tmp_path: Path) -> None:
    """A telephone held upright writes its frames lying, and a matrix that turns them."""
    video = write_video(tmp_path / "in.mp4", 1)
    content = bytearray(video.read_bytes())
    matrix = content.index(b"tkhd") + 44
    one, minus_one, w = (value.to_bytes(4, "big") for value in (0x10000, 0xFFFF0000, 0x40000000))
    none = bytes(4)
    clockwise = [none, one, none, minus_one, none, none, none, none, w]
    content[matrix : matrix + 36] = b"".join(clockwise)
    video.write_bytes(content)
    (frame,) = taken(open_source(video, ALL))
    assert frame.picture is not None
    assert frame.picture.size == (48, 64)
    # What was its dark left half is above.
    top, bottom = (frame.picture.getpixel((24, y)) for y in (10, 54))
    assert isinstance(top, tuple)
    assert isinstance(bottom, tuple)
    assert top[0] < 15
    assert bottom[0] > 30


def test_pictures_of_a_folder_in_the_order_of_their_numbers(folder: Path) -> None:
    source = open_source(folder, ALL)
    assert (source.rate, source.count) == (25, 5)
    frames = taken(source)
    assert [frame.name for frame in frames] == ["shot 8", "shot 9", "shot 10", "shot 11", "shot 12"]
    assert numbers(frames) == [0, 1, 2, 3, 4]
    assert frames[2].seconds == 2 / 25


def test_pictures_are_sent_as_they_are(folder: Path) -> None:
    frames = taken(open_source(folder, ALL))
    assert frames[0].encoded == (folder / "shot 8.png").read_bytes()


def test_pictures_of_other_formats_are_sent_as_jpeg(tmp_path: Path) -> None:
    picture(2).save(tmp_path / "a.bmp")
    (frame,) = taken(open_source(tmp_path, ALL))
    assert Image.open(io.BytesIO(frame.encoded)).format == "JPEG"
    assert numbers([frame]) == [2]


def test_a_turned_picture_is_drawn_as_it_is_shown_and_sent_as_it_is(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(2).save(tmp_path / "a.jpg", exif=exif)
    (frame,) = taken(open_source(tmp_path, ALL))
    assert frame.picture is not None
    assert frame.picture.size == (48, 64)
    assert frame.encoded == (tmp_path / "a.jpg").read_bytes()


def test_same_names_with_other_endings_stay_apart(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "a.jpg")
    picture(1).save(tmp_path / "a.png")
    assert [frame.name for frame in taken(open_source(tmp_path, ALL))] == ["a.jpg", "a.png"]


def test_a_picture_that_is_none_has_its_place(folder: Path) -> None:
    (folder / "shot 9.png").write_bytes(b"junk")
    frames = taken(open_source(folder, ALL))
    assert [frame.problem is None for frame in frames] == [True, False, True, True, True]
    assert str(frames[1].problem) == "shot 9.png: cannot identify image file"
    assert (frames[1].picture, frames[1].encoded) == (None, b"")


def wide() -> bytes:
    """A BMP that is wider than a JPEG may be."""
    file = io.BytesIO()
    Image.new("1", (70_000, 1)).save(file, "BMP")
    return file.getvalue()


def cut_off() -> bytes:
    file = io.BytesIO()
    picture(0).save(file, "TIFF")
    return file.getvalue()[:-40]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.png", giant(), "Image size (200000000 pixels) exceeds limit of 178956970 pixels"),
        ("a.bmp", wide(), "broken data stream"),
        ("a.tif", cut_off(), ""),
        ("a.jpg", b"", "cannot identify image file"),
    ],
    ids=["too many pixels", "too wide to be sent", "cut off", "empty"],
)
def test_a_broken_picture_is_a_problem_of_its_own(
    folder: Path, name: str, content: bytes, problem: str
) -> None:
    (folder / name).write_bytes(content)
    broken, *rest = taken(open_source(folder, ALL))
    assert str(broken.problem).startswith(f"{name}: {problem}")
    assert (broken.picture, broken.encoded) == (None, b"")
    assert numbers(rest) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "error", [MemoryError(), struct.error("unpack requires 4 bytes"), IndexError("tuple index")]
)
def test_whatever_a_decoder_raises_is_a_problem_of_its_picture(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    load = ImageFile.ImageFile.load

    def fail(image: ImageFile.ImageFile) -> object:
        if (image.width, image.height) == (5, 5):
            raise error
        return load(image)

    picture(0, (5, 5)).save(folder / "a.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    broken, *rest = taken(open_source(folder, ALL))
    assert str(broken.problem) == f"a.png: {str(error) or 'MemoryError'}"
    assert numbers(rest) == [0, 1, 2, 3, 4]


def test_a_frame_of_a_video_that_cannot_be_encoded_is_a_problem_of_its_own(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, encoded = Selection.encode, itertools.count()

    def fail(selection: Selection, image: Image.Image) -> bytes:
        if next(encoded) == 1:
            raise MemoryError
        return encode(selection, image)

    monkeypatch.setattr(Selection, "encode", fail)
    first, broken, *rest = taken(open_source(video, ALL))
    assert str(broken.problem) == "frame-000001: MemoryError"
    assert (broken.index, broken.seconds, broken.picture) == (1, 0.1, None)
    assert numbers([first, *rest]) == [0, 2, 3, 4, 5, 6]


def test_order_of_names() -> None:
    names = ["b1", "a10.png", "a2.png", "2", "10", "a", "a02.png"]
    paths = [path.name for path in by_number([Path(name) for name in names])]
    assert paths == ["a", "a02.png", "a2.png", "a10.png", "b1", "2", "10"]


def test_a_video_that_ends_too_early(video: Path) -> None:
    source = open_source(video, ALL)
    frames = source.frames()
    next(frames)
    # What decoding says of junk, at any frame.
    source.close()
    content = video.read_bytes()
    start = content.index(b"mdat") + 8
    video.write_bytes(content[:start] + bytes(len(content[start:-900])) + content[-900:])
    broken = open_source(video, ALL)
    with pytest.raises(InputError, match=r"in\.mp4 cannot be decoded after 0 frames: "):
        taken(broken)


def sound(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(1600))
    return path


def test_what_is_no_input(tmp_path: Path) -> None:
    (tmp_path / "junk.mp4").write_bytes(b"junk" * 100)
    (tmp_path / "empty").mkdir()
    for path, text in [
        (tmp_path / "missing.mp4", "no such file or folder"),
        (tmp_path / "junk.mp4", "is no video: Invalid data found"),
        (tmp_path / "empty", "holds no pictures; accepted: .jpg"),
        (sound(tmp_path / "sound.wav"), "holds no video stream"),
    ]:
        with pytest.raises(UsageError, match=f"{path.name}.*{text}"):
            open_source(path, ALL)
