r"""Train a model on the training clips of a store's split.

    python launch/train.py --model usvae --store nucla.h5 --split cross_view --workdir runs/nucla \
        --flagfile=launch/recipes/usvae_nucla.flags

The folder --workdir gets run.json, metrics.jsonl and checkpoints/. Ctrl-C and SIGTERM save and leave; the same
command goes on where it stopped, with bit-identical results.
"""

import sys

import run_flags
from absl import app, flags

from mgjax import training
from mgjax.errors import script
from mgjax.store import Store

FLAGS = flags.FLAGS


def define_flags():
    """The script's flags."""
    flags.DEFINE_string("model", "usvae", "which model")
    flags.DEFINE_string("store", None, "the store to train on", required=True)
    flags.DEFINE_string("split", None, "the store's split; its training clips are used", required=True)
    flags.DEFINE_string("workdir", None, "folder of the run; one that holds the same run is resumed", required=True)
    run_flags.define_run_flags()
    flags.adopt_module_key_flags(run_flags)  # so that --help lists them too


@script
def main(argv):
    """Read the flags, make the call, say what was done."""
    with Store(FLAGS.store) as store:
        run = run_flags.run_from_flags(FLAGS.model, store, FLAGS.split)
        stopped = training.fit(run, store, FLAGS.workdir)
    if stopped:
        sys.exit(128 + stopped)
    print(f"done: {FLAGS.workdir} holds the run; judge it with launch/probe.py --workdir {FLAGS.workdir} "
          f"--store {FLAGS.store} --split {FLAGS.split} --output probe.json")


if __name__ == "__main__":
    define_flags()
    app.run(main)
