"""What progress is said, and that the work does not end where it cannot be."""

import io
import os
import pty
import subprocess
import sys

import pytest

from mgjax import progress


class Broken(io.StringIO):
    """A stream on which nothing can be written."""

    def __init__(self, error, terminal):
        super().__init__()
        self.error, self.terminal = error, terminal

    def isatty(self):
        return self.terminal

    def write(self, text):
        raise self.error

    flush = close = lambda self: None


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), ValueError("I/O operation on closed file")]
)
def test_work_goes_on_where_nothing_can_be_said(monkeypatch, terminal, error):
    monkeypatch.setattr(sys, "stderr", Broken(error, terminal))
    monkeypatch.setenv("TERM", "xterm")
    assert list(progress.track(range(5), 5, "counting")) == list(range(5))
    with progress.counter(3, "counting", every=-1) as advance:
        for _ in range(3):
            advance("a note")


def test_work_goes_on_without_a_standard_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with progress.counter(3, "counting", every=-1) as advance:
        advance()


def test_a_line_now_and_then(capsys):
    with progress.counter(3, "counting", every=-1) as advance:
        advance("first")
        advance(items=2)
    assert capsys.readouterr().err == "counting: 1 of 3 first\ncounting: 3 of 3\n"


COUNT = """
import os, sys
from mgjax import progress
with progress.counter(3, "counting", every=-1) as advance:
    advance()
    sys.stdin.readline()
    advance()
    advance()
os.write(1, b"done")
os._exit(0)
"""


def test_a_terminal_that_is_closed_meanwhile():
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", COUNT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(theirs)
    assert os.read(ours, 1)  # something is shown
    os.close(ours)
    out, _ = process.communicate(b"\n", timeout=60)
    assert out == b"done" and process.returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_log_file():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", COUNT],
            input=b"\n",
            stdout=subprocess.PIPE,
            stderr=full,
            timeout=60,
        )
    assert done.stdout == b"done" and done.returncode == 0
