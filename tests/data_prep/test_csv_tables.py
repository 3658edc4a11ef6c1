import dataclasses
import errno
import os

import pytest

from data_prep import csv_tables, imigue_files
from mgjax.errors import InputError

COLUMNS = ("id",), ("subject", "fps", "width")


def put(folder, text, encoding="utf-8"):
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding, "surrogatepass"))
    return path


def read(folder, text, encoding="utf-8"):
    return [
        row
        for _, row in csv_tables.read_table(put(folder, text, encoding), *COLUMNS, csv_tables.SPLIT)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "id,subject,fps,width\na,x,25.5,640\nb,,,\n",
        "id;subject;fps;width\r\na;x;25,5;640\r\nb;;;\r\n",
        "id;subject;fps;width\na;x;25.5;640\nb;;;",
        "id\tsubject\tfps\twidth\na\tx\t25.5\t640\nb\t\t\t",
        "id\tsubject\tfps\twidth\na\tx\t25.5\t640\nb\t\t\t\n\n  \n",
        "sep=;\r\nid;subject;fps;width\r\na;x;25,5;640\r\nb;;;\r\n",
        'SEP=,\nid,subject,fps,width\na,"x",25.5,640\nb,,,\n',
        '"sep=\t"\nid\tsubject\tfps\twidth\na\tx\t25.5\t640\nb\t\t\t',
        "\ufeffid, subject,fps ,width\n a,x,25.5,640\nb,,,\n",
    ],
)
def test_one_table_in_every_spelling(tmp_path, text):
    assert read(tmp_path, text) == [
        {"id": "a", "subject": "x", "fps": 25.5, "width": 640},
        {"id": "b", "subject": ""},
    ]


def test_other_separators_in_cells(tmp_path):
    assert read(tmp_path, 'id,subject\n"a;b",x;y\n') == [{"id": "a;b", "subject": "x;y"}]
    assert read(tmp_path, "id;subject\na,b;x,y,z\n") == [{"id": "a,b", "subject": "x,y,z"}]
    assert read(tmp_path, "id\n7\n8;9\n") == [{"id": "7"}, {"id": "8;9"}]


@pytest.mark.parametrize(
    "text, words",
    [
        (
            "name;fps\na;1\n",
            "no column 'id' in its first line; .* .its columns are separated by semicolons",
        ),
        ("name\na\n", "no column 'id' in its first line; .* .its columns are separated by commas"),
        ("id\tfps\na\n", "line 2: 1 values, expected 2 .its columns are separated by tabs"),
        (
            "id;fps\na;1;2\n",
            "line 2: 3 values, expected 2 .its columns are separated by semicolons",
        ),
        ("id;age\na;1\n", "unknown or repeated column 'age'; .* separated by semicolons"),
        (
            "sep=|\nid|fps\na|1\n",
            r"line 1: the separator is '\|', expected a comma, a semicolon or a tab",
        ),
        ("sep=;\nid;fps\na;x\n", "line 3: fps is 'x', expected a number of at least 0"),
        # No decimal comma where commas separate.
        ('id,fps\na,"25,5"\n', "line 2: fps is '25,5', expected a number"),
        ("id;width\na;25,5\n", "line 2: width is '25,5', expected a whole number"),
        ("id,fps\na," + "1" * 310, "line 2: fps is '1{97}[.]{3}', expected a number of at least 0"),
        ("id,width\na," + "1" * 310, "line 2: width is '1{97}[.]{3}', expected a whole number"),
        ("id,width\na," + "1" * 5000, "line 2: width is '1{97}[.]{3}', expected a whole number"),
        ("id,width\na,nan", "width is 'nan'"),
        ("id,fps\na,nan", "fps is 'nan'"),
        ("id,fps\na,-1", "fps is '-1'"),
        ("id,subject\na,b\nc,d\0e\n", "line 3: has a NUL byte; expected a CSV table in UTF-8"),
        (
            'id,subject\na,"two\nlines"\n',
            r"line 3: subject is 'two\\nlines', expected a text without '\\n' in it",
        ),
        (
            "id,subject\na,\x1b[31mred\n",
            r"line 2: subject is '\\x1b\[31mred', expected a text without '\\x1b'",
        ),
        ("id,subject\na,b\u2028c\n", "line 2: subject is"),
        (
            f"id,subject\na,{'x' * 1001}\n",
            "line 2: subject is 'x{97}[.]{3}', expected at most 1000 characters, not 1001",
        ),
        ("id,subject\na,b\nc," + "x" * 200_000, "line 3: field larger than field limit"),
        ("id,split_a/b\na,train", "column 'split_a/b': a split cannot be called 'a/b'"),
        ("id,split_.\na,train", "column 'split_.': a split cannot be called '.'"),
        ("id,split_all\na,train", "a split cannot be called 'all'"),
        ("id,split_\na,train", "unknown or repeated column 'split_'"),
        ("id,id\na,b", "unknown or repeated column 'id'"),
        (
            "id," + ",".join(f"split_{number}" for number in range(50_000)) + ",id\na",
            "repeated column 'id'",
        ),
        (
            b"\xff\xfe" + "id,fps\na,1".encode("utf-16-le"),
            'not UTF-8 text but UTF-16; .* in Excel as "CSV UTF-8"',
        ),
        ("id,subject\na,b".encode("utf-16-le"), "line 1: has a NUL byte"),
        ("id,subject\na,Jörg".encode("latin-1"), ": not UTF-8 text; expected a CSV table: save it"),
        ("id,subject\na,\ud800", "not UTF-8 text"),
        ('id,subject\n"a,b', "line 2: unexpected end of data"),
        ("", "no column 'id'"),
    ],
)
def test_wrong_tables(tmp_path, text, words):
    with pytest.raises(InputError, match=f"table.csv.*{words}") as caught:
        read(tmp_path, text)
    assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)


