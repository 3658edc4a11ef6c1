import os
import pathlib

import pytest

from data_prep import annotations
from mgjax.errors import InputError


def table(path, *rows, header="video,start,stop,label"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


BAD_ROWS = {
    "v,5,5,a": "line 2: the gesture ends before it starts",
    "v,-1,5,a": "line 2: start is '-1', expected a whole number",
    "v,0,2000000000,a": "line 2: the gesture ends with frame 1999999999, expected less than",
    "v,0,5,": "line 2: no label",
    "v,0,5,none": "line 2: no class can be called 'none'",
    "v,0,5,a\nv,0,5,a": "line 3: 'a' of video 'v', frames 0 to 4, is there twice",
}


@pytest.mark.parametrize("row", BAD_ROWS)
def test_bad_tables(tmp_path, row):
    with pytest.raises(InputError, match=BAD_ROWS[row]):
        annotations.read_annotation(table(tmp_path / "clips.csv", row))


@pytest.mark.parametrize(
    "row, words",
    [
        ("33,0,5", "0001_label.csv, line 2: label is 33"),
        (",0,5", "0001_label.csv: frames 0 to 5 have no label"),
        ("1,6,5", "end before they start"),
        ("1,0,5\n1,0,5", "of video '0001', frames 0 to 5, is there twice"),
    ],
)
def test_bad_label_files(tmp_path, row, words):
    table(tmp_path / "0001_label.csv", row, header="label,start,end")
    with pytest.raises(InputError, match=words):
        annotations.read_annotation(tmp_path)


@pytest.mark.parametrize(
    "text, words",
    [
        ("video;start;stop;label\nv;0;10;rub\n", None),
        ("sep=;\nvideo;start;stop;label\nv;0;10;rub\n", None),
        ("video\tstart\tstop\tlabel\nv\t0\t10\trub\n", None),
        ("video;start;stop\nv;0;10\n", "clips.csv: no column 'label' .* separated by semicolons"),
        ("video,start,stop,label\nv,0,10,ru\0b\n", "clips.csv, line 2: has a NUL byte"),
        (
            "video,start,stop,label\nv,0," + "9" * 5000 + ",rub\n",
            "clips.csv, line 2: stop is '9{97}[.]{3}', expected a whole",
        ),
    ],
)
def test_tables_in_every_spelling(tmp_path, text, words):
    (tmp_path / "clips.csv").write_text(text)
    if words is None:
        assert annotations.read_annotation(tmp_path / "clips.csv") == {"v": [(0, 10, "rub")]}
        return
    with pytest.raises(InputError, match=words):
        annotations.read_annotation(tmp_path / "clips.csv")
    (tmp_path / "videos.csv").write_text("id,frames\nv," + "9" * 900)
    with pytest.raises(
        InputError, match="line 2: frames is '9{97}[.]{3}', expected a whole number"
    ):
        annotations.read_lengths(tmp_path / "videos.csv")


def test_names_of_label_files_that_are_no_text(tmp_path):
    for name in (b"caf\xe9_label.csv", b"two\nlines_label.csv"):
        path = os.path.join(os.fsencode(tmp_path), name)
        with open(path, "w") as file:
            file.write("1,0,5\n")
        words = "_label.csv: the id in its name is '(caf.udce9|two.nlines)', expected a text"
        with pytest.raises(InputError, match=words):
            annotations.read_annotation(tmp_path)
        os.unlink(path)


@pytest.mark.parametrize("kind", ["pipe", "dangling link", "folder"])
def test_what_is_no_plain_file(tmp_path, kind):
    path = tmp_path / "7_label.csv"
    {
        "pipe": os.mkfifo,
        "dangling link": lambda path: path.symlink_to("nowhere"),
        "folder": pathlib.Path.mkdir,
    }[kind](path)
    for given in (tmp_path, path) if kind != "folder" else (tmp_path,):
        with pytest.raises(
            InputError, match="7_label.csv: (is not a plain|cannot be read .No such)"
        ):
            annotations.read_annotation(given)
