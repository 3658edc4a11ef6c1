"""Reading a store ends, and crashes nobody: it is tried out in a process of its own."""

import shutil
import sys

import h5py
import pytest
from small_store import write

from mgjax import rehearsal
from mgjax.errors import InputError
from mgjax.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write(tmp_path_factory.mktemp("rehearsal") / "made.h5")


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copy(made, tmp_path / "copy.h5")


def test_a_store_whose_reading_does_not_end(shared_data, monkeypatch):
    monkeypatch.setattr(rehearsal, "SECONDS", 1)
    sentence = "store_that_hangs.h5: damaged store: reading it does not end"
    with pytest.raises(InputError, match=sentence):
        Store(shared_data / "odd" / "store_that_hangs.h5")


@pytest.mark.parametrize(
    "code, sentence",
    [
        ("while True: pass", "reading it does not end"),
        ("os.kill(os.getpid(), 11)", r"reading it crashes the HDF5 library \(signal 11\)"),
        ("raise hdf5.InputError('said in the middle')", "^said in the middle$"),
    ],
)
def test_what_a_rehearsal_may_end_in(copy, monkeypatch, code, sentence):
    monkeypatch.setattr(rehearsal, "SECONDS", 1)
    with pytest.raises(InputError, match=sentence):
        rehearsal.rehearse(copy, f"import os\n    {code}")


def test_a_rehearsal_that_could_not_be_held_is_mentioned(copy, monkeypatch):
    with pytest.warns(UserWarning, match="without trying it .*No module named 'absent'"):
        rehearsal.rehearse(copy, "import absent")
    monkeypatch.setattr(sys, "executable", "/absent/python")
    with pytest.warns(UserWarning, match="without trying it"), Store(copy) as store:
        assert store.frame_count == 42


def test_a_rehearsal_looks_for_no_module_in_the_working_directory(copy, tmp_path, monkeypatch):
    (tmp_path / "h5py.py").write_text("raise SystemExit(4)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    rehearsal.rehearse(copy, "pass")


def test_a_store_is_tried_out_once(made, copy, monkeypatch):
    tried = []
    monkeypatch.setattr(rehearsal, "rehearse", lambda path, _: tried.append(path))
    for path in (made, copy, copy):
        Store(path).close()
    assert tried == [copy]
    with h5py.File(copy, "r+") as file:
        file.attrs["source"] = "another one"
    Store(copy).close()
    assert tried == [copy, copy]


def test_memory_is_limited_in_a_rehearsal(copy):
    with pytest.warns(UserWarning, match="MemoryError"):
        rehearsal.rehearse(copy, "bytearray(2**34)")
