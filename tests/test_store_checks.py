"""What does not fit together in a store is refused in a sentence."""

import shutil

import h5py
import numpy as np
import pytest
from small_store import write

from mgjax import skeleton
from mgjax.errors import InputError
from mgjax.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write(tmp_path_factory.mktemp("store") / "made.h5")


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copy(made, tmp_path / "copy.h5")


def replace(name, data):
    def change(file):
        del file[name]
        if data is not None:
            file[name] = data

    return change


def attribute(name, value):
    def change(file):
        if value is None:
            del file.attrs[name]
        else:
            file.attrs[name] = value

    return change


def group(name):
    def change(file):
        del file[name]
        file.create_group(name)

    return change


def int32(*values):
    return np.array(values, np.int32)


def int64(*values):
    return np.array(values, np.int64)


@pytest.mark.parametrize(
    "change, sentence",
    [
        (attribute("format", None), "not a mgjax-store"),
        (attribute("version", 3), "store version 3; this mgjax reads versions 1 and 2"),
        (attribute("version", None), "damaged store: .*'version'"),
        (attribute("skeleton", None), "damaged store: .*'skeleton'"),
        (attribute("skeleton", "{"), "skeleton: not a layout"),
        (
            attribute("skeleton", skeleton.get("imigue35").to_json()),
            r"\[F, 35, 2\] for layout "
            r"'imigue35'",
        ),
        (attribute("unit", "furlong"), "unit is 'furlong', expected one of pixel, metre"),
        (replace("frames/keypoints", None), "damaged store: .*'keypoints'"),
        (group("frames/keypoints"), "damaged store"),
        (
            replace("frames/keypoints", np.zeros((42, 22, 3), np.float32)),
            r"shape \(42, 22, 3\), "
            r"expected \[F, 22, 2\]",
        ),
        (
            replace("frames/keypoints", np.zeros((41, 22, 2), np.float32)),
            r"score has shape \(42, "
            r"22\), expected \(41,",
        ),
        (
            replace("frames/keypoints", np.zeros((42, 22, 2))),
            "keypoints is float64, expected float32",
        ),
        (replace("frames/keypoints", np.float32(1)), r"shape \(\), expected \[F"),
        (
            replace("frames/score", np.zeros((42, 21), np.float32)),
            r"score has shape \(42, 21\), "
            r"expected \(42, 22\)",
        ),
        (replace("videos/start", int64(0, 29)), "not the running sum"),
        (replace("videos/start", int64(0)), "columns of videos differ in length"),
        (replace("videos/start", np.array([0.0, 30.0])), "videos/start is float64, expected int64"),
        (replace("videos/start", np.int64(0)), "damaged store"),
        (
            replace("videos/length", int64(30, 13)),
            "have 43 frames together, frames/keypoints has 42",
        ),
        (replace("videos/id", ["a", "a"]), "two videos have the same id"),
        (replace("videos/id", int64(1, 2)), "damaged store"),
        (replace("videos/emotion", None), "damaged store: .*'emotion'"),
        (replace("clips/video", int32(0, 2, 0)), "names a video that is not there"),
        (
            replace("clips/start", int64(0, 3, 29)),
            r"clip 1 \(start 3, length 10\) lies outside its "
            r"video 'b' of 12",
        ),
        (replace("clips/start", int64(-1, 2, 29)), "clip 0 .* lies outside"),
        (replace("clips/length", int64(30, 10, 0)), "clip 2 .* lies outside"),
        (replace("clips/label", int32(0, 2, -1)), "label lies outside the 2 class names"),
        (replace("clips/label", int32(0, 1, -2)), "label lies outside the 2 class names"),
        (replace("labels", None), "damaged store: .*'labels'"),
        (replace("labels", int64(1, 2)), "damaged store"),
        (replace("splits/mine/train", int64(0, 3)), "split 'mine' names clips that are not there"),
        (replace("splits/mine/train", int64(0, 1)), "split 'mine' names a row of clips twice"),
        (replace("splits/videos/test", int64(2)), "split 'videos' names videos that are not there"),
        (replace("splits/mine/test", None), "damaged store: .*'test'"),
        (
            lambda file: file["splits/mine"].attrs.__setitem__("of", "frames"),
            "split 'mine' is of 'frames'",
        ),
        (replace("splits/mine", 3), "splits/mine is not a group"),
        (attribute("version", [2, 2]), "attribute 'version' of the file is not a whole number"),
        (attribute("y", "left"), "y is 'left', expected one of down, up"),
        (attribute("y", None), "has no attribute 'y'"),
        (attribute("frames_digest", "0"), "frames_digest is '0', expected 64 hexadecimal digits"),
        (attribute("source", 3), "attribute 'source' of the file is not a text"),
        (attribute("skeleton", np.zeros(3)), "attribute 'skeleton' of the file is not a text"),
        (
            replace("videos/fps", np.array([25, np.nan], np.float32)),
            "fps is negative or not finite",
        ),
        (replace("videos/fps", np.array([-25, 25], np.float32)), "fps is negative or not finite"),
        (replace("videos/width", int32(0, -1)), "width or height is negative"),
        (replace("videos/height", int32(0, -1)), "width or height is negative"),
        (replace("videos/length", int64(2**62, 2**62)), "not the running sum|frames together"),
        (replace("videos/length", int64(2**63 - 1, 43)), "frames together"),
        (
            replace("videos/id", np.array([b"a", b"\xff"])),
            "videos/id holds a text that is not UTF-8",
        ),
        (
            replace("videos/id", np.array([b"a", b"b\0c"])),
            "a video's id is 'b.x00c', with a NUL byte",
        ),
        (replace("labels", np.array([b"a\0b", b"c"])), "a class name is 'a.x00b', with a NUL byte"),
        (replace("labels", ["a", "a"]), "two classes have the same name"),
        (replace("clips/start", int64(0, 2**63 - 5, 29)), "clip 1 .* lies outside its video"),
        (replace("clips/length", int64(30, 2**63 - 1, 1)), "clip 1 .* lies outside its video"),
        (
            replace("splits/mine/train", np.array([0.0, 2.0])),
            "splits/mine/train is float64, expected int64",
        ),
        (
            replace("splits/mine/train", np.zeros((2, 2), np.int64)),
            r"splits/mine/train has shape \(2, 2\), expected one",
        ),
        (lambda file: file.move("splits/mine", "splits/all"), "cannot be called 'all'"),
    ],
)
def test_tampering_is_noticed(copy, change, sentence):
    with h5py.File(copy, "r+") as file:
        change(file)
    with pytest.raises(InputError, match="copy.h5.*" + sentence):
        Store(copy)


