r"""Measure what this machine gives, every figure beside its peer in the same run.

    python launch/bench.py --suite recurrent,train --output bench.json

Suites: the `recurrent` layers and a step of U-S-VAE's shape beside PyTorch, flax and the bare
matrix products; whole `train`ing at iMiGUE's clip lengths; `batching`, the share of padding;
`pack`ing OpenPose JSON; `knn`, nearest neighbours; `scale`, stores larger than memory.
Contestants take turns; medians are compared and spreads printed. Peers that are not installed are
left out: pip install -e '.[bench]' brings them.

FILE is a list of rows {suite, case, value, unit, peer, peer_value, ratio, runs, device}; ratio >
1 means that we are better. It is written after every suite. Rows that it already holds of other
suites stay. The same rows are printed as a table in the end.
"""

import dataclasses
import importlib
import os
import pathlib

from absl import flags
from benchmarks.measure import number

from mgjax import files
from mgjax.errors import InputError
from mgjax.report.tables import Table
from mgjax.scripts import run_script, script

FLAGS = flags.FLAGS
SUITES = ("recurrent", "train", "batching", "pack", "knn", "scale")


def define_flags():
    """The script's flags."""
    flags.DEFINE_list(
        "suite", "all", f"which suites, several with commas between: {', '.join(SUITES)}, or all"
    )
    flags.DEFINE_string("output", None, "the JSON file to write", required=True)
    flags.DEFINE_integer("runs", 3, "how often every contestant is timed", lower_bound=1)
    flags.DEFINE_bool(
        "small",
        False,
        "tiny sizes, which show in seconds that everything runs; their figures say nothing about "
        "the library",
    )


def choose(names: list[str]) -> list[str]:
    """The suites that names ask for, in their own order; "all" is every one.

    Raises:
        InputError: there is no such suite, or none is named.
    """
    unknown = [name for name in names if name not in (*SUITES, "all")]
    if unknown or not names:
        raise InputError(
            f"unknown suite {unknown[0] if unknown else ''!r}; known are "
            f"{', '.join(SUITES)} and all"
        )
    return [suite for suite in SUITES if suite in names or "all" in names]


def bench(
    suites: list[str], output: str | os.PathLike, runs: int = 3, small: bool = False
) -> list[dict]:
    """Run suites and write their rows to a JSON file, anew after every suite.

    Args:
        suites: names out of `SUITES`.
        output: the file; rows that it holds of other suites stay.
        runs: how often every contestant is timed.
        small: tiny sizes.

    Returns:
        the rows of these suites, as dicts of `benchmarks.measure.Measurement`.

    Raises:
        InputError: the file's folder is missing, or the file holds something else.
    """
    output = pathlib.Path(output)
    rows = _rows_in(output)
    # Peers need memory of the accelerator too, of which JAX would otherwise take most at once.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

    for suite in suites:
        module = importlib.import_module(f"benchmarks.{suite}")
        measured = [dataclasses.asdict(row) for row in module.run(runs, small)]
        rows = [row for row in rows if row["suite"] != suite] + measured
        files.write_json(output, rows)
    return [row for row in rows if row["suite"] in suites]


def _rows_in(output: pathlib.Path) -> list[dict]:
    if not files.writable(output).exists():
        return []
    try:
        rows = files.read_json(output, "rows of this script")
        if isinstance(rows, list) and all(isinstance(row["suite"], str) for row in rows):
            return rows
    except (InputError, TypeError, KeyError):
        pass
    raise InputError(f"{output}: is there and holds no rows of this script; choose another file")


def table(rows: list[dict]) -> str:
    """Rows as a Markdown table."""
    shown = Table(["suite", "case", "mgjax", "peer", "its figure", "ratio"])
    for row in rows:
        figures = [None] * 3
        if row["ratio"] is not None:
            theirs = f"{number(row['peer_value'])} {row['unit']}"
            figures = [row["peer"], theirs, f"{row['ratio']:.2f}"]
        shown.add(row["suite"], row["case"], f"{number(row['value'])} {row['unit']}", *figures)
    return shown.markdown()


@script
def main(argv):
    """Read the flags, make the call, say what was done."""
    rows = bench(choose(FLAGS.suite), FLAGS.output, FLAGS.runs, FLAGS.small)
    print(
        f"\n{rows[0]['device']}, medians of {FLAGS.runs} runs; ratio > 1: mgjax is "
        f"better\n\n{table(rows)}\n\n"
        f"wrote {FLAGS.output}"
    )


if __name__ == "__main__":
    run_script(main, define_flags)
