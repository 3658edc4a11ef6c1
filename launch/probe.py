"""Judge a run's encoder by K nearest neighbours on a store's split.

    python launch/probe.py --workdir runs/nucla --store nucla.h5 --split cross_view --output
    probe.json

Prints a table (the trained encoder beside the untrained one and the bare keypoints) and the
trained encoder's classes, and writes --output. With --pictures it also draws the loss curves, the
confusion matrix, a map of the embeddings and an animation of a re-generated clip.
"""

import pathlib

from absl import flags

from mgjax import files
from mgjax.evaluation import knn_probe, probe_pictures
from mgjax.report.tables import show
from mgjax.scripts import run_script, script
from mgjax.store import Store

FLAGS = flags.FLAGS


def define_flags():
    """The script's flags."""
    flags.DEFINE_string("workdir", None, "folder of the run", required=True)
    flags.DEFINE_string("store", None, "the store to probe on", required=True)
    flags.DEFINE_string(
        "split", None, "the store's split: its training clips are the gallery", required=True
    )
    flags.DEFINE_string("output", None, "the JSON file to write", required=True)
    flags.DEFINE_string("pictures", None, "folder for the pictures; none are drawn without it")
    flags.DEFINE_integer("k", 1, "neighbours that vote", lower_bound=1)
    flags.DEFINE_enum("metric", "cosine", ["cosine", "euclidean"], "distance of embeddings")
    flags.DEFINE_bool("weighted", False, "neighbours vote with 1 / distance")
    flags.DEFINE_string(
        "feature", None, "what to take from the encoder; by default what the run was trained for"
    )
    flags.DEFINE_integer("step", None, "which checkpoint; by default the newest")


@script
def main(argv):
    """Read the flags, make the call, say what was done."""
    output = files.output(FLAGS.output)
    if FLAGS.pictures and pathlib.Path(FLAGS.pictures).exists():
        for name in probe_pictures.PICTURES:
            files.output(pathlib.Path(FLAGS.pictures) / name)
    with Store(FLAGS.store) as store:
        result = knn_probe.probe_run(
            FLAGS.workdir,
            store,
            FLAGS.split,
            k=FLAGS.k,
            metric=FLAGS.metric,
            weighted=FLAGS.weighted,
            feature=FLAGS.feature,
            step=FLAGS.step,
        )
        show(
            knn_probe.result_table(result),
            knn_probe.how_judged(result),
            knn_probe.class_table(result),
        )
        files.write_json(output, result.summary)
        print(f"\nwrote {output}")
        if FLAGS.pictures:
            for picture in probe_pictures.draw_probe(
                result, FLAGS.workdir, store, FLAGS.split, FLAGS.pictures
            ):
                print(f"wrote {picture}")


if __name__ == "__main__":
    run_script(main, define_flags)