def test_negative_lengths_that_add_up_are_noticed(copy):
    with h5py.File(copy, "r+") as file:
        file["videos/start"][:], file["videos/length"][:] = [0, 50], [50, -8]
    with pytest.raises(InputError, match="negative length"):
        Store(copy)


@pytest.mark.parametrize(
    "name, value",
    [
        ("keypoints", np.nan),
        ("keypoints", np.inf),
        ("keypoints", -np.inf),
        ("score", np.nan),
        ("score", np.inf),
        ("score", -0.5),
    ],
)
def test_frames_that_no_writer_wrote_are_refused_when_read(copy, name, value):
    with h5py.File(copy, "r+") as file:
        file["frames"][name][17, 4] = value
    with Store(copy) as store:
        store.frames(0, 17)
        for read in (lambda: store.frames(10, 20), lambda: store.video(0), lambda: store.clip(0)):
            with pytest.raises(InputError, match="copy.h5: damaged store: frame 17 has"):
                read()


def test_large_numbers_and_negative_zeros_are_sound(copy):
    with h5py.File(copy, "r+") as file:
        file["frames/keypoints"][17, 4] = 3e38
        file["frames/score"][17, 5] = -0.0
    with Store(copy) as store:
        assert store.frames(17, 18)[0].max() == np.float32(3e38)