def test_what_is_no_plain_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.csv").mkdir()
    for name, words in (
        ("pipe", "is not a plain file"),
        ("link", "cannot be read .No such file"),
        ("folder", "is not a plain file"),
        ("none", "cannot be read"),
    ):
        with pytest.raises(InputError, match=f"{name}.csv: {words}.*; expected a CSV table"):
            csv_tables.read_rows(tmp_path / f"{name}.csv")


def test_a_large_table_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_tables, "LARGEST", 10)
    with pytest.raises(InputError, match="table.csv: has 11 bytes, too many for a CSV table"):
        read(tmp_path, "id\n12345678")


@pytest.mark.parametrize(
    "text",
    [
        "9,0,24\n99,30,30\n,31,31\n",
        "9;0;24\n99;30;30\n;31;31",
        "9\t0\t24\n99\t30\t30\n\t31\t31",
        "sep=;\nlabel;start;end\n9;0;24\n99;30;30\n;31;31\n",
    ],
)
def test_label_files_in_every_spelling(tmp_path, text):
    labels = imigue_files.read_labels(put(tmp_path, text), 40)
    assert labels == [(0, 25, 8), (30, 1, 31), (31, 1, None)]


@pytest.mark.parametrize(
    "text, words",
    [
        (
            "9;0\n",
            "line 1: 2 values, expected three: label,start,end .the values are separated by "
            "semicolons",
        ),
        ("9,0," + "1" * 5000, "line 1: 9,0,1{50,96} are not whole numbers"),
        ("1" * 5000 + ",0,1", "line 1: 1{100} are not whole numbers"),
        ("9,0,1\0\n", "line 1: has a NUL byte"),
    ],
)
def test_wrong_label_files(tmp_path, text, words):
    with pytest.raises(InputError, match=f"table.csv, {words}") as caught:
        imigue_files.read_labels(put(tmp_path, text), 40)
    assert len(str(caught.value)) < 300


@dataclasses.dataclass
class Row:
    id: str
    frames: int


def test_a_report_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "report.csv"
    csv_tables.write_report(path, [Row("a", 1), Row("b,c", 2)])
    assert path.read_bytes() == b'id,frames\r\na,1\r\n"b,c",2\r\n'
    monkeypatch.setattr(dataclasses, "asdict", full)
    with pytest.raises(InputError, match="report.csv: cannot be written .No space left on device"):
        csv_tables.write_report(path, [Row("d", 3)])
    assert path.read_bytes().startswith(b"id,frames\r\na,1") and len(list(tmp_path.iterdir())) == 1


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_report_s_path(tmp_path, capsys):
    csv_tables.check_report(None, tmp_path / "out.h5")
    csv_tables.check_report(tmp_path / "report.csv", tmp_path / "out.h5")
    assert capsys.readouterr().err == ""
    (tmp_path / "report.csv").write_text("old")
    csv_tables.check_report(tmp_path / "report.csv", tmp_path / "out.h5")
    assert "report.csv is there and will be replaced" in capsys.readouterr().err
    (tmp_path / "same").symlink_to(tmp_path)
    for report, words in (
        (tmp_path / "same" / "out.h5", "the same file"),
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "report.csv", "no such folder"),
    ):
        with pytest.raises(InputError, match=words):
            csv_tables.check_report(report, tmp_path / "out.h5")


def test_a_value_is_shown_in_a_few_words():
    pile = [0]
    for _ in range(100):
        pile = [pile, pile]
    for value in (
        "x" * 10**6,
        pile,
        tuple(pile),
        {"a": pile},
        list(range(10**5)),
        10**4000,
        b"x" * 1000,
    ):
        assert len(csv_tables.shown(value)) <= 110
    assert csv_tables.shown("a'b") == repr("a'b") and csv_tables.shown([1, 2]) == "[1, 2]"
