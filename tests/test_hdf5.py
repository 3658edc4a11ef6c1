"""A store is a plain file: nothing is fetched from elsewhere, and reading it ends."""

import os
import shutil

import h5py
import hypothesis
import numpy as np
import pytest
from hostile import damage, sound, stores
from hypothesis import strategies

from mgjax import hdf5, skeleton
from mgjax.errors import InputError
from mgjax.store import Store, StoreWriter

FRAMES, JOINTS = 8, 22


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("hdf5") / "made.h5"
    layout = skeleton.get("imigue22")
    with StoreWriter(path, layout, unit="pixel", frames=FRAMES, source="a test") as writer:
        writer.add_video("a", np.ones((FRAMES, JOINTS, 2)), np.ones((FRAMES, JOINTS)))
        writer.add_clip("a", 0, 4, "first")
        writer.add_split("mine", train=[0], test=[])
    return path


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copy(made, tmp_path / "copy.h5")


@pytest.fixture
def secret(tmp_path):
    """A file of somebody else's that a store could point to."""
    path = tmp_path / "secret"
    path.write_bytes(b"secret" * 1000)
    return path


def external(name, shape, kind):
    """Take a dataset's data from another file."""

    def change(file, secret):
        del file[name]
        file.create_dataset(name, shape, kind, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])

    return change


def linked(name, link):
    """Put a link in the place of a group or a dataset, which is moved aside."""

    def change(file, _):
        file.move(name, "aside")
        file[name] = link

    return change


def virtual(name):
    def change(file, secret):
        data = file[name]
        layout = h5py.VirtualLayout(data.shape, data.dtype)
        layout[:] = h5py.VirtualSource(str(secret), "absent", data.shape)
        del file[name]
        file.create_virtual_dataset(name, layout)

    return change


def stored(name, **how):
    """Write a dataset anew, stored in another way."""

    def change(file, _):
        data = file[name][:]
        del file[name]
        file.create_dataset(name, data=data, **how)

    return change


def never_written(name, shape, kind):
    """Declare a dataset of which the file holds nothing."""

    def change(file, _):
        del file[name]
        file.create_dataset(name, shape, kind)

    return change


@pytest.mark.parametrize(
    "change, sentence",
    [
        (
            external("frames/keypoints", (FRAMES, JOINTS, 2), np.float32),
            "frames/keypoints keeps its data in another file",
        ),
        (
            external("frames/score", (FRAMES, JOINTS), np.float32),
            "frames/score keeps its data in another file",
        ),
        (external("videos/fps", (1,), np.float32), "videos/fps keeps its data in another file"),
        (external("labels", (1,), "S8"), "labels keeps its data in another file"),
        (virtual("frames/keypoints"), "frames/keypoints is a virtual dataset"),
        (virtual("clips/label"), "clips/label is a virtual dataset"),
        (linked("frames", h5py.SoftLink("/aside")), "frames is a link .* expected a plain group"),
        (
            linked("frames/score", h5py.SoftLink("/aside")),
            "frames/score is a link .* expected a plain dataset",
        ),
        (linked("frames/score", h5py.SoftLink("/absent")), "frames/score is a link"),
        (linked("videos/id", h5py.ExternalLink("absent.h5", "/id")), "videos/id is a link"),
        (linked("splits/mine", h5py.SoftLink("/splits")), "splits/mine is a link"),
        (
            linked("splits/mine/train", h5py.ExternalLink("absent.h5", "/a")),
            "splits/mine/train is a link",
        ),
        (linked("labels", h5py.SoftLink("/labels")), "labels is a link"),
        (stored("frames/keypoints", chunks=(2, JOINTS, 2)), "frames/keypoints is stored in chunks"),
        (stored("frames/score", compression="gzip"), "frames/score is stored in chunks"),
        (stored("videos/length", maxshape=(None,)), "videos/length is stored in chunks"),
        (
            never_written("frames/keypoints", (2**40, JOINTS, 2), np.float32),
            "shape .* than the file holds",
        ),
        (
            never_written("videos/length", (2**40,), np.int64),
            "videos/length has shape .* than the file holds",
        ),
        (
            never_written("clips/label", (1,), np.int32),
            "clips/label has shape .* than the file holds",
        ),
        (
            never_written("labels", (2**40,), h5py.string_dtype()),
            "labels has shape .* than the file holds",
        ),
        (
            never_written("splits/mine/train", (2**60,), np.int64),
            "splits/mine/train has shape .* than the file holds",
        ),
    ],
)
def test_what_lies_elsewhere_or_nowhere_is_refused(copy, secret, change, sentence):
    with h5py.File(copy, "r+") as file:
        change(file, secret)
    with pytest.raises(InputError, match=f"copy.h5: damaged store: .*{sentence}"):
        Store(copy)


