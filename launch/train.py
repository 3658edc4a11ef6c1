r"""Train a model on the training clips of a store's split.

    python launch/train.py --store nucla.h5 --split cross_view --workdir runs/nucla \
        --recipe usvae_nucla

A recipe says what to train and how; flags beside it win. A model of one's own is
--model package.module:Class, and its options are --Class.option.

The folder --workdir gets run.json, metrics.jsonl and checkpoints/. Ctrl-C, SIGTERM and SIGHUP
save and leave; the same command goes on where it stopped, with bit-identical results.
--train.steps or --train.epochs says how long to train, and may be raised at any time, of a
finished run too.

All devices of the machine share every batch. Several machines are joined by running the same
command on each with --distributed: on TPU pods and under Slurm as it is, elsewhere with
--coordinator, --processes and --process. --workdir must then be a folder that all of them see.
"""

import pathlib
import shlex
import sys

import jax
import run_flags
from absl import flags

from mgjax import models, training
from mgjax.errors import InputError
from mgjax.evaluation import label_free, validation
from mgjax.scripts import run_script, script
from mgjax.store import Store

FLAGS = flags.FLAGS


def define_flags():
    """The script's flags."""
    flags.DEFINE_string("recipe", None, "a recipe, by its name or its file; other flags win")
    flags.DEFINE_string("model", "usvae", "which model: a name, or package.module:Class")
    flags.DEFINE_string("store", None, "the store to train on", required=True)
    flags.DEFINE_string(
        "split", None, "the store's split; its training clips are used", required=True
    )
    flags.DEFINE_string(
        "workdir", None, "folder of the run; one that holds the same run is resumed", required=True
    )
    flags.DEFINE_bool(
        "check", True, "at the end compare the run with its untrained self, without a label"
    )
    flags.DEFINE_string(
        "validation_split", None, "a split whose test clips are judged during training"
    )
    flags.DEFINE_integer(
        "validate_every", 1, "with --validation_split: after how many epochs", lower_bound=1
    )
    flags.DEFINE_integer("devices", 0, "how many devices to use; 0 takes all", lower_bound=0)
    flags.DEFINE_bool("distributed", False, "join other processes that run this command")
    flags.DEFINE_string("coordinator", None, "with --distributed: host:port of the first process")
    flags.DEFINE_integer(
        "processes", None, "with --coordinator: how many processes there are", lower_bound=1
    )
    flags.DEFINE_integer(
        "process", None, "with --coordinator: which of them this is, from 0", lower_bound=0
    )
    run_flags.define_run_flags()
    flags.adopt_module_key_flags(run_flags)  # so that --help lists them too


def devices():
    """The devices that the flags ask for; None for all."""
    manual = [FLAGS.coordinator, FLAGS.processes, FLAGS.process]
    given = [value is not None for value in manual]
    # jax would guess what is missing, and wait for processes that never come.
    if any(given) and not (all(given) and FLAGS.distributed):
        raise InputError(
            "--coordinator, --processes and --process belong together, and to --distributed"
        )
    if FLAGS.distributed:
        if FLAGS.devices:
            raise InputError(
                "--devices is for one process; with --distributed all devices of all are used"
            )
        try:
            jax.distributed.initialize(*manual)
        except (ValueError, RuntimeError) as error:
            # The rest of it is a stack of C++.
            reason = str(error).splitlines()[0]
            raise InputError(
                f"--distributed: the processes could not be joined ({reason}); outside of TPU "
                "pods and Slurm give --coordinator, --processes and --process"
            ) from None
    if FLAGS.devices > len(jax.devices()):
        raise InputError(f"--devices={FLAGS.devices}, but there are only {len(jax.devices())}")
    return jax.devices()[: FLAGS.devices] if FLAGS.devices else None


def keep_compilations():
    """Keep what is compiled for an accelerator, where compiling takes minutes, for the next run
    of the same shapes.
    """
    if jax.default_backend() != "cpu" and jax.config.jax_compilation_cache_dir is None:
        folder = pathlib.Path.home() / ".cache" / "mgjax" / "compiled"
        print(f"note: what is compiled is kept in {folder}", file=sys.stderr, flush=True)
        jax.config.update("jax_compilation_cache_dir", str(folder))


def next_command(run, store):
    """What to do with the run, in words: the probe where the split has test clips whose class is
    known; "" for a model that gives no vectors.
    """
    if not hasattr(models.get(run.model), "encode"):
        return ""
    _, test = store.clip_split(run.split)
    where = f"--workdir {shlex.quote(FLAGS.workdir)} --store {shlex.quote(FLAGS.store)}"
    if (store.clips.label[test] >= 0).any():
        split = shlex.quote(run.split)
        return f"; judge it with launch/probe.py {where} --split {split} --output probe.json"
    return (
        f"; its vectors are had with launch/embed.py {where} --output vectors.h5 (split "
        f"{run.split!r} has no test clips whose class is known, which launch/probe.py needs)"
    )


def validation_of(run, store):
    """What judges the run during training; None without --validation_split."""
    if FLAGS.validation_split is None:
        if FLAGS["validate_every"].present:
            raise InputError("--validate_every belongs to --validation_split")
        return None
    return validation.Validation(run, store, FLAGS.validation_split, FLAGS.validate_every)


@script
def main(argv):
    """Read the flags, make the call, say what was done."""
    chosen = devices()
    keep_compilations()
    with Store(FLAGS.store) as store:
        run = run_flags.run_from_flags(store, FLAGS.split)
        stopped = training.fit(
            run, store, FLAGS.workdir, devices=chosen, on_epoch=validation_of(run, store)
        )
        if stopped:
            sys.exit(128 + stopped)
        if jax.process_index() == 0:
            # Neither needs more than one process.
            if FLAGS.check:
                print(label_free.check_run(FLAGS.workdir, store))
            print(f"done: {FLAGS.workdir} holds the run{next_command(run, store)}")


if __name__ == "__main__":
    run_script(main, define_flags)
