"""Whatever bytes a file has, its reader gives a valid result or InputError, and soon."""

import random
import signal

import numpy as np
import pytest
from hostile import formats
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data_prep import (
    annotations,
    class_names,
    gesture_agreement,
    imigue,
    imigue_files,
    imigue_frames,
    ntu_skeletons,
    nucla,
    pyskl,
    pyskl_pickles,
)
from mgjax import protocols
from mgjax.errors import InputError

pytestmark = pytest.mark.filterwarnings("error")
OFTEN = settings(
    derandomize=True,
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def no_hang():
    """Ends a test that would not end."""

    def ring(*_):
        raise AssertionError("a reader is at it for minutes")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(180)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def is_plain(text):
    return isinstance(text, str) and len(text) <= 1000 and min(map(ord, text), default=32) >= 32


def read_videos(path):
    about, splits = imigue.read_videos(path)
    for id, (subject, emotion) in about.items():
        assert len(id) == 4 and emotion in (*protocols.IMIGUE_EMOTIONS, "")
        assert subject == "" or 1 <= int(subject) <= 72
    assert all(is_plain(name) and "/" not in name for name in splits)


def read_frames(path):
    for id, frames in annotations.read_lengths(path).items():
        assert is_plain(id) and 0 <= frames <= annotations.LONGEST


def read_clips(path):
    found = annotations.read_annotation(path)
    for gestures in found.values():
        for start, stop, label in gestures:
            assert 0 <= start < stop <= annotations.LONGEST and is_plain(label)
    compare(found)


def compare(found):
    """Compare an annotation with a sound one."""
    result = gesture_agreement.agreement(found, {"0007": [(0, 20, protocols.IMIGUE_CLASSES[0])]})
    for row in (result["overall"], *result["videos"].values(), *result["classes"].values()):
        assert row["R"] is None or 0 <= row["R"] <= 1
        assert row["kappa"] is None or -1 <= row["kappa"] <= 1


def read_labels(path):
    for start, length, label in imigue_files.read_labels(path, 40):
        assert 0 <= start < start + length <= 40 and (label is None or 0 <= label < 32)
    # And as one of a folder.
    folder = path.with_name("annotator")
    folder.mkdir(exist_ok=True)
    path.rename(folder / "7_label.csv")
    compare(annotations.read_annotation(folder))


def read_points(path, form="csv"):
    found = imigue_frames.read_points(imigue_files.Files("0007", form, str(path), None))
    assert found.dtype == np.float32 and np.isfinite(found).all()
    assert found.shape[1:] == (len(imigue_files.FORMS[form]), 3)


def read_sheet(path):
    pytest.importorskip("python_calamine", reason="sheets take python-calamine")
    read_points(path, "xlsx")


def read_skeleton(path):
    count, people = ntu_skeletons.read_people(path, 2)
    assert len(people) == min(count, 2)
    for person in people:
        assert person.dtype == np.float32 and np.isfinite(person).all()
        assert person.shape[1:] == (25, 4)


def read_nucla(path):
    recording = nucla.read(path)
    assert recording.keypoints.shape[1:] == (20, 3) and np.isfinite(recording.keypoints).all()


def read_pyskl(path):
    splits, annotations = pyskl_pickles.read(path)
    assert all(is_plain(name) for name in splits)
    for annotation in annotations:
        assert is_plain(annotation.id) and (
            annotation.label is None or 0 <= annotation.label < pyskl_pickles.MOST_CLASSES
        )
        if len(annotation.keypoints) and annotation.keypoints.shape[1]:
            keypoints, score = annotation.person(None)
            assert keypoints.shape == annotation.keypoints.shape[1:]
            assert score.shape == keypoints.shape[:2]
            assert not np.isnan(keypoints).any() and not np.isnan(score).any()
    try:
        pyskl.pack(path, path.with_name("out.h5"))
    finally:
        assert not path.with_name("out.h5.partial").exists()


def read_class_names(path):
    names = class_names.read(path)
    assert names and all(is_plain(name) and name for name in names)


def read_samples(path):
    assert all(len(name) == 20 for name in ntu_skeletons.read_missing(path))


READERS = {
    "videos": read_videos,
    "frames": read_frames,
    "clips": read_clips,
    "labels": read_labels,
    "points": read_points,
    "class_names": read_class_names,
    "samples": read_samples,
    "skeleton": read_skeleton,
    "nucla": read_nucla,
    "sheet": read_sheet,
    "pyskl": read_pyskl,
}
assert READERS.keys() == formats.CASES.keys()


def given_to(reader, folder, data) -> bool:
    """Whether a reader takes a file; otherwise it raises InputError, in a sentence."""
    path = folder / "a01_s01_e00_v01.json"
    path.write_bytes(data)
    try:
        READERS[reader](path)
        return True
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 1500, str(error)[:2000]
        return False


@pytest.mark.parametrize("reader", READERS)
def test_spoilt_files(reader, tmp_path):
    taken = []

    @OFTEN
    @given(st.integers(0, 2**64))
    def read(seed):
        taken.append(given_to(reader, tmp_path, formats.CASES[reader](random.Random(seed))))

    read()
    assert set(taken) == {True, False}  # a reader that refuses everything would pass otherwise


@pytest.mark.parametrize("reader", READERS)
@OFTEN
@given(data=st.binary(max_size=200))
@example(data=b"")
@example(data=b"\0")
@example(data=b"(" * 100_000)
@example(data=b"[" * 100_000)
@example(data=b"]" * 100_000 + b".")
@example(data=b"_" * 130_000 + b"\n")
@example(data=b"\n" * 100_000)
@example(data=b"9" * 130_000)
def test_any_bytes(reader, tmp_path, data):
    given_to(reader, tmp_path, data)


def test_cases_are_a_function_of_the_seed():
    for reader, cases in formats.CASES.items():
        for seed in range(5):
            assert cases(random.Random(seed)) == cases(random.Random(seed)), reader


def test_a_sound_sheet_is_read(tmp_path):
    """The few lines of XML that make a sheet here are one."""
    path = tmp_path / "0007_openpose.xlsx"
    cells = "".join(
        f'<c r="{formats.column(place)}1"><v>{place * place}.5</v></c>' for place in range(411)
    )
    path.write_bytes(formats.sheet(f'<row r="1">{cells}</row>'.encode()))
    pytest.importorskip("python_calamine", reason="sheets take python-calamine")
    ((_row, found),) = imigue_frames.frame_rows(imigue_files.Files("0007", "xlsx", str(path), None))
    assert found == [place * place + 0.5 for place in range(411)]