def test_an_external_link_to_another_store_is_refused(made, copy):
    with h5py.File(copy, "r+") as file:
        del file["frames/keypoints"]
        file["frames/keypoints"] = h5py.ExternalLink(str(made), "/frames/keypoints")
    with h5py.File(copy) as file:
        assert file["frames/keypoints"].shape == (FRAMES, JOINTS, 2), "HDF5 would follow it"
    with pytest.raises(InputError, match="frames/keypoints is a link that may lead to another"):
        Store(copy)


def test_a_pipe_as_external_storage_is_not_waited_for(copy, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(copy, "r+") as file:
        external("frames/score", (FRAMES, JOINTS), np.float32)(file, tmp_path / "pipe")
    with pytest.raises(InputError, match="frames/score keeps its data in another file"):
        Store(copy)


def test_a_text_of_fixed_length_is_a_text(copy):
    with h5py.File(copy, "r+") as file:
        del file["labels"]
        file["labels"] = np.array([b"first"])
    with Store(copy) as store:
        assert store.labels == ("first",)


def test_what_others_added_is_not_in_the_way(copy, secret):
    with h5py.File(copy, "r+") as file:
        file["notes"] = h5py.ExternalLink("absent.h5", "/x")
        file["frames/confidence"] = h5py.SoftLink("/absent")
        file.create_dataset("videos/more", (3,), np.int64, external=[(str(secret), 0, 24)])
        file.attrs["note"] = np.zeros(9)
    with Store(copy) as store:
        assert store.frame_count == FRAMES


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("pipe", "is not a plain file"),
        ("absent", "no such store file"),
        ("folder", "no such store file; it is a folder"),
        ("a\0b", "no such store file"),
        ("loop", "no such store file"),
    ],
)
def test_what_is_no_plain_file_is_refused_at_once(tmp_path, name, sentence):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match=sentence):
        Store(f"{tmp_path}/{name}")


def test_a_link_to_a_store_is_followed(made, tmp_path):
    (tmp_path / "link.h5").symlink_to(made)
    with Store(tmp_path / "link.h5") as store:
        assert store.frame_count == FRAMES


def sound_or_refused(path):
    """A damaged store is refused in a sentence that names it, or else everything in it holds."""
    try:
        sound.store(path)
    except InputError as error:
        assert str(path) in str(error) and "\n" not in str(error)


CASES = hypothesis.settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


@CASES
@hypothesis.given(chance=strategies.randoms(use_true_random=False))
def test_spoilt_bytes_are_refused_or_do_no_harm(made, tmp_path, chance):
    path = tmp_path / "spoilt.h5"
    path.write_bytes(damage.bytes_of(chance, made.read_bytes()))
    sound_or_refused(path)


@CASES
@hypothesis.given(chance=strategies.randoms(use_true_random=False))
def test_a_spoilt_structure_is_refused_or_does_no_harm(tmp_path_factory, tmp_path, chance):
    if not (tmp_path / "store.h5").exists():
        stores.prepare(tmp_path)
    try:
        stores.store_structure(chance, tmp_path_factory.mktemp("spoilt"), tmp_path)
    except InputError as error:
        assert "study.h5" in str(error) and "\n" not in str(error)


def test_others_may_open_a_file_that_is_open_here(tmp_path):
    path = tmp_path / "a.h5"
    h5py.File(path, "w").close()
    with hdf5.opened(path), h5py.File(path, "r") as file:
        assert list(file) == []


def test_a_locked_file_is_read_all_the_same(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "a.h5"
    h5py.File(path, "w").close()
    with open(path) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="lock"):
            h5py.File(path, "r")
        with hdf5.opened(path) as file:
            assert list(file) == []
