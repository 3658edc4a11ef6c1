"""The one exception that means "the input is wrong", and how a script says it."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable

LONGEST = 1000  # characters of a message


class InputError(ValueError):
    """Something the user gave is wrong; the message is one clear sentence that names it.

    A message that quotes something endless loses its middle.
    """

    def __init__(self, message: str = ""):
        half = LONGEST // 2
        if len(message) > LONGEST:
            message = f"{message[:half]} … {message[-half:]}"
        super().__init__(message)


def short(value) -> str:
    """A value for an error message, cut where it is long."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply; a number of too many digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def script(main: Callable) -> Callable:
    """Decorate a script's `main`: whatever goes wrong outside of it ends in one sentence.

    Bad input, a full disk and exhausted memory end with exit code 1; Ctrl-C, SIGTERM and SIGHUP
    with 128 and the signal's number, after everything was cleaned up; a reader of its output that
    has gone away ends it quietly.
    """

    @functools.wraps(main)
    def run(argv):
        _open_standard_streams()
        # Libraries below us log every step they take through absl's root logger; a user's
        # terminal is not the place.
        logging.getLogger().setLevel(logging.WARNING)
        logging.getLogger("absl").setLevel(logging.WARNING)
        if len(argv) > 1:
            sys.exit(
                f"error: unexpected argument {argv[1]!r}: every option of this script is a "
                "flag (see --help)"
            )
        sys.unraisablehook = _not_lost
        try:
            for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
                # under nohup it is ignored, and stays so
                if signal.getsignal(number) == signal.SIG_DFL:
                    signal.signal(number, _leave)
            result = main(argv)
            sys.stdout.flush()
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
            if error.errno is None:
                raise
            _end(1, f"error: {error.filename or 'standard output'}: {os.strerror(error.errno)}")

    return run


def run_script(main: Callable, define_flags: Callable = lambda: None):
    """Run a script: define its flags, read the command line and call `main`; --help ends with
    exit code 0.
    """
    from absl import app  # here, so that the library does without

    from mgjax import files

    def parse(argv):
        try:
            for path in _flag_files(argv):
                files.read_text(path, "a text of flags")
            return app.parse_flags_with_usage(argv)
        except SystemExit as end:
            asked = {"help", "helpshort", "helpfull", "helpxml"} & {
                text.lstrip("-").partition("=")[0] for text in argv
            }
            sys.exit(0 if asked and end.code == 1 else end.code)
        except (InputError, OSError, UnicodeDecodeError) as error:
            sys.exit(f"error: --flagfile: {error}")

    _open_standard_streams()
    define_flags()
    app.run(main, flags_parser=parse)


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


def _leave(number, _):
    raise _Stopped(number)


def _not_lost(unraisable):
    """Deliver a signal again whose exception came in a destructor or a callback, where Python
    drops it.
    """
    kind, value = unraisable.exc_type, unraisable.exc_value
    if not issubclass(kind, (KeyboardInterrupt, _Stopped)):
        sys.__unraisablehook__(unraisable)
        return
    number = signal.SIGINT if kind is KeyboardInterrupt else value.args[0]
    # A moment later, for in here it would be dropped again.
    main = threading.main_thread().ident
    again = threading.Timer(0.05, signal.pthread_kill, [main, number])
    again.daemon = True
    again.start()


def _end(code: int, sentence: str = ""):
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


def _open_standard_streams():
    """Put nothing where a standard stream was closed, lest a file of ours get its number and be
    written into.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a stand-in may not have it
            # The name of a file may be no text that the terminal can show.
            stream.reconfigure(errors="backslashreplace")
