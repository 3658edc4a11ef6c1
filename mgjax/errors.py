"""The one exception that means "the input is wrong", and how a script says it."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
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


def script(main: Callable) -> Callable:
    """Decorate a script's `main`: whatever goes wrong outside of it ends in one sentence.

    Bad input, a full disk and exhausted memory end with exit code 1; Ctrl-C, SIGTERM and SIGHUP with 128 and the
    signal's number, after everything was cleaned up; a reader of its output that has gone away ends it quietly.
    """

    @functools.wraps(main)
    def run(argv):
        _open_standard_streams()
        # Libraries below us log every step they take through absl's root logger; a user's terminal is not the place.
        logging.getLogger().setLevel(logging.WARNING)
        logging.getLogger("absl").setLevel(logging.WARNING)
        if len(argv) > 1:
            sys.exit(f"error: unexpected argument {argv[1]!r}: every option of this script is a flag (see --help)")
        try:
            for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
                if signal.getsignal(number) == signal.SIG_DFL:  # under nohup it is ignored, and stays so
                    signal.signal(number, _leave)
            result = main(argv)
            sys.stdout.flush()
            return result
        except InputError as error:
            _fail(str(error))
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(128 + signal.SIGINT)
        except BrokenPipeError:
            os._exit(128 + getattr(signal, "SIGPIPE", 13))
        except MemoryError:
            _fail("out of memory")
        except OSError as error:
            if error.errno is None:
                raise
            _fail(f"{error.filename or 'standard output'}: {os.strerror(error.errno)}")

    return run


def run_script(main: Callable, define_flags: Callable = lambda: None):
    """Run a script: define its flags, read the command line and call `main`; --help ends with exit code 0."""
    from absl import app  # here, so that the library does without

    def parse(argv):
        try:
            return app.parse_flags_with_usage(argv)
        except SystemExit as end:
            asked = {"help", "helpshort", "helpfull", "helpxml"} & {text.lstrip("-").partition("=")[0] for text in argv}
            sys.exit(0 if asked and end.code == 1 else end.code)
        except (OSError, UnicodeDecodeError) as error:  # of --flagfile
            sys.exit(f"error: --flagfile: cannot be read as a text of flags ({error})")

    _open_standard_streams()
    define_flags()
    app.run(main, flags_parser=parse)


def _fail(sentence: str):
    """Say the sentence and leave at once: threads of a library whose read has failed would talk on after it."""
    for stream, text in ((sys.stderr, f"error: {sentence}\n"), (sys.stdout, "")):
        try:
            stream.write(text)
            stream.flush()
        except OSError:
            pass
    os._exit(1)


def _leave(number, _):
    raise SystemExit(128 + number)


def _open_standard_streams():
    """Put nothing where a standard stream was closed, lest a file of ours get its number and be written into."""
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
