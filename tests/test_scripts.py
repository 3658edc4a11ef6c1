"""What a script says when something goes wrong, in real processes."""

import os
import signal
import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys
from absl import flags
from mgjax import errors, scripts

def define_flags():
    flags.DEFINE_string("do", None, "what to do", required=True)

@scripts.script
def main(_):
    {what}
    print("said")

scripts.run_script(main, define_flags)
"""


def run(what, *arguments, **how):
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
    arguments = arguments or ("--do=it",)
    command = [sys.executable, "-c", SCRIPT.format(what=what), *arguments]
    return subprocess.run(command, text=True, **how)


@pytest.mark.parametrize(
    "what, sentence",
    [
        ("raise errors.InputError('a.csv: wrong')", "error: a.csv: wrong\n"),
        ("raise OSError(28, 'x', 'a.h5')", "error: a.h5: No space left on device\n"),
        ("raise MemoryError", "error: out of memory\n"),
    ],
)
def test_one_sentence(what, sentence):
    result = run(what)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", sentence)


def test_a_mistake_of_ours_keeps_its_traceback():
    result = run("1 / 0")
    assert result.returncode == 1 and "ZeroDivisionError" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_clean_up(number):
    result = run(f"""
    try:
        os.kill(os.getpid(), {int(number)})
    finally:
        print("cleaned")""")
    assert result.returncode == 128 + number and result.stdout == "cleaned\n"
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_comes_in_a_destructor_is_not_lost(number):
    result = run(f"""
    import time
    class Dying:
        def __del__(self):
            os.kill(os.getpid(), {int(number)})
    Dying()
    time.sleep(60)""")
    assert (result.returncode, result.stdout) == (128 + number, "")
    assert "Traceback" not in result.stderr and "ignored" not in result.stderr


def test_what_else_is_dropped_in_a_destructor_is_told():
    result = run("""
    class Dying:
        def __del__(self):
            1 / 0
    Dying()""")
    assert result.returncode == 0 and "ZeroDivisionError" in result.stderr


def test_a_hangup_ignored_stays_ignored():
    command = [
        sys.executable,
        "-c",
        SCRIPT.format(what="os.kill(os.getpid(), signal.SIGHUP)"),
        "--do=it",
    ]
    ignore = (
        "import signal, os, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    result = subprocess.run(
        [sys.executable, "-c", ignore, *command], capture_output=True, text=True
    )
    assert (result.returncode, result.stdout) == (0, "said\n")


def test_help_is_no_error_and_a_wrong_flag_is_one():
    assert run("pass", "--help").returncode == 0
    assert run("pass", "--do=it", "--else=3").returncode == 1


@pytest.mark.parametrize(
    "place, words",
    [
        (sys.executable, "not UTF-8 text; expected a text of flags"),
        ("pipe", "is not a plain file"),
        ("absent", "No such file"),
        ("/dev/zero", "is not a plain file"),
    ],
)
def test_a_file_of_flags_that_is_none(place, words, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for arguments in ([f"--flagfile={tmp_path / place}"], ["--flagfile", str(tmp_path / place)]):
        result = run("pass", *arguments)
        assert result.returncode == 1 and result.stderr.startswith("error: --flagfile: ")
        assert words in result.stderr and result.stderr.count("\n") == 1


def test_a_file_of_flags_may_come_from_the_shell():
    command = [sys.executable, "-c", SCRIPT.format(what="print(flags.FLAGS.do)")]
    shell = ["bash", "-c", '"$@" --flagfile=<(echo --do=that)', "bash", *command]
    assert subprocess.run(shell, capture_output=True, text=True).stdout == "that\nsaid\n"


def test_a_full_output_is_a_sentence():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        result = run("pass", stdout=full)
    assert result.returncode == 1
    assert result.stderr == "error: standard output: No space left on device\n"


def test_a_reader_that_has_gone_away_ends_it_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    result = run("pass", stdout=writer)
    os.close(writer)
    assert result.returncode == 128 + signal.SIGPIPE and result.stderr == ""


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams_take_no_file_of_ours(closed, tmp_path):
    what = f"""
    with open({str(tmp_path / "a")!r}, "w") as file:
        assert file.fileno() > 2
        print("noise", file=sys.stderr)
        file.write("whole")"""
    arguments = [sys.executable, "-c", SCRIPT.format(what=what), "--do=it"]
    shell = subprocess.run(["bash", "-c", f'exec "$@" {closed}', "bash", *arguments])
    assert shell.returncode == 0 and (tmp_path / "a").read_text() == "whole"


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--doo=it"], "there is no flag --doo; did you mean --do?"),
        (["--xyz"], "there is no flag --xyz"),
        (["--nofile"], "there is no flag --nofile"),
        (["--v=0", "--do"], "Missing value for flag --do"),
        (["--v=0"], "--do is needed"),
        (["--do=it", "--v=x"], "--verbosity=x: no whole number: 'x'"),
    ],
)
def test_a_wrong_flag_is_one_sentence(arguments, sentence):
    result = run("pass", *arguments)
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr == f"error: {sentence}; --help lists the flags\n"
