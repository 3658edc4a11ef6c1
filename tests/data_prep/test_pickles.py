import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from pyskl_annotations import Run, named, program, put

from data_prep import pickle_machine, pickles
from mgjax import skeleton
from mgjax.errors import InputError


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_every_protocol_gives_the_same_arrays_and_containers(tmp_path, protocol):
    content = OrderedDict(
        single=np.float16([[1, 2, 3], [4, 5, 6]]),
        columns=np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        strided=np.arange(10)[::3],
        swapped=np.arange(3, dtype=">i4"),
        empty=np.empty((0, 2)),
        words=np.array(["a", "bb"]),
        word=np.str_("ab"),
        scalar=np.float32(1.5),
        whole=np.int64(7),
        flag=np.bool_(True),
        raw=b"\x00\xff",
        other=[(1, 2.5, "ä", None, True), {1, 2}, frozenset([3]), bytearray(b"x"), {"deep": [{}]}],
    )
    found = pickles.load(put(tmp_path, content, protocol=protocol))
    assert list(found) == list(content)
    for name, value in content.items():
        if isinstance(value, np.ndarray):
            assert np.asarray(found[name]).dtype == value.dtype
            np.testing.assert_array_equal(np.asarray(found[name]), value)
        else:
            assert found[name] == value and type(found[name]) is type(value)


def test_the_names_that_old_versions_of_numpy_wrote_are_read(tmp_path):
    content = pickle.dumps([np.arange(3.0), np.float32(2)], protocol=0)
    assert b"numpy._core.multiarray" in content
    (tmp_path / "in.pkl").write_bytes(content.replace(b"numpy._core.", b"numpy.core."))
    array, number = pickles.load(tmp_path / "in.pkl")
    assert np.asarray(array).tolist() == [0, 1, 2] and number == 2


@pytest.mark.parametrize(
    "content, named",
    [
        (Run(eval, "1"), "builtins.eval|__builtin__.eval"),
        (Run(getattr, "a", "upper"), "builtins.getattr|__builtin__.getattr"),
        (np.load, "numpy.load"),
        (np.array([{}], object), "it holds an array of 'O8'"),
        (np.zeros(2, [("x", "f4")]), "it holds an array of 'V4'"),
        (Run(np.ndarray, (1,), "O", b"12345678"), "it holds an array of 'O'"),
        (skeleton.COCO_17, "mgjax.skeleton.Layout"),
    ],
)
def test_everything_but_arrays_and_containers_is_refused_by_name(tmp_path, content, named):
    with pytest.raises(
        InputError, match=f"in.pkl: refused, for .*({named}); only numbers, text, arrays"
    ):
        pickles.load(put(tmp_path, content))


def test_only_the_encoding_that_bytes_need_is_run(tmp_path):
    (tmp_path / "in.pkl").write_bytes(b"c_codecs\nencode\n(Vabc\nVrot13\ntR.")
    with pytest.raises(InputError, match="refused, for it names the encoding 'rot13'"):
        pickles.load(tmp_path / "in.pkl")


@pytest.mark.parametrize(
    "module, name",
    [
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
        ("builtins", "dict"),
        ("builtins", "list"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("collections", "OrderedDict"),
    ],
)
@pytest.mark.parametrize(
    "state", [{"value": 1, "__setstate__": 2}, (None, {"value": 1, "__defaults__": ()})]
)
def test_a_pickle_sets_no_attribute_of_the_reader(tmp_path, module, name, state):
    (tmp_path / "in.pkl").write_bytes(
        program(named(module, name), pickle.dumps(state, 2)[2:-1], b"b")
    )
    with pytest.raises(InputError, match="refused, for it sets attributes on what is no array"):
        pickles.load(tmp_path / "in.pkl")


def test_limits(tmp_path, monkeypatch):
    path = put(tmp_path, [[], [], []])
    monkeypatch.setattr(pickle_machine, "DEEPEST", 0)
    with pytest.raises(InputError, match="nested more than 0 deep"):
        pickles.load(path)
    monkeypatch.setattr(pickle_machine, "DEEPEST", 1)
    for most in (3, 7):  # three of the four lists, or all of them and three of their places
        monkeypatch.setattr(pickle_machine, "MOST_OBJECTS", most)
        with pytest.raises(InputError, match=f"more than {most} containers or places"):
            pickles.load(path)
    monkeypatch.setattr(pickle_machine, "MOST_OBJECTS", 8)
    assert pickles.load(path) == [[], [], []]
    monkeypatch.setattr(pickle_machine, "MOST_STEPS", 5)
    with pytest.raises(InputError, match="more than 5 operations"):
        pickles.load(path)
    monkeypatch.setattr(pickles, "LARGEST", 5)
    with pytest.raises(InputError, match="too many for a pickle"):
        pickles.load(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "in.pkl")
    with pytest.raises(InputError, match="in.pkl: is not a plain file; expected a pickle"):
        pickles.load(tmp_path / "in.pkl")
