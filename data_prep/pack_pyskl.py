"""pyskl's annotation pickles to a store, and a store to such a pickle.

    python data_prep/pack_pyskl.py --input ntu60_hrnet.pkl --output ntu60.h5
    python data_prep/pack_pyskl.py --export study.h5 --output study.pkl --labels study_classes.txt

`data_prep/pyskl.py` says what becomes of the annotations and of their lists, and what of
a store a pickle cannot say. A pickle can make whoever reads it run any program; here it
is read by something that builds numbers, text, arrays and containers
(`data_prep/pickles.py`).
"""

from __future__ import annotations

import os

from absl import flags

from data_prep import pyskl
from mgjax import files
from mgjax.errors import InputError
from mgjax.scripts import run_script, script


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_string("input", None, "Pickle of pyskl annotations to make a store of.")
    flags.DEFINE_string("export", None, "Store to make a pickle of.")
    flags.DEFINE_string("output", None, "Store, or with --export pickle, to write.", required=True)
    flags.DEFINE_string(
        "labels",
        None,
        "Class names, one a line: read with --input (without it classes are named by their "
        "numbers), written with --export.",
    )
    flags.DEFINE_string(
        "layout",
        None,
        "Layout of the joints, a name or the path of a layout's .json file, where their number "
        "does not tell it.",
    )
    flags.DEFINE_integer(
        "person",
        None,
        "Which person of each annotation, 1 for the first; by default the one with the highest "
        "total score.",
        lower_bound=1,
    )
    flags.DEFINE_float(
        "fps", 0, "Frames a second, which a pickle does not say; 0 for unknown.", lower_bound=0
    )


def _check(options: flags.FlagValues) -> None:
    """Refuse flags that do not go together."""
    if (options.input is None) == (options.export is None):
        raise InputError(
            "give either --input, a pickle to make a store of, or --export, a store to make a "
            "pickle of"
        )
    # Whatever is written would destroy what is read, perhaps only half of it.
    paths = [options.input, options.export, options.output, options.labels]
    given = [os.path.realpath(path) for path in paths if path is not None]
    if len(set(given)) < len(given):
        raise InputError("two of --input, --export, --output and --labels are the same file")
    files.output(options.output)
    if options.input is not None:
        return
    # An option that is accepted and ignored would mislead.
    for name in ("layout", "person", "fps"):
        if options[name].present:
            raise InputError(
                f"--{name} is for --input; a pickle takes it from the store or cannot say it"
            )
    if options.labels is not None:
        files.output(options.labels)


@script
def main(_) -> None:
    """Read the flags, make the call, say what was done."""
    options = flags.FLAGS
    _check(options)
    if options.input is not None:
        report = pyskl.pack(
            options.input,
            options.output,
            layout=options.layout,
            person=options.person,
            labels=options.labels,
            fps=options.fps,
        )
    else:
        report = pyskl.export(options.export, options.output, labels=options.labels)
    print(report)


if __name__ == "__main__":
    run_script(main, define_flags)
