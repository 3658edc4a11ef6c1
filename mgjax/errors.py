"""The one exception that means "the input is wrong", and how a script says it."""

import functools
import logging
import os
import pathlib
import sys


class InputError(ValueError):
    """Something the user gave is wrong; the message is one clear sentence that names it."""


def writable(path: str | os.PathLike) -> pathlib.Path:
    """The path of a file to write, if its folder is there.

    Raises:
        InputError: it is not.
    """
    path = pathlib.Path(path)
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path.parent}: no such folder to write {path.name} into")
    return path


def script(main):
    """Decorate a script's `main`: bad input ends in one sentence and exit code 1, Ctrl-C in exit code 130."""

    @functools.wraps(main)
    def run(argv):
        # Libraries below us log every step they take through absl's root logger; a user's terminal is not the place.
        logging.getLogger().setLevel(logging.WARNING)
        logging.getLogger("absl").setLevel(logging.WARNING)
        if len(argv) > 1:
            sys.exit(f"error: unexpected argument {argv[1]!r}: every option of this script is a flag (see --help)")
        try:
            return main(argv)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            sys.stdout.flush()
            # Leave at once: threads of a library whose read has failed would talk on after the sentence.
            os._exit(1)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(130)

    return run
