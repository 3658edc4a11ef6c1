"""How a script begins and ends: flags, signals, and one sentence when something is wrong."""

from __future__ import annotations

import difflib
import functools
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from mgjax import files
from mgjax.errors import InputError

Main = Callable[[list[str]], object]


def script(main: Main) -> Main:
    """Decorate a script's `main`: whatever goes wrong outside of it ends in one sentence.

    Bad input, a full disk and exhausted memory end with exit code 1; Ctrl-C, SIGTERM and SIGHUP
    with 128 and the signal's number, after everything was cleaned up; a reader of its output that
    has gone away ends it quietly.
    """

    @functools.wraps(main)
    def run(argv: list[str]) -> object:
        _open_standard_streams()
        _keep_libraries_quiet()
        if len(argv) > 1:
            wrong = f"unexpected argument {argv[1]!r}"
            sys.exit(f"error: {wrong}: every option of this script is a flag (see --help)")
        sys.unraisablehook = _not_lost
        try:
            _leave_on_signals()
            result = main(argv)
            sys.stdout.flush()  # here, where a full disk can still be reported
            return result
        except InputError as error:
            _end(1, f"error: {error}")
        except KeyboardInterrupt:
            _end(128 + signal.SIGINT, "interrupted")
        except _Stopped as stopped:
            _end(128 + stopped.args[0])
        except BrokenPipeError:
            os._exit(128 + getattr(signal, "SIGPIPE", 13))
        except MemoryError:
            _end(1, "error: out of memory")
        except OSError as error:
            if error.errno is None:  # not of the system: a mistake of ours
                raise
            _end(1, f"error: {error.filename or 'standard output'}: {os.strerror(error.errno)}")

    return run


def _keep_libraries_quiet() -> None:
    # Libraries below us log every step they take through absl's root logger; a user's terminal is
    # not the place.
    for name in (None, "absl"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _leave_on_signals() -> None:
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        # under nohup it is ignored, and stays so
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _leave)


def _no_flags() -> None:
    """What a script without flags defines."""


def run_script(main: Main, define_flags: Callable[[], None] = _no_flags) -> None:
    """Run a script: define its flags, read the command line and call `main`; --help ends with
    exit code 0.
    """
    from absl import app, flags  # here, so that the library does without

    def parse(argv: list[str]) -> list[str]:
        try:
            _check_flag_files(argv)
            return flags.FLAGS(argv)
        except flags.Error as error:
            sys.exit(f"error: {_about_flag(error, flags.FLAGS)}; --help lists the flags")
        except SystemExit as end:
            # absl ends with 1 after --help, as if something had gone wrong.
            sys.exit(0 if _asks_for_help(argv) and end.code == 1 else end.code)
        except (InputError, OSError, UnicodeDecodeError) as error:
            sys.exit(f"error: --flagfile: {error}")

    _open_standard_streams()
    define_flags()
    app.run(main, flags_parser=parse)


def _about_flag(error: Exception, known: Any) -> str:
    """What is wrong with a flag, in a sentence; absl's own words take two lines."""
    unknown = getattr(error, "flagname", None)
    if unknown is None:
        text = str(error).removeprefix("flag ")
        needed = re.search(r"(--\S+) must have a value other than None", text)
        if needed:
            return f"{needed[1]} is needed"
        text = text.replace("invalid literal for int() with base 10:", "no whole number:")
        return text.replace("could not convert string to float:", "no number:")
    # An old name of a flag is no help: it is of no module.
    names = [flag.name for flags in known.flags_by_module_dict().values() for flag in flags]
    near = difflib.get_close_matches(unknown[:100], names, n=1, cutoff=0.75)
    hint = f"; did you mean --{near[0]}?" if near else ""
    return f"there is no flag --{unknown}{hint}"


def _asks_for_help(argv: list[str]) -> bool:
    given = {text.lstrip("-").partition("=")[0] for text in argv}
    return bool(given & {"help", "helpshort", "helpfull", "helpxml"})


def _check_flag_files(argv: list[str]) -> None:
    """Read the files of flags before absl does, which would wait for a pipe and break on others."""
    for path in _flag_files(argv):
        files.read_text(path, "a text of flags")


def _flag_files(argv: list[str]) -> list[str]:
    """The files of flags that a command line names, what a shell hands over as one (<(...)) left
    out.
    """
    given = []
    for text, following in zip(argv, [*argv[1:], ""]):
        name, equals, path = text.lstrip("-").partition("=")
        if name == "flagfile":
            given.append(path if equals else following)
    return [path for path in given if path and not path.startswith("/dev/fd/")]


class _Stopped(BaseException):
    """SIGTERM or SIGHUP came; its number is the argument."""


def _leave(number: int, _: object) -> None:
    raise _Stopped(number)


def _not_lost(unraisable: sys.UnraisableHookArgs) -> None:
    """Deliver a signal again whose exception came in a destructor or a callback, where Python
    drops it.
    """
    kind, value = unraisable.exc_type, unraisable.exc_value
    if not issubclass(kind, (KeyboardInterrupt, _Stopped)):
        sys.__unraisablehook__(unraisable)
        return
    number = value.args[0] if isinstance(value, _Stopped) else signal.SIGINT
    # A moment later, for in here it would be dropped again.
    main = threading.main_thread().ident
    again = threading.Timer(0.05, signal.pthread_kill, [main, number])
    again.daemon = True
    again.start()


def _end(code: int, sentence: str = "") -> NoReturn:
    """Say a sentence and leave at once.

    Threads of a library whose read has failed would talk on after it, and the interpreter's own
    way out can crash while XLA is still compiling in others.
    """
    for stream, text in ((sys.stderr, sentence and f"{sentence}\n"), (sys.stdout, "")):
        try:
            stream.write(text)
            stream.flush()
        except OSError:
            pass
    os._exit(code)


def _open_standard_streams() -> None:
    """Put nothing where a standard stream was closed, lest a file of ours get its number and be
    written into.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            stream = open(number, mode, closefd=False)  # noqa: SIM115 - for the process's life
            setattr(sys, name, stream)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a stand-in may not have it
            # The name of a file may be no text that the terminal can show.
            stream.reconfigure(errors="backslashreplace")
