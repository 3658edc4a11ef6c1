"""Write a run's embeddings of every clip of a store.

    python launch/embed.py --workdir runs/nucla --store nucla.h5 --output embeddings.h5

The output holds a row a clip: embedding [N, D] float32, video (id), start, length, label; and as
attributes the run's model, feature and checkpoint (step), the store's fingerprint (store) and its
class names (labels). No path is in it.
"""

from absl import flags

from mgjax import files
from mgjax.evaluation import embedding
from mgjax.scripts import run_script, script
from mgjax.store import Store

FLAGS = flags.FLAGS


def define_flags():
    """The script's flags."""
    flags.DEFINE_string("workdir", None, "folder of the run", required=True)
    flags.DEFINE_string("store", None, "the store whose clips are embedded", required=True)
    flags.DEFINE_string("output", None, "the HDF5 file to write", required=True)
    flags.DEFINE_string(
        "feature", None, "what to take from the encoder; by default what the run was trained for"
    )
    flags.DEFINE_integer("step", None, "which checkpoint; by default the newest")


@script
def main(argv):
    """Read the flags, make the call, say what was done."""
    output = files.output(FLAGS.output)
    with Store(FLAGS.store) as store:
        shape = embedding.write_embeddings(FLAGS.workdir, store, output, FLAGS.feature, FLAGS.step)
    print(f"wrote {output}: {shape[0]} clips, {shape[1]} features each")


if __name__ == "__main__":
    run_script(main, define_flags)
