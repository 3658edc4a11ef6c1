"""Files are written whole or not at all, by one writer at a time, and read only where they are
plain files.
"""

import errno
import os
import subprocess
import sys
import threading

import pytest

from mgjax import files
from mgjax.errors import InputError


def test_a_file_gets_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.whole(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["a.txt"]


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.whole(path) as partial:
        partial.write_text("new")
        raise ZeroDivisionError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_one_sentence(tmp_path):
    sentence = r"a\.txt: cannot be written \(No space left on device\)"
    with pytest.raises(InputError, match=sentence), files.whole(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "x")
    assert os.listdir(tmp_path) == []


def test_the_second_writer_is_refused_until_the_first_has_the_name(tmp_path, monkeypatch):
    path, refused, replace = tmp_path / "a.txt", [], os.replace

    def late(source, target):
        with pytest.raises(InputError, match="another process is writing it"):
            files.write_text(path, "second")
        refused.append(True)
        replace(source, target)

    monkeypatch.setattr(os, "replace", late)
    files.write_text(path, "first")
    assert refused and path.read_text() == "first"
    monkeypatch.undo()
    files.write_text(path, "third")
    assert path.read_text() == "third"


def test_what_a_killed_writer_left_is_replaced(tmp_path):
    code = (
        "import os, sys; from mgjax import files\n"
        "with files.whole(sys.argv[1]) as partial: partial.write_text('half'); "
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "a.txt"]).returncode == -9
    assert os.listdir(tmp_path) == ["a.txt.partial"]
    files.write_text(tmp_path / "a.txt", "whole")
    assert os.listdir(tmp_path) == ["a.txt"] and (tmp_path / "a.txt").read_text() == "whole"


def test_many_writers_leave_one_whole_file(tmp_path):
    path, written = tmp_path / "a.txt", []

    def write(letter):
        for _ in range(50):
            try:
                files.write_text(path, letter * 10_000)
                written.append(letter)
            except InputError:
                pass

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            text = path.read_text()
            assert len(text) == 10_000 and len(set(text)) == 1
    assert written and os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_has_one_writer(tmp_path):
    second = pytest.raises(InputError, match="another process is writing it")
    with files.one_writer(tmp_path), second, files.one_writer(tmp_path):
        pass
    with files.one_writer(tmp_path):
        pass


@pytest.mark.parametrize(
    "name, message",
    [
        ("absent/a.txt", "no such folder"),
        ("folder", "is a folder"),
        ("pipe", "is not a plain file"),
        ("a\0b", "cannot be the path"),
        ("a" * 300, "cannot be"),
    ],
)
def test_where_no_file_can_be_written(tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=message):
        files.write_text(f"{tmp_path}/{name}", "")


def test_output_says_what_it_will_replace(tmp_path, capsys):
    files.output(tmp_path / "a.txt")
    assert capsys.readouterr().err == ""
    (tmp_path / "a.txt").touch()
    files.output(tmp_path / "a.txt")
    assert "is there and will be replaced" in capsys.readouterr().err


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is not a plain file; expected a table"):
        files.read_bytes(tmp_path / "pipe", "a table")


@pytest.mark.parametrize(
    "data, message",
    [
        (b"\xff", "not UTF-8 text"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "not JSON"),
    ],
)
def test_what_is_no_json(tmp_path, data, message):
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(InputError, match=f"a.json: {message}.*expected numbers"):
        files.read_json(tmp_path / "a.json", "numbers")


def test_json_comes_back(tmp_path):
    value = {"a": [1, 2.5, None, "ü"], "b": {}}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json", "anything") == value
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "a.json", float("nan"))
    assert files.read_json(tmp_path / "a.json", "anything") == value


def test_too_large_a_file_is_not_read(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert files.read_bytes(tmp_path / "a", "five bytes", most=5) == b"12345"
    with pytest.raises(InputError, match="has 5 bytes, too many for four"):
        files.read_bytes(tmp_path / "a", "four bytes", most=4)


def test_importing_it_imports_nothing_heavy():
    code = (
        "import sys; from mgjax import files\n"
        "print([m for m in ('jax', 'numpy', 'h5py') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
